package block

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// TestOperations: spans of one number are what the Encoder says of them, whenever it is asked.
func TestOperations(t *testing.T) {
	w := wild{rand.New(rand.NewPCG(7, 8))}
	s := shop.New(shop.Options{Seed: 5})
	encoder, varied, blocks := NewEncoder(), 0, make(map[uint32]bool)
	for n := range 60 {
		td := newCall(t, s, 20*n, 20)
		if n%2 == 1 {
			td = unmarshal(t, w.call())
		}
		require.False(t, blocks[encoder.Block()])
		blocks[encoder.Block()] = true
		first := make(map[uint32]*tracetree.Span)
		for _, release := range tracetree.Releases(td) {
			require.NoError(t, encoder.Add(&release, headerOf(&release)))
			operations := encoder.Operations()
			require.Len(t, operations, len(release.Spans))
			for i, operation := range operations {
				span := &release.Spans[i]
				other, known := first[operation]
				if !known {
					first[operation] = span
					continue
				}
				require.Equal(t, other.Name(), span.Name())
				require.Equal(t, other.Kind(), span.Kind())
				require.Equal(t, other.Status().Code(), span.Status().Code())
				varied += requireAlike(t, other.Attributes(), span.Attributes(), encoder.Varying(operation))
			}
		}
		if n%3 == 0 {
			encoder.kept = maxKept + 1 // it forgets
		}
		encoder.Encode(nil, nil)
		require.Empty(t, encoder.Operations())
	}
	require.NotZero(t, varied)
}

// requireAlike requires that two maps differ in some values only, and answers in how many they do.
func requireAlike(t *testing.T, one, other pcommon.Map, varying []int32) (differing int) {
	require.True(t, slices.IsSorted(varying))
	a, b := attributes.List(one), attributes.List(other)
	require.Len(t, b, len(a))
	for i := range a {
		require.Equal(t, a[i].Key(), b[i].Key())
		require.Equal(t, a[i].Type(), b[i].Type())
		if !a[i].Value(one).Equal(b[i].Value(other)) {
			require.Contains(t, varying, int32(i))
			differing++
		}
	}
	return differing
}
