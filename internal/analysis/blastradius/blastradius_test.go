package blastradius_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/blastradius"
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
	buy, look, browse := blastradius.Entry{Service: "web", Operation: "buy"}, blastradius.Entry{Service: "web", Operation: "look"}, blastradius.Entry{Service: "web"}
	got := blastradius.Observe([]blastradius.Failure{
		{look, 40, 4, 0},
		{buy, 30, 5, 5}, {buy, 90, 3, 1}, // 30 and 30 of 120
		{buy, 1000, 0, 0}, // of which none could be read
		{browse, 7, 0, 0}, {browse, -1, 3, 3},
	})
	require.Equal(t, []blastradius.Suffering{{buy, 1120, 8, 0.5}, {look, 40, 4, 0}, {browse, 7, 0, 0}}, got)
	require.Empty(t, blastradius.Observe(nil))
}

// Who suffers when recommendation fails? It is asked by the home page, the product page and the mobile home, and all of them do without: nobody. When
// inventory fails, whoever needs it fails.
func TestShop(t *testing.T) {
	observe := func(service string) map[string]blastradius.Suffering {
		s := shop.New(shop.Options{Seed: 12, Faults: []shop.Fault{{Service: service, Kind: shop.FaultErrors, Value: 0.5}}})
		var failures []blastradius.Failure
		require.NoError(t, shoptest.Traces(s, 0, 400, nil, func(_ *shop.Visit, r *analysis.Result) {
			for i := range r.Spans {
				if span := &r.Spans[i]; span.Service == service && span.ErrorOrigin {
					f := blastradius.Failure{Entry: blastradius.Entry{Service: r.EntryService, Operation: r.EntryOperation}, Count: 1, Read: 1}
					if r.Spans[r.Tree.Entry].Failing {
						f.Failed = 1
					}
					failures = append(failures, f)
				}
			}
		}))
		by := map[string]blastradius.Suffering{}
		for _, found := range blastradius.Observe(failures) {
			by[found.Entry.Operation] = found
		}
		return by
	}
	spared := observe("recommendation")
	require.Len(t, spared, 3)
	for entry, found := range spared {
		require.Greater(t, found.Failures, int64(4), entry)
		require.InDelta(t, 0, found.Share, 0.1, "%s: the shop's own failures only", entry)
	}
	suffering := observe("inventory")
	require.Len(t, suffering, 3)
	for entry, found := range suffering {
		require.InDelta(t, 1, found.Share, 0, entry)
	}
	require.Contains(t, suffering, "POST /checkout")
}
