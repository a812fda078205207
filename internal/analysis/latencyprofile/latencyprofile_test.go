package latencyprofile_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/latencyprofile"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestNew(t *testing.T) {
	// Ten requests of 100 each: 60 in the shop, 40 in two calls of the database of 20 each. Before, five of 50: 30 and one call of 20; the cache is gone.
	now := latencyprofile.Window{Traces: 10, Rows: []latencyprofile.Row{
		{Service: "shop", Operation: "GET", Calls: 10, PathTime: 600}, {Service: "db", Operation: "SELECT", Calls: 20, PathTime: 400},
	}}
	before := latencyprofile.Window{Traces: 5, Rows: []latencyprofile.Row{
		{Service: "shop", Operation: "GET", Calls: 5, PathTime: 150},
		{Service: "db", Operation: "SELECT", Calls: 5, PathTime: 50},
		{Service: "db", Operation: "SELECT", Calls: 0, PathTime: 25},
		{Service: "cache", Operation: "GET", Calls: 5, PathTime: 25},
	}}
	p := latencyprofile.New(now, before)
	require.InDelta(t, 100, p.Now, 1e-9)
	require.InDelta(t, 50, p.Before, 1e-9)
	require.InDelta(t, 50, p.Change, 1e-9)
	require.Equal(t, []latencyprofile.Part{
		{Service: "shop", Operation: "GET", Now: 60, Before: 30, Share: 0.6, CallsNow: 1, CallsBefore: 1, Change: 30, ByTime: 30},
		// One more call, of 20 and 15 in the mean: 17.5; the calls took 5 more each, of which there were 1.5 in the mean: 7.5.
		{Service: "db", Operation: "SELECT", Now: 40, Before: 15, Share: 0.4, CallsNow: 2, CallsBefore: 1, Change: 25, ByCalls: 17.5, ByTime: 7.5},
		{Service: "cache", Operation: "GET", Before: 5, CallsBefore: 1, Change: -5, ByCalls: -5},
	}, p.Parts)
	require.Equal(t, p.Parts[:1], p.Explaining(0.5))
	require.Equal(t, p.Parts[:2], p.Explaining(0.9))
	require.Len(t, p.Explaining(2), 2, "the cache explains nothing of a rise")
	require.Equal(t, "db", p.ByService()[1].Service)

	empty := latencyprofile.New(latencyprofile.Window{}, latencyprofile.Window{})
	require.Empty(t, empty.Parts)
	require.Empty(t, empty.Explaining(1))
	fresh := latencyprofile.New(now, latencyprofile.Window{})
	require.InDelta(t, fresh.Now, fresh.Change, 1e-9)
}

// Whatever the rows, the parts add up, and nothing is NaN.
func TestPartsAddUp(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		window := func() latencyprofile.Window {
			w := latencyprofile.Window{Traces: rng.Int64N(5) - 1}
			for range rng.IntN(8) {
				w.Rows = append(w.Rows, latencyprofile.Row{
					Service: strconv.Itoa(rng.IntN(3)), Operation: strconv.Itoa(rng.IntN(2)), Calls: rng.Int64N(5) - 1,
					PathTime: []int64{0, -5, rng.Int64N(1e9), math.MaxInt64}[rng.IntN(4)],
				})
			}
			return w
		}
		p := latencyprofile.New(window(), window())
		var now, before, change, share float64
		for _, part := range p.Parts {
			now, before, change, share = now+part.Now, before+part.Before, change+part.Change, share+part.Share
			require.InEpsilon(t, 1+math.Abs(part.Change), 1+math.Abs(part.ByCalls+part.ByTime), 1e-9)
			for _, f := range []float64{part.Now, part.Before, part.Share, part.Change, part.ByCalls, part.ByTime} {
				require.False(t, math.IsNaN(f) || math.IsInf(f, 0))
			}
		}
		require.Equal(t, p.Now, now)
		require.Equal(t, p.Before, before)
		require.InDelta(t, p.Now-p.Before, change, 1+1e-9*(p.Now+p.Before))
		if p.Now > 0 {
			require.InDelta(t, 1, share, 1e-9)
		}
	}
}

// payment works five times as long: checkout's latency rises by what payment's own work adds, and that part explains it.
func TestShop(t *testing.T) {
	window := func(seed uint64, faults ...shop.Fault) (w latencyprofile.Window, mean float64) {
		rows := map[[2]string]*latencyprofile.Row{}
		sum := int64(0)
		s := shop.New(shop.Options{Seed: seed, Faults: faults, Mix: map[string]int{"POST /checkout": 100}})
		require.NoError(t, shoptest.Traces(s, 0, 250, nil, func(v *shop.Visit, r *analysis.Result) {
			if r.EntryOperation != "POST /checkout" || v.Traces[0].Errors > 0 {
				return // what failed is not slow
			}
			w.Traces++
			sum += v.Spans[0].End - v.Spans[0].Start
			for _, span := range r.Spans {
				row := rows[[2]string{span.Service, span.Operation}]
				if row == nil {
					row = &latencyprofile.Row{Service: span.Service, Operation: span.Operation}
					rows[[2]string{span.Service, span.Operation}] = row
				}
				row.Calls++
				row.PathTime += span.CriticalPathTime
			}
		}))
		for _, row := range rows {
			w.Rows = append(w.Rows, *row)
		}
		return w, float64(sum) / float64(w.Traces)
	}
	before, meanBefore := window(1)
	now, meanNow := window(2, shop.Fault{Service: "payment", Kind: shop.FaultLatency, Value: 20})
	p := latencyprofile.New(now, before)
	require.InDelta(t, meanNow, p.Now, 1, "the parts add up to the mean duration of the requests")
	require.InDelta(t, meanBefore, p.Before, 1)
	parts := p.Explaining(0.5)
	require.Equal(t, "payment", parts[0].Service)
	require.Equal(t, "POST /charges", parts[0].Operation)
	// Own work of log-normal 2.5 ms, σ 0.6, is 3 ms in the mean; 19 times that is added.
	require.InDelta(t, 57e6, parts[0].ByTime, 8e6)
	require.InDelta(t, 0, parts[0].ByCalls, 1e6)
}
