package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

func explain(releases ...ptrace.Traces) *query.Trace {
	trace := new(query.Trace)
	trace.Spans, trace.Release = tracetree.Join(releases)
	trace.Analysis = analysis.Analyze(&trace.Release)
	trace.ID = trace.Release.TraceID
	return trace
}

// writeTrace writes all of a trace.
func writeTrace(out io.Writer, trace *query.Trace) error {
	answer, _ := newTraceAnswer(trace, &traceView{}, nil)
	return answer.write(out, trace)
}

// answerOf reads the members that a test looks at.
type answerOf struct {
	Entry          openapi.Operation `json:"entry"`
	Start          string            `json:"start"`
	RootDurationNS int64             `json:"root_duration_ns"`
	SpanCount      int               `json:"span_count"`
	CriticalPath   []struct {
		StartNS int64 `json:"start_ns"`
		EndNS   int64 `json:"end_ns"`
	} `json:"critical_path"`
	Roots     []string          `json:"roots"`
	Resources []json.RawMessage `json:"resources"`
	Spans     []struct {
		SpanID      string         `json:"span_id"`
		Resource    int            `json:"resource"`
		Name        string         `json:"name"`
		Operation   string         `json:"operation"`
		Kind        string         `json:"kind"`
		StartNS     int64          `json:"start_ns"`
		DurationNS  int64          `json:"duration_ns"`
		ClockSkewNS int64          `json:"clock_skew_ns"`
		Attributes  map[string]any `json:"attributes"`
		Violations  []string       `json:"violations"`
	} `json:"spans"`
}

func answer(t *testing.T, trace *query.Trace) (answer answerOf) {
	t.Helper()
	var body bytes.Buffer
	require.NoError(t, writeTrace(&body, trace))
	require.True(t, utf8.Valid(body.Bytes()))
	require.NoError(t, json.Unmarshal(body.Bytes(), &answer))
	return answer
}

func TestTraceAnswer(t *testing.T) {
	want, err := os.ReadFile("testdata/trace.json")
	require.NoError(t, err)
	response := do(testHandler(stores(shopTrace)), get("/traces/"+knownID))
	require.Equal(t, http.StatusOK, response.Code)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	requireSafe(t, response)
	body := response.Body.String()
	// The fingerprint is a hash; that it is one is all that is known beforehand.
	body = regexp.MustCompile(`"fingerprint":"[0-9a-f]{16}"`).ReplaceAllString(body, `"fingerprint":"FINGERPRINT"`)
	require.JSONEq(t, string(want), body)
	require.Contains(t, body, "a=1&b=<2>", "not escaped for HTML")

	var got answerOf
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	var sum, last int64
	for _, segment := range got.CriticalPath {
		require.GreaterOrEqual(t, segment.StartNS, last)
		sum += segment.EndNS - segment.StartNS
		last = segment.EndNS
	}
	require.Equal(t, got.RootDurationNS, sum)
}

func TestHeadOfTrace(t *testing.T) {
	server := httptest.NewServer(testHandler(stores(shopTrace)))
	defer server.Close()
	header, body := exchange(t, server.Client(), http.MethodHead, server.URL+"/traces/"+knownID)
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.Empty(t, body)
}

// A trace that no assembly made has no outcome and no version, and says so by leaving them out.
func TestTraceWithoutAssembly(t *testing.T) {
	td := ptrace.NewTraces()
	shopSpan(shopService(td, "a"), "x", 1, 0, ptrace.SpanKindInternal, 0, 1)
	var body bytes.Buffer
	require.NoError(t, writeTrace(&body, explain(td)))
	require.NotContains(t, body.String(), "outcome")
	require.NotContains(t, body.String(), "version\":1,")
	require.Contains(t, body.String(), `"error_origins":[]`)
}

// retriedTrace, in milliseconds: the first try fails, the second begins 20 later and succeeds.
//
//	frontend  GET /    01 server  |0 ------------------------ 100|
//	frontend  reserve  02 client     |10 -- 30|
//	frontend  reserve  03 client                |50 ---- 90|
func retriedTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	spans := shopService(td, "frontend")
	shopSpan(spans, "GET /", 1, 0, ptrace.SpanKindServer, 0, 100)
	shopSpan(spans, "reserve", 2, 1, ptrace.SpanKindClient, 10, 30).Status().SetCode(ptrace.StatusCodeError)
	shopSpan(spans, "reserve", 3, 1, ptrace.SpanKindClient, 50, 90)
	return td
}

func TestTraceNamesFindings(t *testing.T) {
	response := do(testHandler(stores(retriedTrace)), get("/traces/"+knownID))
	require.Equal(t, http.StatusOK, response.Code)
	var got struct {
		Findings json.RawMessage `json:"findings"`
	}
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &got))
	require.JSONEq(t, `[{
		"kind": "retries", "service": "frontend", "operation": "GET /",
		"message": "frontend \"GET /\" tried \"reserve\" 2 times: 1 try failed, before it worked. Failed tries and the pauses after them took 40ms of 100ms.",
		"critical_path_ns": 40000000, "confidence": 0.8, "span_ids": ["0000000000000002", "0000000000000003"], "span_count": 2
	}]`, string(got.Findings))
}

func TestTraceFollowsFailures(t *testing.T) {
	origins := func(traces func() ptrace.Traces) string {
		t.Helper()
		response := do(testHandler(stores(traces)), get("/traces/"+knownID))
		require.Equal(t, http.StatusOK, response.Code)
		var got struct {
			Origins json.RawMessage `json:"error_origins"`
		}
		require.NoError(t, json.Unmarshal(response.Body.Bytes(), &got))
		return regexp.MustCompile(`"fingerprint":"[0-9a-f]{16}",`).ReplaceAllString(string(got.Origins), "")
	}
	require.JSONEq(t, `[{
		"span_id": "0000000000000002", "service": "frontend", "operation": "reserve", "kind": "failure",
		"path": ["0000000000000002", "0000000000000001"], "path_length": 2, "reached_entry": false,
		"absorbed": {
			"how": "retried", "span_id": "0000000000000001", "service": "frontend", "operation": "GET /",
			"retry_span_id": "0000000000000003"
		}
	}]`, origins(retriedTrace))
	require.JSONEq(t, `[{
		"span_id": "0000000000000003", "service": "orders", "operation": "query", "kind": "cancelled",
		"normalized_message": "canceled after # rows",
		"path": ["0000000000000003", "0000000000000002", "0000000000000001"], "path_length": 3, "reached_entry": true,
		"cancelled_by": {"span_id": "0000000000000002", "service": "frontend", "operation": "list"}
	}]`, origins(cancelledTrace))
}

// cancelledTrace, in milliseconds: the call gives up, and what it waited for is cancelled.
//
//	frontend  GET /  01 server  |0 ------------ 100|
//	frontend  list   02 client    |10 ----- 60|
//	orders    query  03 server      |20 ----- 70|
func cancelledTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	frontend := shopService(td, "frontend")
	fail := func(span ptrace.Span, message string) {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(message)
	}
	fail(shopSpan(frontend, "GET /", 1, 0, ptrace.SpanKindServer, 0, 100), "")
	fail(shopSpan(frontend, "list", 2, 1, ptrace.SpanKindClient, 10, 60), "timed out")
	fail(shopSpan(shopService(td, "orders"), "query", 3, 2, ptrace.SpanKindServer, 20, 70), "canceled after 17 rows")
	return td
}

// parallelTrace, in milliseconds: 02 could end 10 later, and without 03 the request would wait for it. Nobody waits for 04.
//
//	frontend  GET /    01 producer  |0 ------------------------ 100|
//	frontend  reserve  02 client       |10 ---------- 80|
//	frontend  reserve  03 client       |10 -------------- 90|
//	frontend  audit    04 consumer     |10 - 20|
func parallelTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	spans := shopService(td, "frontend")
	shopSpan(spans, "GET /", 1, 0, ptrace.SpanKindProducer, 0, 100)
	shopSpan(spans, "reserve", 2, 1, ptrace.SpanKindClient, 10, 80)
	shopSpan(spans, "reserve", 3, 1, ptrace.SpanKindClient, 10, 90)
	shopSpan(spans, "audit", 4, 1, ptrace.SpanKindConsumer, 10, 20)
	return td
}

func TestTraceStatesSlackAndDrag(t *testing.T) {
	response := do(testHandler(stores(parallelTrace)), get("/traces/"+knownID))
	require.Equal(t, http.StatusOK, response.Code)
	var got struct {
		Spans []struct {
			DragNS  int64  `json:"drag_ns"`
			SlackNS *int64 `json:"slack_ns"`
		} `json:"spans"`
	}
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &got))
	require.Len(t, got.Spans, 4)
	for i, drag := range []int64{20e6, 0, 10e6, 0} {
		require.Equal(t, drag, got.Spans[i].DragNS, "span %d", i+1)
	}
	for i, slack := range []int64{0, 10e6, 0} {
		require.Equal(t, slack, *got.Spans[i].SlackNS, "span %d", i+1)
	}
	require.Nil(t, got.Spans[3].SlackNS)
}

// A late fragment's resource differs by what assembly wrote on it only: it is the same resource.
func TestLateSpanSharesItsResource(t *testing.T) {
	first, late := ptrace.NewTraces(), ptrace.NewTraces()
	shopSpan(shopService(first, "a"), "root", 1, 0, ptrace.SpanKindServer, 0, 10)
	spans := shopService(late, "a")
	shopSpan(spans, "late", 2, 1, ptrace.SpanKindInternal, 2, 5)
	late.ResourceSpans().At(0).Resource().Attributes().PutInt(conventions.AttrReleasedAt, int64(shopTime(2000)))
	got := answer(t, explain(first, late))
	require.Len(t, got.Resources, 1)
	require.JSONEq(t, `{"attributes": {"service.name": "a"}, "schema_url": "https://opentelemetry.io/schemas/1.40.0"}`,
		string(got.Resources[0]))
	require.Len(t, got.Spans, 2)
}

func TestSpansStandInStartOrderParentsFirst(t *testing.T) {
	td := ptrace.NewTraces()
	spans := shopService(td, "a")
	// Sent backwards: 9 is the child of 8, 8 of 7 and so on to the root 1, all at the same start.
	for id := byte(9); id >= 1; id-- {
		shopSpan(spans, "x", id, id-1, ptrace.SpanKindInternal, 5, 10)
	}
	shopSpan(spans, "x", 11, 1, ptrace.SpanKindInternal, 7, 8)
	shopSpan(spans, "x", 10, 1, ptrace.SpanKindInternal, 6, 8)
	var order []string
	for _, span := range answer(t, explain(td)).Spans {
		order = append(order, span.SpanID[14:])
	}
	require.Equal(t, []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "0a", "0b"}, order)
}

// Broken input: every span is answered, and the answer is JSON.
func TestHostileTrace(t *testing.T) {
	td := ptrace.NewTraces()
	spans := shopService(td, "caf\xe9")
	a := shopSpan(spans, "\xff\xfe\"\\\x00", 1, 2, ptrace.SpanKindServer, 0, 10)
	a.Attributes().PutStr("k\xff", "v\xff")
	a.Attributes().PutStr("k\xfe", "second")
	a.Status().SetMessage("\xc3(")
	a.Status().SetCode(7)
	a.TraceState().FromRaw("\xff")
	a.Events().AppendEmpty().SetName("\xff")
	shopSpan(spans, "b", 2, 1, 42, 10, 0)                           // a cycle, an unknown kind, an end before its start
	shopSpan(spans, "c", 3, 3, ptrace.SpanKindInternal, 0, 10)      // its own parent
	shopSpan(spans, "d", 4, 0, ptrace.SpanKindInternal, 0, 10)      // twice
	shopSpan(spans, "d", 4, 0, ptrace.SpanKindInternal, 1, 10)      // with other times
	far := shopSpan(spans, "e", 5, 99, ptrace.SpanKindClient, 0, 0) // outside int64, without its parent
	far.SetStartTimestamp(math.MaxUint64)
	far.SetEndTimestamp(math.MaxUint64)
	far.Events().AppendEmpty().SetTimestamp(math.MaxUint64)
	got := answer(t, explain(td))
	require.Len(t, got.Spans, 6)
	seen := make(map[string]int)
	for _, span := range got.Spans {
		seen[span.SpanID]++
		require.GreaterOrEqual(t, span.StartNS, int64(0))
		require.GreaterOrEqual(t, span.DurationNS, int64(0))
		switch span.SpanID {
		case "0000000000000001":
			require.Equal(t, map[string]any{"k\uFFFD": "v\uFFFD"}, span.Attributes)
			require.Equal(t, "\uFFFD\"\\\x00", span.Operation)
		case "0000000000000002":
			require.Equal(t, "unspecified", span.Kind)
		}
	}
	require.Equal(t, 2, seen["0000000000000004"])

	for _, target := range []string{"/traces/" + knownID, "/traces/" + knownID + "?format=otlp"} {
		body := do(testHandler(stores(func() ptrace.Traces {
			c := ptrace.NewTraces()
			td.CopyTo(c)
			return c
		})), get(target)).Body.String()
		require.True(t, utf8.ValidString(body))
		require.True(t, json.Valid([]byte(body)))
	}
}

func TestOTLP(t *testing.T) {
	response := do(testHandler(stores(shopTrace)), get("/traces/"+knownID+"?format=otlp"))
	require.Equal(t, http.StatusOK, response.Code)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	requireSafe(t, response)
	unmarshaler := ptrace.JSONUnmarshaler{DisallowUnknownFields: true}
	got, err := unmarshaler.UnmarshalTraces(response.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, 5, got.SpanCount())
	first := got.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	self, ok := first.Attributes().Get(conventions.AttrSelfTime)
	require.True(t, ok)
	require.Equal(t, int64(20_000_000), self.Int(), "annotated afresh")

	// But for the annotations it is what was sent.
	want := shopTrace()
	for _, td := range []ptrace.Traces{want, got} {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					span.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
						return len(key) > len(conventions.Prefix) && key[:len(conventions.Prefix)] == conventions.Prefix
					})
				}
			}
		}
	}
	marshaler := ptrace.ProtoMarshaler{}
	wantBytes, err := marshaler.MarshalTraces(want)
	require.NoError(t, err)
	gotBytes, err := marshaler.MarshalTraces(got)
	require.NoError(t, err)
	require.Equal(t, wantBytes, gotBytes)
}

func hugeTrace(spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	slice := shopService(td, "a")
	slice.EnsureCapacity(spans)
	for i := range spans {
		span := shopSpan(slice, "step "+strconv.Itoa(i%10), 0, 0, ptrace.SpanKindInternal, 0, 1000)
		span.SetSpanID(pcommon.SpanID{4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i), 7: 1})
		if i > 0 {
			span.SetParentSpanID(pcommon.SpanID{7: 1})
		}
		span.Attributes().PutStr("text", "a value of some length, as they are")
		span.Attributes().PutInt("number", int64(i))
	}
	return td
}

// pieces counts how an answer arrives.
type pieces struct {
	count, largest, total int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.count++
	p.largest = max(p.largest, len(b))
	p.total += len(b)
	return len(b), nil
}

func TestHugeTraceStreams(t *testing.T) {
	trace := explain(hugeTrace(100_000))
	var written pieces
	require.NoError(t, writeTrace(&written, trace))
	require.Greater(t, written.total, 20<<20)
	require.Greater(t, written.count, 100)
	require.Less(t, written.largest, 2*flushBytes)
}

func TestWritingEndsWithTheConnection(t *testing.T) {
	trace := explain(hugeTrace(10_000))
	reader, writer := io.Pipe()
	gone := errors.New("gone")
	go func() {
		_, _ = io.CopyN(io.Discard, reader, 100)
		_ = reader.CloseWithError(gone)
	}()
	require.ErrorIs(t, writeTrace(writer, trace), gone)
}

// A chain is as deep as its spans are many: nothing may recurse.
func TestDeepTrace(t *testing.T) {
	const depth = 20_000
	td := hugeTrace(depth)
	for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		if i > 0 {
			span.SetParentSpanID(pcommon.SpanID{4: byte((i - 1) >> 16), 5: byte((i - 1) >> 8), 6: byte(i - 1), 7: 1})
		}
	}
	got := answer(t, explain(td))
	require.Len(t, got.Spans, depth)
	for i, span := range got.Spans {
		require.EqualValues(t, i, span.Attributes["number"])
	}
}

func BenchmarkWriteTrace(b *testing.B) {
	trace := explain(hugeTrace(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if err := writeTrace(io.Discard, trace); err != nil {
			b.Fatal(err)
		}
	}
}
