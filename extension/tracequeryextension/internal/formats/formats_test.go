package formats_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/formats"
)

// sample is a server span with a client span below it in another service, which fails.
func sample() ptrace.Traces {
	td := ptrace.NewTraces()
	span := func(service, name string, id, parent byte, kind ptrace.SpanKind, start, end pcommon.Timestamp) ptrace.Span {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("host.name", service+"-1")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("lib")
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{0: 1, 15: 2})
		s.SetSpanID(pcommon.SpanID{7: id})
		if parent != 0 {
			s.SetParentSpanID(pcommon.SpanID{7: parent})
		}
		s.SetName(name)
		s.SetKind(kind)
		s.SetStartTimestamp(start)
		s.SetEndTimestamp(end)
		return s
	}
	root := span("shop", "GET /cart", 1, 0, ptrace.SpanKindServer, 1_700_000_000_000_001_000, 1_700_000_000_000_101_000)
	root.Attributes().PutInt("large", math.MaxInt64)
	root.Attributes().PutInt("small", 7)
	root.Attributes().PutDouble("share", 0.5)
	root.Attributes().PutBool("vip", true)
	root.Attributes().PutEmptyBytes("raw").FromRaw([]byte{1, 2})
	event := root.Events().AppendEmpty()
	event.SetName("cache miss")
	event.SetTimestamp(1_700_000_000_000_002_000)
	event.Attributes().PutStr("key", "cart")
	link := root.Links().AppendEmpty()
	link.SetTraceID(pcommon.TraceID{15: 9})
	link.SetSpanID(pcommon.SpanID{7: 9})
	call := span("stock", "take", 2, 1, ptrace.SpanKindClient, 1_700_000_000_000_011_000, 1_700_000_000_000_061_000)
	call.Status().SetCode(ptrace.StatusCodeError)
	call.Status().SetMessage("no shelf")
	return td
}

func TestJaeger(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, formats.WriteJaeger(&out, sample(), []string{"late"}))
	require.JSONEq(t, `{
		"data": [{
			"traceID": "01000000000000000000000000000002",
			"spans": [
				{
					"traceID": "01000000000000000000000000000002", "spanID": "0000000000000001", "operationName": "GET /cart",
					"references": [{"refType": "FOLLOWS_FROM", "traceID": "0000000000000009", "spanID": "0000000000000009"}],
					"startTime": 1700000000000001, "duration": 100,
					"tags": [
						{"key": "otel.scope.name", "type": "string", "value": "lib"},
						{"key": "large", "type": "int64", "value": "9223372036854775807"},
						{"key": "small", "type": "int64", "value": 7},
						{"key": "share", "type": "float64", "value": 0.5},
						{"key": "vip", "type": "bool", "value": true},
						{"key": "raw", "type": "binary", "value": "AQI="},
						{"key": "span.kind", "type": "string", "value": "server"}
					],
					"logs": [{"timestamp": 1700000000000002, "fields": [
						{"key": "event", "type": "string", "value": "cache miss"}, {"key": "key", "type": "string", "value": "cart"}
					]}],
					"processID": "p1", "warnings": null
				},
				{
					"traceID": "01000000000000000000000000000002", "spanID": "0000000000000002", "operationName": "take",
					"references": [{"refType": "CHILD_OF", "traceID": "01000000000000000000000000000002", "spanID": "0000000000000001"}],
					"startTime": 1700000000000011, "duration": 50,
					"tags": [
						{"key": "otel.scope.name", "type": "string", "value": "lib"},
						{"key": "span.kind", "type": "string", "value": "client"},
						{"key": "otel.status_code", "type": "string", "value": "ERROR"},
						{"key": "error", "type": "bool", "value": true},
						{"key": "otel.status_description", "type": "string", "value": "no shelf"}
					],
					"logs": [], "processID": "p2", "warnings": null
				}
			],
			"processes": {
				"p1": {"serviceName": "shop", "tags": [{"key": "host.name", "type": "string", "value": "shop-1"}]},
				"p2": {"serviceName": "stock", "tags": [{"key": "host.name", "type": "string", "value": "stock-1"}]}
			},
			"warnings": ["late"]
		}],
		"total": 0, "limit": 0, "offset": 0, "errors": null
	}`, out.String())
}

// What Zipkin's own reader makes of it are the spans again.
func TestZipkin(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, formats.WriteZipkin(&out, sample()))
	var spans []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &spans))
	require.Len(t, spans, 2)
	require.Equal(t, "01000000000000000000000000000002", spans[1]["traceId"])
	require.Equal(t, "0000000000000001", spans[1]["parentId"])
	require.Equal(t, "CLIENT", spans[1]["kind"])
	require.InDelta(t, 1700000000000011, spans[1]["timestamp"], 0)
	require.InDelta(t, 50, spans[1]["duration"], 0)
	require.Equal(t, map[string]any{"serviceName": "stock"}, spans[1]["localEndpoint"])

	td, err := zipkinv2.NewJSONTracesUnmarshaler(false).UnmarshalTraces(out.Bytes())
	require.NoError(t, err)
	require.Equal(t, 2, td.SpanCount())

	out.Reset()
	require.NoError(t, formats.WriteZipkin(&out, ptrace.NewTraces()))
	require.Equal(t, "[]\n", out.String())
}

// hostile are spans that neither format can say.
func hostile() ptrace.Traces {
	td := sample()
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutInt("service.name", 7)
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetName("\xff\xfe")
			span.Attributes().PutStr("\xff", "\xc3(")
			span.Attributes().PutDouble("nan", math.NaN())
			span.Attributes().PutEmptyMap("map").PutDouble("inf", math.Inf(1))
			span.TraceState().FromRaw("\xff")
			span.SetKind(42)
			span.Status().SetCode(9)
			event := span.Events().AppendEmpty()
			event.SetTimestamp(math.MaxUint64)
			event.Attributes().PutDouble("nan", math.NaN())
			event.Attributes().PutEmptySlice("list").AppendEmpty().SetEmptyMap().PutDouble("inf", math.Inf(-1))
			link := span.Links().AppendEmpty()
			link.Attributes().PutDouble("nan", math.NaN())
		}
	}
	backwards := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	backwards.SetStartTimestamp(backwards.EndTimestamp() + 1000)
	far := td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0)
	far.SetStartTimestamp(math.MaxUint64)
	far.SetEndTimestamp(math.MaxUint64)
	return td
}

func TestHostileSpans(t *testing.T) {
	for name, write := range map[string]func(out *bytes.Buffer) error{
		"Jaeger": func(out *bytes.Buffer) error { return formats.WriteJaeger(out, hostile(), nil) },
		"Zipkin": func(out *bytes.Buffer) error { return formats.WriteZipkin(out, hostile()) },
	} {
		var out bytes.Buffer
		require.NoError(t, write(&out), name)
		require.True(t, utf8.Valid(out.Bytes()), name)
		require.True(t, json.Valid(out.Bytes()), name)
		require.NotContains(t, out.String(), `"duration":-`, name)
		require.NotContains(t, out.String(), `"timestamp":-`, name)
	}
}

// Whatever OTLP says, both formats say something that can be read.
func FuzzFormats(f *testing.F) {
	for _, td := range []ptrace.Traces{sample(), hostile()} {
		seed, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(f, err)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
		if err != nil {
			return
		}
		for _, rs := range td.ResourceSpans().All() { // which trace_assembly refuses
			for _, ss := range rs.ScopeSpans().All() {
				ss.Spans().RemoveIf(func(span ptrace.Span) bool { return span.TraceID().IsEmpty() || span.SpanID().IsEmpty() })
			}
		}
		again := ptrace.NewTraces()
		td.CopyTo(again)
		var out bytes.Buffer
		require.NoError(t, formats.WriteJaeger(&out, td, nil))
		require.True(t, json.Valid(out.Bytes()))
		out.Reset()
		require.NoError(t, formats.WriteZipkin(&out, again))
		require.True(t, json.Valid(out.Bytes()))
	})
}
