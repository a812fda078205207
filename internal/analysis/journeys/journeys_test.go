package journeys_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/journeys"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

const minute = int64(time.Minute)

func ids(groups [][]*journeys.Visit) (out []string) {
	for _, g := range groups {
		text := ""
		for _, v := range g {
			text += v.TraceID
		}
		out = append(out, text)
	}
	return out
}

func TestGroup(t *testing.T) {
	visits := []journeys.Visit{
		{TraceID: "c", Session: "s1", Start: 300 * minute},
		{TraceID: "a", Session: "s1", Start: 10 * minute}, // a session has no end
		{TraceID: "b", User: "u1", Start: 20 * minute, Duration: minute},
		{TraceID: "d", User: "u1", Start: 51 * minute}, // 30 after the end
		{TraceID: "e", User: "u1", Start: 82 * minute}, // 31 after the end
		{TraceID: "f", Start: 90 * minute, Links: []string{"e", "nowhere"}},
		{TraceID: "g", Start: 91 * minute},
		{TraceID: "h", User: "u1", Session: "s2", Start: 92 * minute}, // a session of its own, though the same user
	}
	require.Equal(t, []string{"ac", "bd", "ef", "g", "h"}, ids(journeys.Group(visits)))
	slices.Reverse(visits)
	require.Equal(t, []string{"ac", "bd", "ef", "g", "h"}, ids(journeys.Group(visits)))
	require.Empty(t, journeys.Group(nil))
	require.Equal(t, journeys.MaxVisits, len(journeys.Group(make([]journeys.Visit, journeys.MaxVisits+1)))) //nolint:testifylint // Len prints them all
}

func TestFollow(t *testing.T) {
	step := func(name string) journeys.Step { return journeys.Step{Service: "web", Operation: name} }
	at := func(session, name string, start, duration int64, failed bool) journeys.Visit {
		return journeys.Visit{
			TraceID: fmt.Sprint(session, start), Session: session, Service: "web", Operation: name, Start: start, Duration: duration, Failed: failed,
		}
	}
	got := journeys.Follow(journeys.Group([]journeys.Visit{
		at("1", "look", 0, 10, false), at("1", "help", 15, 1, false), at("1", "cart", 20, 5, false), at("1", "cart", 25, 500, false), at("1", "pay", 50, 30, true),
		at("2", "cart", 5, 7, false), at("2", "look", 10, 20, false), at("2", "pay", 60, 1, false), // never in the order
		at("3", "look", 0, 30, false), at("3", "cart", 100, 9, false),
	}), []journeys.Step{step("look"), step("cart"), step("pay")})
	require.Equal(t, 3, got.Journeys)
	require.InDelta(t, 1.0/3, got.Conversion, 1e-12)
	require.EqualValues(t, 80, got.P50)
	require.EqualValues(t, 80, got.P95)
	require.Equal(t, []journeys.StepStatistics{
		{Step: step("look"), Reached: 3, Conversion: 1, P50: 20, P95: 30},
		{Step: step("cart"), Reached: 2, Conversion: 2.0 / 3, P50: 5, P95: 9, P50Since: 20, P95Since: 100},
		{Step: step("pay"), Reached: 1, Failed: 1, Conversion: 0.5, P50: 30, P95: 30, P50Since: 30, P95Since: 30},
	}, got.Steps)
	require.Empty(t, got.WorseThan(&got))
	require.Empty(t, got.WorseThan(new(journeys.Funnel)))
	require.Empty(t, journeys.Follow(nil, nil).Steps)
	require.Equal(t, 0, journeys.Follow(nil, []journeys.Step{step("a")}).Steps[0].Reached)
}

// Customers of the shop come three minutes apart: 70 % get to the cart, 60 % of these to the checkout; and when payment is slow, it is the journey's last
// step that is.
func TestShop(t *testing.T) {
	follow := func(seed uint64, faults ...shop.Fault) (journeys.Funnel, []journeys.Route) {
		s := shop.New(shop.Options{Seed: seed, Journeys: true, Faults: faults})
		var visits []journeys.Visit
		between := func(i int) int64 { return int64(i/3)*int64(time.Second) + int64(i%3)*3*minute }
		require.NoError(t, shoptest.Traces(s, 0, 900, between, func(_ *shop.Visit, r *analysis.Result) {
			visits = append(visits, journeys.Read(r))
		}))
		var steps []journeys.Step
		for _, name := range shop.JourneySteps {
			steps = append(steps, journeys.Step{Service: "edge-proxy", Operation: name})
		}
		groups := journeys.Group(visits)
		return journeys.Follow(groups, steps), journeys.Routes(groups, 5)
	}
	before, routes := follow(1)
	require.GreaterOrEqual(t, before.Journeys, 300)
	require.InDelta(t, 0.7, float64(before.Steps[1].Reached)/300, 0.08)
	require.InDelta(t, 0.6, before.Steps[2].Conversion, 0.1)
	require.Equal(t, 3*minute, before.Steps[1].P50Since)
	require.InDelta(t, float64(6*minute), float64(before.P50), float64(minute))
	require.Equal(t, shop.JourneySteps[2], routes[0].Steps[2].Operation, "the commonest route is all three")

	after, _ := follow(2, shop.Fault{Service: "payment", Kind: shop.FaultLatency, Value: 200})
	require.InDelta(t, float64(before.Steps[1].P50), float64(after.Steps[1].P50), 5e6)
	require.Greater(t, after.Steps[2].P50, 2*before.Steps[2].P50)
	worse := after.WorseThan(&before)
	require.Len(t, worse, 1)
	require.Equal(t, shop.JourneySteps[2], worse[0].Operation)
	require.Equal(t, journeys.WorseDuration, worse[0].What)
	require.Less(t, worse[0].Probability, 1e-6)
	require.Greater(t, worse[0].After, 2*worse[0].Before)
	require.Empty(t, before.WorseThan(&after), "faster is not worse")

	failing, _ := follow(3, shop.Fault{Service: "cart", Kind: shop.FaultErrors, Value: 0.5})
	var what []string
	for _, w := range failing.WorseThan(&before) {
		what = append(what, w.Operation+" "+w.What)
	}
	require.Equal(t, []string{shop.JourneySteps[1] + " errors", shop.JourneySteps[2] + " errors"}, what)
}
