package clickhousestore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlockSet(t *testing.T) {
	var set blockSet
	set.add(blockRange{5, 7}, blockRange{1, 2})
	set.add(blockRange{3, 3}, blockRange{6, 9})
	require.Equal(t, blockSet{{1, 3}, {5, 9}}, set)
	require.Equal(t, blockSet{{0, 0}, {4, 4}, {10, 12}}, blockSet{{0, 12}}.without(set))
	require.Equal(t, blockSet{{4, 4}}, blockSet{{2, 6}}.without(set))
	require.Empty(t, blockSet{{5, 9}}.without(set))
	require.Equal(t, blockSet{{11, 12}}, blockSet{{11, 12}}.without(set))
}

// A set does as one does that lists its numbers.
func TestBlockSetModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	fill := func() (set blockSet, numbers [64]bool) {
		for range random.IntN(8) {
			first := random.Int64N(56)
			last := first + random.Int64N(8)
			set.add(blockRange{first, last})
			for n := first; n <= last; n++ {
				numbers[n] = true
			}
		}
		return set, numbers
	}
	list := func(set blockSet) (numbers [64]bool) {
		end := int64(-1)
		for _, r := range set {
			require.True(t, r.first > end && r.last >= r.first, "%v", set)
			for n := r.first; n <= r.last; n++ {
				numbers[n] = true
			}
			end = r.last
		}
		return numbers
	}
	for range 2000 {
		a, inA := fill()
		b, inB := fill()
		require.Equal(t, inA, list(a))
		for n := range inA {
			inA[n] = inA[n] && !inB[n]
		}
		require.Equal(t, inA, list(a.without(b)), "%v without %v", a, b)
	}
}
