package efficiency_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/efficiency"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestNew(t *testing.T) {
	// Ten requests of 200 ms, for which services work 3 s in all; two have a failure.
	require.Equal(t, efficiency.Efficiency{BusyTime: 300e6, Parallelism: 1.5, Yield: 8.0 / 3, FailedCalls: 0.05}, efficiency.New(efficiency.Window{
		Traces: 10, Errors: 2, BusyTime: 3e9, PathTime: 2e9, Calls: 100, FailedCalls: 5,
	}))
	require.Zero(t, efficiency.New(efficiency.Window{}))
	require.Zero(t, efficiency.New(efficiency.Window{Traces: -1, Errors: 5, BusyTime: -3, PathTime: -4, Calls: 3, FailedCalls: -3}))
	for _, e := range []efficiency.Efficiency{
		efficiency.New(efficiency.Window{Traces: math.MaxInt64, BusyTime: math.MaxInt64, PathTime: 1, Calls: 1, FailedCalls: 9}),
		efficiency.New(efficiency.Window{Traces: math.MaxInt64, BusyTime: 1, PathTime: math.MaxInt64}),
	} {
		for _, f := range []float64{e.BusyTime, e.Parallelism, e.Yield} {
			require.False(t, math.IsInf(f, 0) || math.IsNaN(f))
		}
		require.LessOrEqual(t, e.FailedCalls, 1.0)
	}
}

// With payment overloaded, 60 % of checkouts are refused once or twice first. Each refusal is work for nothing, and a failed span in the request: the yield
// of a second of work falls, by what the simulation itself says of both.
func TestShop(t *testing.T) {
	measure := func(faults ...shop.Fault) (got, want efficiency.Window) {
		s := shop.New(shop.Options{Seed: 4, Mix: map[string]int{"POST /checkout": 1000}, Faults: faults})
		require.NoError(t, shoptest.Traces(s, 0, 300, nil, func(v *shop.Visit, r *analysis.Result) {
			got.Traces++
			if r.ErrorCount > 0 {
				got.Errors++
			}
			for i := range r.Spans {
				got.BusyTime += r.Spans[i].SelfTime
				got.PathTime += r.Spans[i].CriticalPathTime
				got.Calls++
				if r.Spans[i].Failed {
					got.FailedCalls++
				}
			}
			want.Traces++
			failed := false
			for i := range v.Spans {
				want.Calls++
				if v.Spans[i].Failed {
					want.FailedCalls++
					failed = true
				}
			}
			if failed {
				want.Errors++
			}
			want.PathTime += v.Spans[0].End - v.Spans[0].Start
		}))
		return got, want
	}
	calm, truth := measure()
	require.Equal(t, truth.Calls, calm.Calls)
	require.Equal(t, truth.FailedCalls, calm.FailedCalls)
	require.Equal(t, truth.Errors, calm.Errors)
	require.Equal(t, truth.PathTime, calm.PathTime)
	before := efficiency.New(calm)
	loaded, truth := measure(shop.Fault{Service: "payment", Kind: shop.FaultOverload, Value: 0.6})
	require.Equal(t, truth.Errors, loaded.Errors)
	require.Equal(t, truth.FailedCalls, loaded.FailedCalls)
	after := efficiency.New(loaded)
	require.InDelta(t, 0.4, after.Yield*after.BusyTime/(before.Yield*before.BusyTime), 0.06, "as many requests have no failure any more")
	require.Greater(t, after.FailedCalls, 5*before.FailedCalls)
	require.Less(t, after.Parallelism, 2.0)
}
