package handback_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/handback"
)

func TestReturn(t *testing.T) {
	for name, test := range map[string]struct {
		take     func(ctx context.Context, td ptrace.Traces)
		returned bool
	}{
		"given back":           {handback.Return, true},
		"kept":                 {func(context.Context, ptrace.Traces) {}, false},
		"in another's context": {func(_ context.Context, td ptrace.Traces) { handback.Return(context.Background(), td) }, false},
		"a copy": {func(ctx context.Context, td ptrace.Traces) {
			other := ptrace.NewTraces()
			td.CopyTo(other)
			handback.Return(ctx, other)
		}, false},
		"moved": {func(ctx context.Context, td ptrace.Traces) {
			other := ptrace.NewTraces()
			td.ResourceSpans().MoveAndAppendTo(other.ResourceSpans())
			handback.Return(ctx, other)
		}, false},
		"shared": {func(ctx context.Context, td ptrace.Traces) {
			td.MarkReadOnly()
			handback.Return(ctx, td)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			td := ptrace.NewTraces()
			td.ResourceSpans().AppendEmpty()
			ctx, offer := handback.New(t.Context(), td)
			test.take(ctx, td)
			require.Equal(t, test.returned, offer.Returned())
		})
	}
}

func TestUsable(t *testing.T) {
	require.True(t, handback.Usable())
	for gate, usual := range map[string]bool{
		"pdata.useProtoPooling": false, // pdata uses memory again itself
		"tracewright.handback":  true,
	} {
		require.NoError(t, featuregate.GlobalRegistry().Set(gate, !usual))
		require.False(t, handback.Usable(), gate)
		require.NoError(t, featuregate.GlobalRegistry().Set(gate, usual))
		require.True(t, handback.Usable(), gate)
	}
}
