package traceassemblyprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestAppendSpan moves the second of three spans behind one that is there already: it is the same span, also when it changes.
func TestAppendSpan(t *testing.T) {
	from := request(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, name: "two", padding: 3}, testSpan{trace: 1, id: 3})
	span := from.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1)
	to := ptrace.NewTraces()
	spans := to.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	spans.AppendEmpty().SetName("one")
	appendSpan(spans, span)
	require.Equal(t, 2, spans.Len())
	require.Equal(t, 2, to.SpanCount())
	require.Equal(t, "one", spans.At(0).Name())
	require.Equal(t, "two", spans.At(1).Name())
	require.Equal(t, spanID(2), spans.At(1).SpanID())
	span.Attributes().PutStr("k", "v")
	spans.At(1).SetName("zwei")
	require.Equal(t, 2, spans.At(1).Attributes().Len())
	require.Equal(t, "zwei", span.Name())
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(to)
	require.NoError(t, err)
	again, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	require.Equal(t, to, again)
}
