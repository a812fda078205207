package tracetree_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// A grouper that is used again and again groups as a map would.
func TestGrouperAgainstAMap(t *testing.T) {
	type key struct {
		tenant string
		id     pcommon.TraceID
	}
	var g tracetree.Grouper
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		td := ptrace.NewTraces()
		var order []key
		want := make(map[key][]ptrace.Span)
		traces := 1 + rng.IntN(60)
		for range rng.IntN(5) {
			rs := td.ResourceSpans().AppendEmpty()
			tenant := []string{"", "a", "b"}[rng.IntN(3)]
			if tenant != "" {
				rs.Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
			}
			for range rng.IntN(3) {
				ss := rs.ScopeSpans().AppendEmpty()
				for range rng.IntN(30) {
					span := ss.Spans().AppendEmpty()
					// Ids that differ in one half alone, or in few bits.
					var id pcommon.TraceID
					id[7+8*rng.IntN(2)] = byte(rng.IntN(traces))
					span.SetTraceID(id)
					k := key{tenant, id}
					if want[k] == nil {
						order = append(order, k)
					}
					want[k] = append(want[k], span)
				}
			}
		}
		releases := g.Group(td)
		require.Len(t, releases, len(order))
		for i, k := range order {
			require.Equal(t, k.tenant, releases[i].Tenant)
			require.Equal(t, k.id, releases[i].TraceID)
			require.Len(t, releases[i].Spans, len(want[k]))
			for j, span := range want[k] {
				require.Equal(t, span, releases[i].Spans[j].Span)
			}
		}
		if seed%3 == 0 {
			g.Reset()
		}
	}
}
