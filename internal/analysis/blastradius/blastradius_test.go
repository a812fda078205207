package blastradius_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/rootcause"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestRadius(t *testing.T) {
	buy, look := blastradius.Entry{Service: "web", Operation: "buy"}, blastradius.Entry{Service: "web", Operation: "look"}
	got := blastradius.Radius([]blastradius.Row{{buy, 30}, {buy, 50}, {look, 90}, {look, 80}, {buy, -3}, {blastradius.Entry{}, 5}},
		map[blastradius.Entry]int64{buy: 100, look: 100})
	require.Equal(t, []blastradius.Reach{{look, 100, 0.9, 1}, {buy, 100, 0.5, 0.8}}, got)
	require.Empty(t, blastradius.Radius(nil, nil))
}

func TestObserve(t *testing.T) {
	entry := rootcause.Operation{Service: "web", Operation: "buy"}
	call := func(service string, origin bool) rootcause.Call {
		return rootcause.Call{Callee: rootcause.Operation{Service: service}, Origin: origin}
	}
	got := blastradius.Observe([]rootcause.Trace{
		{Entry: entry, Failed: true, Calls: []rootcause.Call{call("db", true), call("db", false)}},
		{Entry: entry, Calls: []rootcause.Call{call("db", true)}}, // absorbed
		{Entry: entry, Failed: true, Calls: []rootcause.Call{call("db", false)}},
		{Entry: entry, Failed: true, Calls: []rootcause.Call{call("cache", true)}},
	}, "db")
	require.Equal(t, []blastradius.Suffering{{blastradius.Entry{Service: "web", Operation: "buy"}, 3, 2, 1, 0.5}}, got)
	require.Empty(t, blastradius.Observe(nil, "db"))
}

// Who suffers when recommendation fails? It is asked by the home page, the product page and the mobile home, and all of them do without: nobody. When
// inventory fails, whoever needs it fails.
func TestShop(t *testing.T) {
	observe := func(service string) map[string]blastradius.Suffering {
		s := shop.New(shop.Options{Seed: 12, Faults: []shop.Fault{{Service: service, Kind: shop.FaultErrors, Value: 0.5}}})
		var traces []rootcause.Trace
		require.NoError(t, shoptest.Traces(s, 0, 400, nil, func(_ *shop.Visit, r *analysis.Result) {
			traces = append(traces, rootcause.Summarize(r))
		}))
		by := map[string]blastradius.Suffering{}
		for _, found := range blastradius.Observe(traces, service) {
			by[found.Entry.Operation] = found
		}
		return by
	}
	spared := observe("recommendation")
	require.Len(t, spared, 3)
	for entry, found := range spared {
		require.Greater(t, found.Failing, 4, entry)
		require.InDelta(t, 0, found.Share, 0.1, "%s: the shop's own failures only", entry)
	}
	suffering := observe("inventory")
	require.Len(t, suffering, 3)
	for entry, found := range suffering {
		require.InDelta(t, 1, found.Share, 0, entry)
	}
	require.Contains(t, suffering, "POST /checkout")
}
