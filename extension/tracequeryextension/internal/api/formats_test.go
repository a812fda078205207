package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestOTLPProtobuf(t *testing.T) {
	h := testHandler(stores(shopTrace))
	for _, test := range []struct{ target, accept, media string }{
		{"", "application/x-protobuf", "application/x-protobuf"},
		{"?format=otlp", "application/protobuf, */*;q=0.1", "application/protobuf"},
		{"?format=otlp", "application/json", "application/json"},
		{"?format=jaeger", "application/x-protobuf", "application/json"},
		{"?fields=summary", "application/x-protobuf", "application/json"},
		{"", "", "application/json"},
	} {
		r := get("/traces/" + knownID + test.target)
		r.Header.Set("Accept", test.accept)
		response := do(h, r)
		require.Equal(t, http.StatusOK, response.Code)
		require.Equal(t, test.media, response.Header().Get("Content-Type"), "%+v", test)
		require.Contains(t, response.Header().Values("Vary"), "Accept")
		requireSafe(t, response)
		if test.media == "application/json" {
			require.True(t, json.Valid(response.Body.Bytes()))
			continue
		}
		got, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(response.Body.Bytes())
		require.NoError(t, err)
		require.Equal(t, 5, got.SpanCount())
		self, ok := got.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get(conventions.AttrSelfTime)
		require.True(t, ok)
		require.EqualValues(t, 20_000_000, self.Int(), "annotated afresh")
	}
}

func TestForeignFormats(t *testing.T) {
	orphan := func() ptrace.Traces {
		td := shopTrace()
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(pcommon.SpanID{7: 99})
		return td
	}
	h := testHandler(stores(orphan))
	jaeger := answerTo[struct {
		Data []struct {
			TraceID   string            `json:"traceID"`
			Spans     []json.RawMessage `json:"spans"`
			Processes map[string]any    `json:"processes"`
			Warnings  []string          `json:"warnings"`
		} `json:"data"`
	}](t, h, "/traces/"+knownID+"?format=jaeger").Data[0]
	require.Equal(t, knownID, jaeger.TraceID)
	require.Len(t, jaeger.Spans, 5)
	require.Len(t, jaeger.Processes, 3)
	require.Len(t, jaeger.Warnings, 2, "a parent is missing, and with it the root")
	require.Contains(t, string(jaeger.Spans[0]), conventions.AttrSelfTime, "with our annotations")

	zipkin := answerTo[[]map[string]any](t, h, "/traces/"+knownID+"?format=zipkin")
	require.Len(t, zipkin, 5)
	require.Equal(t, knownID, zipkin[0]["traceId"])
}
