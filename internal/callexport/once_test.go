package callexport

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// queue is an exporter that takes calls, or does not.
type queue struct {
	component.StartFunc
	component.ShutdownFunc
	err   error
	calls int
}

func (q *queue) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (q *queue) ConsumeTraces(context.Context, ptrace.Traces) error {
	if q.err == nil {
		q.calls++
	}
	return q.err
}

func callOf(n uint32) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	var id pcommon.TraceID
	binary.BigEndian.PutUint32(id[:], n+1)
	span.SetTraceID(id)
	return td
}

// TestOnce: a call that was taken is not taken again, one that was refused is, and what is remembered is bounded.
func TestOnce(t *testing.T) {
	q := &queue{err: errors.New("full")}
	e := Once(q).(*once)
	require.Equal(t, q.err, e.ConsumeTraces(t.Context(), callOf(0)))
	q.err = nil
	for range 3 {
		require.NoError(t, e.ConsumeTraces(t.Context(), callOf(0)))
	}
	require.Equal(t, 1, q.calls)
	// One that is repeated for ever is not forgotten, however many others come.
	for n := range uint32(3 * maxTaken) {
		require.NoError(t, e.ConsumeTraces(t.Context(), callOf(n+1)))
		if n%1000 == 0 {
			require.NoError(t, e.ConsumeTraces(t.Context(), callOf(0)))
		}
		require.LessOrEqual(t, len(e.taken)+len(e.before), 2*maxTaken)
	}
	require.Equal(t, 1+3*maxTaken, q.calls)
}
