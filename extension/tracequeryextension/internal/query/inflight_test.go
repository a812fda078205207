package query

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestInFlight(t *testing.T) {
	var inFlight InFlight
	id := pcommon.TraceID{1}
	holds, known := inFlight.Holds(t.Context(), "a", id)
	require.False(t, holds)
	require.False(t, known, "nobody to ask")

	stage := func(tenant string) func(context.Context, string, pcommon.TraceID) bool {
		return func(_ context.Context, asked string, askedID pcommon.TraceID) bool {
			return asked == tenant && askedID == id
		}
	}
	removeA := inFlight.Register(stage("a"))
	removeB := inFlight.Register(stage("b"))
	for tenant, want := range map[string]bool{"a": true, "b": true, "c": false} {
		holds, known = inFlight.Holds(t.Context(), tenant, id)
		require.Equal(t, want, holds, tenant)
		require.True(t, known)
	}

	removeA()
	removeA()
	holds, known = inFlight.Holds(t.Context(), "a", id)
	require.False(t, holds)
	require.True(t, known)
	removeB()
	_, known = inFlight.Holds(t.Context(), "b", id)
	require.False(t, known)
}
