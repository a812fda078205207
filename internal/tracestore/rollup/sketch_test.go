package rollup

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestSketchIsADDSketch adds random durations to sketches that are merged, and to the library's own sketch.
func TestSketchIsADDSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []float64{1, 10, 43} { // powers of e
		whole, err := ddsketch.LogUnboundedDenseDDSketch(relativeAccuracy)
		require.NoError(t, err)
		var merged sketch
		for range 20 {
			var part sketch
			for range r.IntN(50) {
				duration := int64(math.Exp(r.Float64()*spread)) - 1
				part.add(duration)
				require.NoError(t, whole.Add(float64(duration)))
			}
			merged.merge(&part)
			require.True(t, slices.IsSortedFunc(merged.bins, func(a, b bin) int { return int(a.index) - int(b.index) }))
		}
		got := merged.distribution()
		require.InDelta(t, whole.GetCount(), got.GetCount(), 0)
		for quantile := range 101 {
			want, err := whole.GetValueAtQuantile(float64(quantile) / 100)
			require.NoError(t, err)
			value, err := got.GetValueAtQuantile(float64(quantile) / 100)
			require.NoError(t, err)
			require.InDelta(t, want, value, 0)
		}
		require.NoError(t, got.MergeWith(whole), "one mapping everywhere")
	}
}

func TestSketchEnds(t *testing.T) {
	var s sketch
	require.Nil(t, s.distribution())
	s.add(-5)
	s.add(0)
	s.add(1)
	s.add(math.MaxInt64)
	require.Equal(t, sketch{zeros: 2, bins: []bin{{0, 1}, {maxIndex, 1}}}, s)
	largest, err := s.distribution().GetMaxValue()
	require.NoError(t, err)
	require.InEpsilon(t, float64(math.MaxInt64), largest, 0.01)
}

func TestOccurrences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := occurrences{first: 3, last: 9, traces: []pcommon.TraceID{{1}, {2}, {3}, {4}, {5}}}
	for range 20 {
		var parts [3]occurrences
		for _, i := range r.Perm(7) { // minutes 3 to 9, traces 1 to 7
			parts[r.IntN(3)].add(uint32(i+3), pcommon.TraceID{byte(i + 1)})
			parts[r.IntN(3)].add(uint32(i+3), pcommon.TraceID{byte(i + 1)})
		}
		var all occurrences
		for _, i := range r.Perm(3) {
			all.merge(&parts[i])
		}
		require.Equal(t, want, all)
	}
}
