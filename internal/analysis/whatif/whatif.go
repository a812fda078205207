// Package whatif says what a faster or slower operation would mean for an entry: from traces that were timed anew (analysis.Result.WhatIf), or
// from rollups.
package whatif

import (
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// MaxTraces is how many traces are looked at, the first ones.
const MaxTraces = 10_000

// Timing is how long one request took, and would have taken, in nanoseconds.
type Timing struct{ Before, After int64 }

// Expectation is what to expect of the requests of an entry. Times are nanoseconds; savings are negative where it would become slower.
type Expectation struct {
	Traces                  int
	MeanBefore, MeanAfter   float64
	P95Before, P95After     int64
	MeanSaving, P95Saving   float64
	SavingShare, WinsTraces float64 // of the mean before; share of the traces that would be faster
}

// Expect sums up traces that were timed anew.
func Expect(timings []Timing) Expectation {
	timings = timings[:min(len(timings), MaxTraces)]
	e := Expectation{Traces: len(timings)}
	if len(timings) == 0 {
		return e
	}
	before, after := make([]int64, len(timings)), make([]int64, len(timings))
	var was, is statistics.Moments
	wins := 0
	for i, t := range timings {
		before[i], after[i] = t.Before, t.After
		was.Add(float64(t.Before))
		is.Add(float64(t.After))
		if t.After < t.Before {
			wins++
		}
	}
	slices.Sort(before)
	slices.Sort(after)
	e.MeanBefore, e.MeanAfter = was.Mean, is.Mean
	e.P95Before, e.P95After = statistics.Quantile(before, 0.95), statistics.Quantile(after, 0.95)
	e.MeanSaving, e.P95Saving = e.MeanBefore-e.MeanAfter, float64(e.P95Before)-float64(e.P95After)
	if e.MeanBefore > 0 {
		e.SavingShare = e.MeanSaving / e.MeanBefore
	}
	e.WinsTraces = float64(wins) / float64(len(timings))
	return e
}

// AtMost is the most that the mean request can save, in nanoseconds, by what rollups know: the operation's time on critical paths, summed over the
// entry's traces. It is less where something beside the operation becomes critical first. For a factor above 1 it is the least that the request
// becomes slower, as a negative number. 0 for what makes no sense.
func AtMost(pathTime, traces int64, factor float64) float64 {
	if pathTime <= 0 || traces <= 0 || math.IsNaN(factor) || math.IsInf(factor, 0) || factor < 0 {
		return 0
	}
	return (1 - factor) * float64(pathTime) / float64(traces)
}
