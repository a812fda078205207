package statistics_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

func moments(numbers ...float64) *statistics.Moments {
	m := new(statistics.Moments)
	for _, x := range numbers {
		m.Add(x)
	}
	return m
}

func TestMoments(t *testing.T) {
	m := moments(2, 4, 4, 4, 5, 5, 7, 9, math.NaN(), math.Inf(1))
	require.EqualValues(t, 8, m.N)
	require.InDelta(t, 5, m.Mean, 1e-12)
	require.InDelta(t, 32.0/7, m.Variance(), 1e-12)
	require.Zero(t, moments().Deviation())
	require.Zero(t, moments(3).Deviation())
	// In two samples, or many of a kind, they are the same.
	both := moments(2, 4, 4)
	both.AddMany(4, 1)
	both.Merge(moments(5, 5, 7, 9))
	both.Merge(moments())
	both.AddMany(1, 0)
	both.AddMany(math.NaN(), 3)
	require.EqualValues(t, 8, both.N)
	require.InDelta(t, 5, both.Mean, 1e-12)
	require.InDelta(t, 32.0/7, both.Variance(), 1e-12)
	many := moments()
	many.AddMany(3, 1e12)
	many.AddMany(5, 1e12)
	require.InDelta(t, 1, many.Variance(), 1e-6)
	// The variance of numbers that lie close together and far out, where sums of squares have lost it.
	require.InDelta(t, 1, moments(1e9, 1e9+1, 1e9+2).Variance(), 1e-6)
}

func TestQuantile(t *testing.T) {
	require.Zero(t, statistics.Quantile(nil, 0.5))
	sorted := []int64{1, 2, 3, 4}
	for q, want := range map[float64]int64{0: 1, 0.25: 1, 0.26: 2, 0.5: 2, 0.95: 4, 1: 4, 2: 4, -1: 1} {
		require.Equal(t, want, statistics.Quantile(sorted, q), "%v", q)
	}
	require.Zero(t, statistics.Median(nil))
	require.InDelta(t, 2, statistics.Median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, statistics.Median([]float64{4, 1, 2, 3}), 0)
}

func TestDistances(t *testing.T) {
	// Means 2 and 4, variances 1 and 1 of three numbers each: 2 / sqrt(2/3).
	require.InDelta(t, 2/math.Sqrt(2.0/3), statistics.MeanDistance(moments(1, 2, 3), moments(3, 4, 5), 0), 1e-12)
	require.Zero(t, statistics.MeanDistance(moments(1, 2, 3), moments(3, 4, 5), 2))
	require.Zero(t, statistics.MeanDistance(moments(1), moments(3, 4), 0))
	require.Zero(t, statistics.MeanDistance(moments(1, 1), moments(1, 1), 0))
	require.InDelta(t, 1e6, statistics.MeanDistance(moments(1, 1), moments(2, 2), 0), 0)

	require.InDelta(t, 0.5, statistics.Above(0), 0)
	require.InDelta(t, 0.025, statistics.Above(1.959964), 1e-6)
	require.Zero(t, statistics.Above(1e6))
}

func TestMoreOften(t *testing.T) {
	// Fisher's lady tasting tea: 3 of 4 right, and 1 of 4: 17 of 70; 4 of 4, and none: 1 of 70.
	require.InDelta(t, 17.0/70, statistics.MoreOften(1, 4, 3, 4), 1e-9)
	require.InDelta(t, 1.0/70, statistics.MoreOften(0, 4, 4, 4), 1e-9)
	require.InDelta(t, 1, statistics.MoreOften(4, 4, 0, 4), 0)
	require.InDelta(t, 1, statistics.MoreOften(5, 5, 5, 5), 1e-9)
	for _, nothing := range [][4]int64{{0, 0, 1, 1}, {0, 5, 0, 5}, {-1, 5, 1, 5}, {6, 5, 1, 5}, {1, 5, 6, 5}, {0, 0, 0, 0}} {
		require.InDelta(t, 1, statistics.MoreOften(nothing[0], nothing[1], nothing[2], nothing[3]), 0, "%v", nothing)
	}
	// Two of 20, where nobody has seen one in a thousand: rare, but no wonder.
	require.InDelta(t, 3.6e-4, statistics.MoreOften(0, 1000, 2, 20), 1e-4)
	require.Less(t, statistics.MoreOften(10, 1_000_000, 1_000, 1_000_000), 1e-200)
}

func TestTogether(t *testing.T) {
	require.InDelta(t, 1, statistics.Together(nil), 0)
	require.InDelta(t, 0.03, statistics.Together([]float64{0.03}), 1e-12)
	require.InDelta(t, 0.0001*(1-math.Log(0.0001)), statistics.Together([]float64{0.01, 0.01}), 1e-12) // x·(1 − ln x) of the product x
	require.InDelta(t, 1, statistics.Together([]float64{1, 1, 1}), 0)
	require.Less(t, statistics.Together([]float64{0, 0, 1}), 1e-100)
}
