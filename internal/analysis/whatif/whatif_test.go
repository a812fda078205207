package whatif_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/analysis/whatif"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestExpect(t *testing.T) {
	require.Equal(t, whatif.Expectation{}, whatif.Expect(nil))
	require.Equal(t, whatif.Expectation{
		Traces: 4, MeanBefore: 25, MeanAfter: 20, P95Before: 40, P95After: 35, MeanSaving: 5, P95Saving: 5, SavingShare: 0.2, WinsTraces: 0.75,
	}, whatif.Expect([]whatif.Timing{{10, 10}, {20, 15}, {30, 20}, {40, 35}}))
	require.Zero(t, whatif.Expect([]whatif.Timing{{0, 0}}).SavingShare)
	require.Equal(t, whatif.MaxTraces, whatif.Expect(make([]whatif.Timing, whatif.MaxTraces+5)).Traces)
}

func TestAtMost(t *testing.T) {
	require.InDelta(t, 50, whatif.AtMost(1000, 10, 0.5), 1e-12)
	require.InDelta(t, -100, whatif.AtMost(1000, 10, 2), 1e-12)
	for _, factor := range []float64{math.NaN(), math.Inf(1), -1} {
		require.Zero(t, whatif.AtMost(1000, 10, factor))
	}
	require.Zero(t, whatif.AtMost(1000, 0, 0.5))
	require.Zero(t, whatif.AtMost(-1000, 10, 0.5))
}

// checkout waits for payment's fetch of 140 ms in the median, alone on the path: all of what is taken away is saved, and rollups say the same.
func TestShop(t *testing.T) {
	s := shop.New(shop.Options{Seed: 4, Mix: map[string]int{"POST /checkout": 100}})
	const service, operation = "payment", "POST /v1/charges"
	var timings []whatif.Timing
	var path, traces, fetched int64
	require.NoError(t, shoptest.Traces(s, 0, 200, nil, func(v *shop.Visit, r *analysis.Result) {
		if r.EntryOperation != "POST /checkout" {
			return
		}
		traces++
		timings = append(timings, whatif.Timing{Before: r.RootDuration, After: r.WhatIf(service, operation, 0.5)})
		for i := range r.Spans {
			if r.Spans[i].Service == service && r.Spans[i].Operation == operation {
				path += r.Spans[i].CriticalPathTime
			}
		}
		for i := range v.Spans {
			if v.Spans[i].Name == operation {
				fetched += v.Spans[i].End - v.Spans[i].Start
			}
		}
	}))
	got := whatif.Expect(timings)
	require.InDelta(t, float64(fetched)/float64(traces)/2, got.MeanSaving, 1e3)
	require.InDelta(t, whatif.AtMost(path, traces, 0.5), got.MeanSaving, 1e3)
	require.Greater(t, got.P95Saving, got.MeanSaving, "the tail is the fetch's")
	require.Greater(t, got.WinsTraces, 0.9)
}
