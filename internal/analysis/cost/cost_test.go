package cost_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/cost"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestBills(t *testing.T) {
	buy, look := cost.Entry{Service: "web", Operation: "buy"}, cost.Entry{Service: "web", Operation: "look"}
	got := cost.Bills([]cost.Row{
		{buy, "web", 2e9}, {buy, "pay", 1e9}, {buy, "pay", 1e9}, {look, "web", 10e9}, {look, "cache", 5e9}, {look, "bad", 3e9}, {look, "web", -7},
	}, map[cost.Entry]int64{buy: 4}, cost.Prices{"web": 0.5, "pay": 3, "bad": math.NaN(), "worse": math.Inf(1)})
	require.Equal(t, []cost.Bill{
		{Entry: buy, Traces: 4, Cost: 7, PerTrace: 1.75, Services: []cost.ServiceCost{{"pay", 2e9, 6}, {"web", 2e9, 1}}},
		{Entry: look, Cost: 5, Services: []cost.ServiceCost{{"web", 10e9, 5}}, UnpricedTime: 8e9},
	}, got)
	require.Empty(t, cost.Bills(nil, nil, nil))
	dear := cost.Bills([]cost.Row{{buy, "web", math.MaxInt64}, {buy, "pay", math.MaxInt64}}, nil, cost.Prices{"web": math.MaxFloat64, "pay": math.MaxFloat64})
	require.False(t, math.IsInf(dear[0].Cost, 0))
}

// A price table over the shop, held to what the simulation itself says: the time in which spans of a service work and their children do not.
func TestShop(t *testing.T) {
	prices := cost.Prices{"payment": 0.002, "checkout": 0.001, "storefront": 0.004}
	entry := cost.Entry{Service: "edge-proxy", Operation: "POST /checkout"}
	traces := map[cost.Entry]int64{}
	var rows []cost.Row
	want, visits := 0.0, 0
	s := shop.New(shop.Options{Seed: 6})
	require.NoError(t, shoptest.Traces(s, 0, 500, nil, func(v *shop.Visit, r *analysis.Result) {
		e := cost.Entry{Service: r.EntryService, Operation: r.EntryOperation}
		traces[e]++
		for i := range r.Spans {
			rows = append(rows, cost.Row{Entry: e, Service: r.Spans[i].Service, BusyTime: r.Spans[i].SelfTime})
		}
		if v.Spans[0].Name == entry.Operation {
			visits++
			want += worth(v, prices)
		}
	}))
	for _, bill := range cost.Bills(rows, traces, prices) {
		if bill.Entry == entry {
			require.InEpsilon(t, want, bill.Cost, 1e-9)
			require.InEpsilon(t, want/float64(visits), bill.PerTrace, 1e-9)
			require.Equal(t, "payment", bill.Services[0].Service)
			require.Positive(t, bill.UnpricedTime)
			return
		}
	}
	t.Fatal("no bill of the checkout")
}

// worth is what a visit costs, by the time in which a span runs and none of its children does.
func worth(v *shop.Visit, prices cost.Prices) (sum float64) {
	for i := range v.Spans {
		var children []shop.Span
		for _, child := range v.Spans {
			if child.Parent == i && child.Kind != shop.Consumer {
				children = append(children, child)
			}
		}
		slices.SortFunc(children, func(a, b shop.Span) int { return cmp.Compare(a.Start, b.Start) })
		span := &v.Spans[i]
		busy, covered := int64(0), span.Start
		for _, child := range children {
			busy += max(0, child.Start-covered)
			covered = max(covered, child.End)
		}
		sum += float64(busy+max(0, span.End-covered)) / 1e9 * prices[shop.Services()[span.Service].Name]
	}
	return sum
}
