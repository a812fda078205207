package rawspans

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func request(t *testing.T, spans int) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	for i := range spans {
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID([16]byte{1})
		span.SetSpanID([8]byte{byte(i), byte(i >> 8), 1})
	}
	var m ptrace.ProtoMarshaler
	data, err := m.MarshalTraces(td)
	require.NoError(t, err)
	return data
}

func replaced(t *testing.T, data []byte) ptrace.Traces {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(Replace(data))
	require.NoError(t, err)
	return td
}

func TestWrap(t *testing.T) {
	for _, spans := range []int{1, 2, 63, 64, 8192} {
		data := request(t, spans)
		td := replaced(t, data)
		require.Equal(t, spans, td.SpanCount())
		got, err := Unwrap(td)
		require.NoError(t, err)
		require.Equal(t, string(data), got)
		require.Zero(t, td.ResourceSpans().Len())
	}
}

// TestDense: what spans without ids take in a pipeline is bounded by the bytes that they took in the request.
func TestDense(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range 100_000 {
		spans.AppendEmpty().SetKind(ptrace.SpanKindServer)
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	td = replaced(t, data)
	require.LessOrEqual(t, td.SpanCount(), len(data)/30+1000)
	got, err := Unwrap(td)
	require.NoError(t, err)
	require.Equal(t, string(data), got)
}

func TestNothingToWrap(t *testing.T) {
	for _, data := range [][]byte{nil, request(t, 0), []byte("no request"), request(t, 3)[:20]} {
		require.Equal(t, string(data), string(Replace(data)))
	}
}

func TestUnwrapAmongOthers(t *testing.T) {
	first, second := request(t, 2), request(t, 3)
	td := replaced(t, first)
	other := td.ResourceSpans().AppendEmpty()
	other.Resource().Attributes().PutStr("tracewright.raw.", "guessed")
	other.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("other")
	replaced(t, second).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	got, err := Unwrap(td)
	require.NoError(t, err)
	require.Equal(t, string(first)+string(second), got)
	require.Equal(t, 1, td.SpanCount())
	require.Equal(t, "other", td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
}

func TestSpansTakenOut(t *testing.T) {
	td := replaced(t, request(t, 3))
	removed := false
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool {
		defer func() { removed = true }()
		return !removed
	})
	_, err := Unwrap(td)
	require.ErrorIs(t, err, errChanged)
}
