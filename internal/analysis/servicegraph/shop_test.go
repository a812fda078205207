package servicegraph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// All requests to the shop come in by the proxy, no service calls itself by way of others, and S3 is behind media alone.
func TestShop(t *testing.T) {
	var edges []servicegraph.Edge
	require.NoError(t, shoptest.Traces(shop.New(shop.Options{Seed: 2}), 0, 400, nil, func(_ *shop.Visit, r *analysis.Result) {
		for i := range r.Spans {
			s := &r.Spans[i]
			if s.ParentService != "" {
				edges = append(edges, servicegraph.Edge{Parent: s.ParentService, Child: s.Service, Calls: 1})
			}
			if s.PeerService != "" {
				edges = append(edges, servicegraph.Edge{Parent: s.Service, Child: s.PeerService, Calls: 1})
			}
		}
	}))
	g := servicegraph.New(edges)
	require.Empty(t, g.Cycles())
	depths := g.Depths()
	require.Equal(t, 1, depths["edge-proxy"])
	require.Equal(t, 2, depths["checkout"])
	require.Equal(t, 3, depths["payment"])
	require.Equal(t, 4, depths["fraud"])
	require.Equal(t, 4, depths["promotion"], "edge-proxy, storefront, pricing, promotion")
	cutOff := map[string]int{}
	for _, p := range g.SinglePoints() {
		cutOff[p.Service] = p.CutOff
	}
	require.Equal(t, 1, cutOff["media"])
	require.Equal(t, len(g.Services())-1, cutOff["edge-proxy"])
	ways, truncated := g.Ways("edge-proxy", "fraud", 10)
	require.False(t, truncated)
	require.Equal(t, [][]string{{"edge-proxy", "checkout", "payment", "fraud"}}, ways)
}
