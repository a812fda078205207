package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// chain makes a trace of n spans, each the child of the one before, in one service.
func chain(service string, traceID byte, n int) ptrace.Traces {
	const start = 1_790_000_000_000_000_000
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: traceID})
		span.SetSpanID(pcommon.SpanID{6: byte((i + 1) >> 8), 7: byte(i + 1)})
		if i > 0 {
			span.SetParentSpanID(pcommon.SpanID{6: byte(i >> 8), 7: byte(i)})
		}
		span.SetName("step")
		span.SetKind(ptrace.SpanKindInternal)
		span.SetStartTimestamp(pcommon.Timestamp(start + i*1000))
		span.SetEndTimestamp(pcommon.Timestamp(start + 1_000_000 - i*1000))
	}
	return td
}

func (i *instance) send(td ptrace.Traces, header http.Header) {
	i.t.Helper()
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(i.t, err)
	_, err = i.do(http.MethodPost, i.url("OTLP_HTTP", "/v1/traces"), body, http.StatusOK, header)
	require.NoError(i.t, err)
}

func TestBadRequests(t *testing.T) {
	i := startInstance(t)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		field              string
	}{
		"id too short":     {"GET", "/traces/abc", "", 400, "id"},
		"id not hex":       {"GET", "/traces/" + strings.Repeat("g", 32), "", 400, "id"},
		"id of zeros":      {"GET", "/traces/" + strings.Repeat("0", 32), "", 400, "id"},
		"unknown trace":    {"GET", "/traces/" + strings.Repeat("a", 32), "", 404, ""},
		"unknown short id": {"GET", "/traces/" + strings.Repeat("a", 16), "", 404, ""},
		"unknown format":   {"GET", "/traces/" + strings.Repeat("a", 32) + "?format=xml", "", 400, "format"},
		"empty source":     {"POST", "/traces/sources", "{}", 400, "name"},
		"no such path":     {"GET", "/nothing", "", 404, ""},
		"wrong method":     {"DELETE", "/traces/search", "", 405, ""},
		"bad time":         {"POST", "/traces/search", `{"start":"yesterday"}`, 400, "start"},
		"bad duration":     {"POST", "/traces/search", `{"min_duration":"long"}`, 400, "min_duration"},
		"unknown field":    {"POST", "/traces/search", `{"servcie":"a"}`, 400, "servcie"},
		"empty structure":  {"POST", "/traces/search", `{"structure":{}}`, 400, "structure"},
		"bad limit":        {"POST", "/traces/search", `{"limit":100000}`, 400, "limit"},
		"bad operator":     {"POST", "/traces/search", `{"attributes":[{"key":"a","op":"~","value":"b"}]}`, 400, "attributes[0].op"},
		"bad regex":        {"POST", "/traces/search", `{"attributes":[{"key":"a","op":"regex","value":"("}]}`, 400, "attributes[0].value"},
		"bad cursor":       {"POST", "/traces/search", `{"cursor":"xyz"}`, 400, "cursor"},
		"not JSON":         {"POST", "/traces/search", `{`, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var body []byte
			if test.body != "" {
				body = []byte(test.body)
			}
			content, err := i.do(test.method, i.url("QUERY", test.path), body, test.status, nil)
			require.NoError(t, err)
			var problem problemAnswer
			require.NoError(t, json.Unmarshal(content, &problem), string(content))
			require.Equal(t, test.status, problem.Status)
			require.NotEmpty(t, problem.Title)
			require.NotEmpty(t, problem.Detail)
			if test.field != "" {
				require.Equal(t, test.field, problem.Field)
			}
		})
	}
}

func TestTenantsAreApart(t *testing.T) {
	i := startInstance(t)
	blue := http.Header{"X-Tracewright-Tenant": {"blue"}}
	i.send(chain("blue-service", 1, 3), blue)
	i.await("the trace of tenant blue", func() error {
		_, err := i.do(http.MethodGet, i.url("QUERY", "/traces/00000000000000000000000000000001"), nil, http.StatusOK, blue)
		return err
	})
	_, err := i.get(i.url("QUERY", "/traces/00000000000000000000000000000001"), http.StatusNotFound)
	require.NoError(t, err)
	require.Empty(t, i.search(map[string]any{"start": "2020-01-01T00:00:00Z"}).Traces)
}

// Open traces are released, stored and found again after an orderly stop.
func TestStopReleasesOpenTraces(t *testing.T) {
	i := startInstance(t, "--set=processors.trace_assembly.linger=10m", "--set=processors.trace_assembly.max_wait=1h")
	i.send(chain("stopped", 2, 5), nil)
	i.await("in flight", func() error {
		content, err := i.get(i.url("QUERY", "/traces/00000000000000000000000000000002"), http.StatusNotFound)
		if err == nil {
			require.Contains(t, string(content), `"in_flight":true`)
		}
		return err
	})
	i.stop(syscall.SIGTERM)
	i.start()
	trace := i.trace("00000000000000000000000000000002", nil)
	require.Equal(t, 5, trace.SpanCount)
	require.Equal(t, "shutdown", trace.Outcome)
	require.EqualValues(t, 1_000_000, trace.RootDurationNS)
	require.Equal(t, trace.RootDurationNS, pathLength(trace))
}

// A span that comes after its trace's release is added to the stored trace.
func TestLateSpanJoinsItsTrace(t *testing.T) {
	i := startInstance(t, "--set=processors.trace_assembly.linger=200ms")
	whole := chain("late", 3, 4)
	late := ptrace.NewTraces()
	whole.CopyTo(late)
	isLast := func(span ptrace.Span) bool { return span.SpanID()[7] == 4 }
	whole.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(isLast)
	late.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(span ptrace.Span) bool { return !isLast(span) })

	i.send(whole, nil)
	first := i.trace("00000000000000000000000000000003", nil)
	require.Equal(t, 3, first.SpanCount)
	require.Equal(t, "complete", first.Outcome)
	i.send(late, nil)
	i.await("the late span", func() error {
		second := i.trace("00000000000000000000000000000003", nil)
		if second.SpanCount != 4 {
			return fmt.Errorf("%d spans", second.SpanCount)
		}
		require.Equal(t, 2, second.Version)
		require.Equal(t, "complete", second.Outcome)
		require.Len(t, second.Spans, 4)
		return nil
	})
	rows := i.search(map[string]any{"start": "2020-01-01T00:00:00Z", "service": "late"}).Traces
	require.Len(t, rows, 1)
	require.Equal(t, 4, rows[0].SpanCount)
}

// Zipkin's client and server halves share one span id; sent as a Zipkin library sends them.
func TestZipkin(t *testing.T) {
	i := startInstance(t)
	body := `[
	 {"traceId":"00000000000000aa","id":"00000000000000aa","kind":"CLIENT","name":"get","timestamp":1790000000000000,"duration":1000,"localEndpoint":{"serviceName":"caller"}},
	 {"traceId":"00000000000000aa","id":"00000000000000aa","kind":"SERVER","shared":true,"name":"get","timestamp":1790000000000200,"duration":500,"localEndpoint":{"serviceName":"callee"}}]`
	_, err := i.do(http.MethodPost, i.url("ZIPKIN", "/api/v2/spans"), []byte(body), http.StatusAccepted, nil)
	require.NoError(t, err)
	trace := i.trace("00000000000000aa", nil)
	require.Equal(t, "000000000000000000000000000000aa", trace.TraceID)
	require.Equal(t, 2, trace.SpanCount)
	require.Equal(t, []string{"callee", "caller"}, trace.Services)
	require.Len(t, trace.Roots, 1)
	require.EqualValues(t, 1_000_000, trace.RootDurationNS)
	require.Equal(t, trace.RootDurationNS, pathLength(trace))
}

func pathLength(trace *traceAnswer) (total int64) {
	for _, segment := range trace.CriticalPath {
		total += segment.EndNS - segment.StartNS
	}
	return total
}
