package traceassemblyprocessor

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestPlaces compares it with a map, below and above maxListed.
func TestPlaces(t *testing.T) {
	for _, ids := range []uint64{10, maxListed, maxListed + 1, 1000} {
		rng := rand.New(rand.NewPCG(ids, 1))
		var p places
		for round := range 3 {
			want := make(map[pcommon.SpanID]int32)
			for range 5000 {
				id := spanID(rng.Uint64N(ids))
				if rng.IntN(3) == 0 {
					p.delete(id)
					delete(want, id)
				} else {
					at := int32(rng.Uint32())
					p.set(id, at)
					want[id] = at
				}
				asked := spanID(rng.Uint64N(ids + 1))
				at, ok := p.get(asked)
				wantAt, wantOK := want[asked]
				require.Equal(t, wantOK, ok)
				require.Equal(t, wantAt, at)
			}
			require.Equal(t, ids > maxListed+1, p.large != nil && ids > maxListed+1, "round %d", round)
			p.reset()
			_, ok := p.get(spanID(1))
			require.False(t, ok)
		}
	}
}
