package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// lines says what stands in traces, a line for each span.
func lines(t *testing.T, content []byte) (all []string) {
	t.Helper()
	for td, err := range Read(bytes.NewReader(content)) {
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					all = append(all, fmt.Sprintf("%s %s<%s %s %s %s %s +%s %s events=%d", s.TraceID(), s.SpanID(), s.ParentSpanID(), service.Str(), s.Name(),
						s.Kind(), s.StartTimestamp().AsTime().UTC().Format(time.RFC3339Nano), s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()),
						s.Status().Code(), s.Events().Len()))
				}
			}
		}
	}
	return all
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return content
}

func otlp(t *testing.T) ptrace.Traces {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "cart")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{15: 0xaa})
	span.SetSpanID(pcommon.SpanID{7: 0xb1})
	span.SetName("GET /cart")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(1_700_000_000_000_000_000)
	span.SetEndTimestamp(1_700_000_000_250_000_000)
	return td
}

const otlpLine = "000000000000000000000000000000aa 00000000000000b1< cart GET /cart Server 2023-11-14T22:13:20Z +250ms Unset events=0"

func TestReadFormats(t *testing.T) {
	asJSON, err := (&ptrace.JSONMarshaler{}).MarshalTraces(otlp(t))
	require.NoError(t, err)
	asProto, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(otlp(t))
	require.NoError(t, err)
	var packed bytes.Buffer
	pack := gzip.NewWriter(&packed)
	_, err = pack.Write(asJSON)
	require.NoError(t, err)
	require.NoError(t, pack.Close())
	jaegerLines := []string{
		"00000000000000001f2a3b4c5d6e7f80 00000000000000a1< cart GET /cart Server 2023-11-14T22:13:20Z +250ms Error events=1",
		"00000000000000001f2a3b4c5d6e7f80 00000000000000a2<00000000000000a1 inventory SELECT Client 2023-11-14T22:13:20.01Z +200ms Unset events=0",
	}
	for name, test := range map[string]struct {
		content []byte
		want    []string
	}{
		"OTLP JSON":                      {asJSON, []string{otlpLine}},
		"OTLP JSON, a line each":         {slices.Concat(asJSON, []byte("\n"), asJSON, []byte("\n")), []string{otlpLine, otlpLine}},
		"OTLP JSON behind an empty line": {slices.Concat([]byte("\n"), asJSON), []string{otlpLine}},
		"OTLP protobuf":                  {asProto, []string{otlpLine}},
		"gzip":                           {packed.Bytes(), []string{otlpLine}},
		"Jaeger":                         {testdata(t, "jaeger.json"), jaegerLines},
		"Zipkin": {testdata(t, "zipkin.json"), []string{
			"000000000000000000000000000000aa 00000000000000b1< cart get /cart Server 2023-11-14T22:13:20Z +250ms Unset events=0",
			"000000000000000000000000000000aa 00000000000000b2<00000000000000b1 inventory select Client 2023-11-14T22:13:20.01Z +200ms Error events=0",
		}},
	} {
		t.Run(name, func(t *testing.T) { require.ElementsMatch(t, test.want, lines(t, test.content)) })
	}
	var one strings.Builder // a trace of Jaeger's without the list around it
	whole := string(testdata(t, "jaeger.json"))
	one.WriteString(whole[strings.Index(whole, "[")+1 : strings.LastIndex(whole, "]")])
	require.ElementsMatch(t, jaegerLines, lines(t, []byte(one.String())))
}

func TestReadAttributes(t *testing.T) {
	for td, err := range Read(bytes.NewReader(testdata(t, "jaeger.json"))) {
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			if service, _ := rs.Resource().Attributes().Get("service.name"); service.Str() != "cart" {
				continue
			}
			require.Equal(t, "node-1", rs.Resource().Attributes().AsRaw()["host.name"])
			span := rs.ScopeSpans().At(0).Spans().At(0)
			attributes := span.Attributes().AsRaw()
			require.EqualValues(t, 500, attributes["http.status_code"])
			require.InDelta(t, 0.25, attributes["share"], 0)
			require.Equal(t, "lock waited", span.Events().At(0).Name())
		}
	}
}

func TestReadFaults(t *testing.T) {
	for content, want := range map[string]string{
		"":            "empty",
		"plain text":  "JSON value 1",
		"{}":          "neither OTLP (resourceSpans), nor Jaeger",
		`{"data": 5}`: "neither OTLP",
		`{"data": [], "errors": [{"code": 404, "msg": "trace not found"}]}`:   `instead of traces Jaeger answered the error 404 "trace not found"`,
		`{"data": null, "errors": [{"code": 404, "msg": "trace not found"}]}`: `instead of traces Jaeger answered the error 404 "trace not found"`,
		`{"resourceSpans": []} {"a": 1}`:                                      "JSON value 2: neither OTLP",
		`{"resourceSpans": [`:                                                 "JSON value 1",
		`[{"traceId": "xyz"}]`:                                                "none of Zipkin's spans",
		`[5]`:                                                                 "none of Zipkin's spans",
		`{"data": [{"spans": [{"traceID": "a", "spanID": "b", "processID": "p7"}], "processes": {}}]}`:      `processes has no "p7"`,
		`{"data": [{"spans": [{"traceID": "nope", "spanID": "b", "processID": "p"}], "processes": {}}]}`:    `trace "nope"`,
		`{"spans": [{"traceID": "a", "spanID": "b", "process": {"tags": [{"key": "k", "type": "odd"}]}}]}`:  `no type "odd"`,
		`{"spans": [{"traceID": "a", "spanID": "b", "tags": [{"key": "k", "type": "int64", "value": "x"}]}`: "JSON value 1",
	} {
		var last error
		for _, err := range Read(strings.NewReader(content)) {
			last = err
		}
		require.ErrorContains(t, last, want, content)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"jaeger.json", "zipkin.json"} {
		content, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"aa","name":"x"}]}]}]}`))
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x00})
	f.Fuzz(func(_ *testing.T, content []byte) {
		for _, err := range Read(bytes.NewReader(content)) { // it must end, and not panic
			_ = err
		}
	})
}

// Every span of the traces is in one request, with its resource and scope.
func TestRequests(t *testing.T) {
	td := ptrace.NewTraces()
	const each = requestSpans*2/3 + 1
	for service := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("service", int64(service))
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("scope")
		for n := range each {
			ss.Spans().AppendEmpty().SetName(fmt.Sprint(service, "/", n))
		}
	}
	var names []string
	var sizes []int
	for body, err := range Requests(td) {
		require.NoError(t, err)
		request := ptraceotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(body))
		sizes = append(sizes, request.Traces().SpanCount())
		for _, rs := range request.Traces().ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service")
			for _, ss := range rs.ScopeSpans().All() {
				require.Equal(t, "scope", ss.Scope().Name())
				for _, span := range ss.Spans().All() {
					require.True(t, strings.HasPrefix(span.Name(), fmt.Sprint(service.Int(), "/")), span.Name())
					names = append(names, span.Name())
				}
			}
		}
	}
	require.Equal(t, []int{requestSpans, requestSpans, 3*each - 2*requestSpans}, sizes)
	slices.Sort(names)
	require.Len(t, slices.Compact(names), 3*each)
}

// A request stays below what receivers take, be its spans few and large.
func TestRequestsOfLargeSpans(t *testing.T) {
	td := ptrace.NewTraces()
	for range 2 {
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		for range 10 {
			ss.Spans().AppendEmpty().Attributes().PutStr("statement", strings.Repeat("x", 900<<10))
		}
	}
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(9).Attributes().PutStr("statement", strings.Repeat("x", 3<<20))
	spans := 0
	for body, err := range Requests(td) {
		require.NoError(t, err)
		request := ptraceotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(body))
		spans += request.Traces().SpanCount()
		require.True(t, len(body) < 3<<20 || request.Traces().SpanCount() == 1)
	}
	require.Equal(t, 20, spans)
}

func TestShift(t *testing.T) {
	td := otlp(t)
	require.EqualValues(t, 1_700_000_000_250_000_000, LastEnd(td))
	span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	span.Events().AppendEmpty().SetTimestamp(1_700_000_000_100_000_000)
	Shift(td, time.Hour)
	require.EqualValues(t, 1_700_003_600_000_000_000, span.StartTimestamp())
	require.EqualValues(t, 1_700_003_600_250_000_000, span.EndTimestamp())
	require.EqualValues(t, 1_700_003_600_100_000_000, span.Events().At(0).Timestamp())
	span.SetStartTimestamp(0)
	span.SetEndTimestamp(1 << 63)
	Shift(td, 200*365*24*time.Hour)
	Shift(td, 290*365*24*time.Hour)
	require.Zero(t, span.StartTimestamp(), "what was not set stays so")
	require.EqualValues(t, ^uint64(0), span.EndTimestamp())
}
