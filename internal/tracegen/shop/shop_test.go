package shop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Without faults every visit is one trace, of a size and depth as promised, its children inside their parents.
func TestVisits(t *testing.T) {
	const visits = 20_000
	s := New(Options{Seed: 1})
	spans, fails, links := 0, 0, 0
	seen := make([]bool, len(services))
	for i := range visits {
		v := s.Visit(i)
		require.Len(t, v.Traces, 1)
		require.GreaterOrEqual(t, len(v.Spans), 8)
		require.LessOrEqual(t, len(v.Spans), 60)
		depth := make([]int, len(v.Spans))
		deepest, failed := 0, 0
		for k := range v.Spans {
			span := &v.Spans[k]
			seen[span.Service] = true
			require.Greater(t, span.End, span.Start, span.Name)
			if k == 0 {
				require.Equal(t, -1, span.Parent)
			} else {
				require.GreaterOrEqual(t, span.Parent, 0)
				require.Less(t, span.Parent, k)
				parent := &v.Spans[span.Parent]
				require.GreaterOrEqual(t, span.Start, parent.Start, "%s in %s", span.Name, parent.Name)
				if span.Kind == Consumer {
					require.GreaterOrEqual(t, span.Start, parent.End)
				} else {
					require.LessOrEqual(t, span.End, parent.End, "%s in %s", span.Name, parent.Name)
				}
				depth[k] = depth[span.Parent]
			}
			depth[k]++
			deepest = max(deepest, depth[k])
			if span.Failed {
				failed++
			}
		}
		require.GreaterOrEqual(t, deepest, 3)
		require.LessOrEqual(t, deepest, 8)
		require.Equal(t, len(v.Spans), v.Traces[0].Spans)
		require.Equal(t, failed, v.Traces[0].Errors)
		spans += len(v.Spans)
		fails += min(failed, 1)
		if v.earlier != [16]byte{} {
			links++
		}
	}
	for i, service := range services {
		require.True(t, seen[i], "%s never takes part", service.Name)
	}
	require.Len(t, services, 25)
	require.InDelta(t, 20, float64(spans)/visits, 1)
	require.InDelta(t, 0.03, float64(fails)/visits, 0.005)
	require.Positive(t, links)
}
