package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis/rootcause"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// A few of the measure's scenarios, small, with faults that show in little traffic; make eval-rca is the measure.
func TestSuspects(t *testing.T) {
	const normalVisits, incidentVisits = 700, 350
	normal, err := newWindow(shop.Options{Seed: 1}, normalVisits)
	require.NoError(t, err)
	for i, s := range []scenario{
		{name: "slow leaf", faults: []shop.Fault{{Service: "currency", Kind: shop.FaultLatency, Value: 6}}},
		{name: "failing middle", faults: []shop.Fault{{Service: "pricing", Kind: shop.FaultErrors, Value: 0.3}}},
		{name: "absorbed retries", faults: []shop.Fault{{Service: "inventory", Kind: shop.FaultOverload, Value: 0.4}}},
		{name: "absorbed retries of a caller", faults: []shop.Fault{{Service: "storefront", Kind: shop.FaultRetries, Value: 0.4}}},
		{name: "surge", mix: map[string]int{"POST /checkout": 4}},
	} {
		t.Run(s.name, func(t *testing.T) {
			incident, err := newWindow(shop.Options{Seed: uint64(i + 2), Faults: s.faults, Mix: s.mix}, incidentVisits)
			require.NoError(t, err)
			o := judge(s, normal, incident)
			require.True(t, o.right(), "%+v", o.suspects)
		})
	}
}

func TestScenarios(t *testing.T) {
	faulty, healthy := scenarios(7)
	require.Len(t, faulty, ofFaulty)
	require.NotEmpty(t, healthy)
	again, _ := scenarios(7)
	require.Equal(t, faulty, again)
	other, _ := scenarios(8)
	require.NotEqual(t, faulty, other)
	for _, s := range faulty {
		require.NotEmpty(t, s.faults)
		for _, f := range s.faults {
			require.GreaterOrEqual(t, shop.ServiceIndex(f.Service), 0)
		}
		if len(s.faults) == 2 {
			require.NotEqual(t, s.faults[0].Service, s.faults[1].Service)
		}
	}
}

// The report passes at the target and fails below it, when somebody healthy is named, and when a naive ranking is as good.
func TestReport(t *testing.T) {
	fault := []shop.Fault{{Service: "cart", Kind: shop.FaultErrors, Value: 0.5}}
	run := func(right, naive, healthyNamed int) *report {
		var outcomes []outcome
		for i := range ofFaulty {
			o := outcome{scenario: scenario{name: "failing", faults: fault}, suspects: []rootcause.Suspect{{Service: "cart", Confidence: 1}}}
			if i < right {
				o.place = 1
			}
			if i < naive {
				o.errors = 1
			}
			outcomes = append(outcomes, o)
		}
		healthy := outcome{scenario: scenario{name: "surge"}}
		for range healthyNamed {
			healthy.suspects = append(healthy.suspects, rootcause.Suspect{Service: "auth"})
		}
		return newReport(append(outcomes, healthy))
	}
	require.True(t, run(18, 3, 0).passed())
	require.False(t, run(17, 3, 0).passed())
	require.False(t, run(20, 20, 0).passed())
	require.False(t, run(20, 3, 1).passed())
	var out bytes.Buffer
	run(17, 3, 0).print(&out)
	require.Contains(t, out.String(), "17 of 20   at least 18 of 20     FAIL")
	require.Contains(t, out.String(), "MISS failing  cart:errors=50%")
}

func TestFlags(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"--seed", "xyz"}), "--seed")
	require.ErrorContains(t, run(t.Context(), []string{"--seed", "1", "--runs", "0"}), "--runs")
}
