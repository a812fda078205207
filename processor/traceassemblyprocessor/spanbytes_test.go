package traceassemblyprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/otlpwire"
)

// oneSpan keeps the only span of a request.
type oneSpan struct {
	oneMessage
	shape otlpwire.Shape
}

func (o *oneSpan) Span(s *otlpwire.Span) error {
	o.shape = s.Shape
	return o.oneMessage.Span(s)
}

func encodeSpan(t testing.TB, span ptrace.Span) string {
	td := ptrace.NewTraces()
	span.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	request, err := encodeTraces(td)
	require.NoError(t, err)
	var one oneSpan
	require.NoError(t, new(otlpwire.Scanner).Scan(request, &one))
	return request[one.at:one.end]
}

func shapeOf(t *testing.T, request string) (shape otlpwire.Shape, size int) {
	var one oneSpan
	require.NoError(t, new(otlpwire.Scanner).Scan(request, &one))
	return one.shape, one.end - one.at
}
