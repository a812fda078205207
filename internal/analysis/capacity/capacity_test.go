package capacity_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestConcurrency(t *testing.T) {
	// 100 calls a second of 50 ms each: five at a time.
	require.InDelta(t, 5, capacity.Concurrency(60*100*50e6, time.Minute), 1e-12)
	require.Zero(t, capacity.Concurrency(-1, time.Minute))
	require.Zero(t, capacity.Concurrency(1, 0))
}

func TestFindLimit(t *testing.T) {
	queue := func(rate, limit, noise float64) (minutes []capacity.Minute) {
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range 60 {
			at := rate * (0.2 + 0.8*float64(i)/59)
			minutes = append(minutes, capacity.Minute{Rate: at, Latency: 10e6 / (1 - at/limit) * math.Exp(noise*rng.NormFloat64())})
		}
		return minutes
	}
	exact, ok := capacity.FindLimit(queue(300, 400, 0))
	require.True(t, ok)
	require.InEpsilon(t, 400, exact.Rate, 1e-9)
	require.InEpsilon(t, 10e6, exact.Unloaded, 1e-9)
	require.InEpsilon(t, 0.75, exact.Utilisation, 1e-9)
	require.InEpsilon(t, 1, exact.Fit, 1e-9)
	noisy, ok := capacity.FindLimit(queue(300, 400, 0.1))
	require.True(t, ok)
	require.True(t, noisy.Low < 400 && 400 < noisy.High, "%v", noisy)
	require.InDelta(t, 400, noisy.Rate, 40)

	flat, rare := queue(300, 1e12, 0.1), queue(300, 400, 0.1)[:14]
	for i := range rare {
		rare[i].Rate *= 2
	}
	falls := queue(300, 400, 0)
	for i := range falls {
		falls[i].Latency = 1e14 / falls[i].Latency
	}
	alike := queue(300, 400, 0.05)[58:]
	for len(alike) < 40 {
		alike = append(alike, alike...)
	}
	for name, minutes := range map[string][]capacity.Minute{
		"nothing": nil, "flat": flat, "too few": rare, "faster with load": falls, "rates alike": alike, "far away": queue(300, 3000, 0),
		"impossible": {{math.NaN(), 1}, {1, math.Inf(1)}, {-1, 1}, {0, 0}},
		"noise":      queue(300, 400, 3),
	} {
		limit, ok := capacity.FindLimit(minutes)
		require.False(t, ok, name)
		require.Zero(t, limit, name)
	}
}

// payment takes 400 visits a second at most. Over a day with 60 to 300 its limit is found, and that of nobody else; at doubled load from 150 on its
// concurrency rises from 150 times the mean of its work over 1 − 150/400 to twice that over 1 − 300/400: fivefold.
func TestShop(t *testing.T) {
	type sums struct {
		calls int64
		busy  int64
	}
	minute := func(rate float64, visits int) map[string]sums {
		of := map[string]sums{}
		s := shop.New(shop.Options{
			Seed: uint64(rate), Load: rate, Mix: map[string]int{"POST /checkout": 100},
			Faults: []shop.Fault{{Service: "payment", Kind: shop.FaultCapacity, Value: 400}},
		})
		require.NoError(t, shoptest.Traces(s, 0, visits, nil, func(_ *shop.Visit, r *analysis.Result) {
			for i := range r.Spans {
				if name := r.Spans[i].Operation; name == "POST /charges" || name == "POST /quotes" {
					if r.Spans[i].Service == "payment" || r.Spans[i].Service == "shipping" {
						o := of[r.Spans[i].Service]
						of[r.Spans[i].Service] = sums{o.calls + 1, o.busy + r.Spans[i].SelfTime}
					}
				}
			}
		}))
		return of
	}
	minutes := map[string][]capacity.Minute{}
	for i := range 20 {
		const visits = 40
		rate := 60 + 12*float64(i)
		for service, o := range minute(rate, visits) {
			minutes[service] = append(minutes[service], capacity.Minute{Rate: rate, Latency: float64(o.busy) / float64(o.calls)})
		}
	}
	limit, ok := capacity.FindLimit(minutes["payment"])
	require.True(t, ok)
	require.InDelta(t, 400, limit.Rate, 60)
	require.True(t, limit.Low < 400 && 400 < limit.High, "%v", limit)
	_, ok = capacity.FindLimit(minutes["shipping"])
	require.False(t, ok)

	concurrency := func(rate float64) float64 {
		const visits = 200
		return capacity.Concurrency(minute(rate, visits)["payment"].busy, time.Duration(visits/rate*float64(time.Second)))
	}
	require.InDelta(t, 5, concurrency(300)/concurrency(150), 1)
}
