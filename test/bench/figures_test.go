package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	values := []float64{9, 1, 3}
	require.InDelta(t, 3, median(values), 0)
	require.Equal(t, []float64{9, 1, 3}, values, "the caller's order stays")
	require.InDelta(t, 2, median([]float64{3, 1}), 0)
	require.InDelta(t, 5, median([]float64{5}), 0)
}

// The machine is three times as slow in the second round. The stage costs 1 more, 3 more, 2 more.
func TestMedianDifferenceIsByRound(t *testing.T) {
	cost := func(seconds ...int) (readings []reading) {
		for _, s := range seconds {
			readings = append(readings, reading{spans: 2_000_000, cpu: time.Duration(2*s) * time.Second})
		}
		return readings
	}
	require.InDelta(t, 2, medianDifference(cost(4, 12, 5), cost(3, 9, 3)), 1e-9)
}

func TestMeasure(t *testing.T) {
	m := measure{name: "cost", figure: 0.8, target: 0.8, digits: 2, unit: "s"}
	require.True(t, m.pass(), "at most")
	require.Equal(t, "PASS  cost: 0.80, target at most 0.80 s", m.String())
	m.figure = 0.801
	m.note = "how"
	require.Equal(t, "FAIL  cost: 0.80, target at most 0.80 s\n      how", m.String())
	m = measure{name: "cost", target: 1, unit: "s", absent: "it does not start"}
	require.False(t, m.pass(), "a figure that is absent is a miss")
	require.Equal(t, "FAIL  cost: none, target at most 1 s\n      it does not start", m.String())
}

func TestTable(t *testing.T) {
	var out strings.Builder
	printTable(&out, [][]string{{"stage", "CPU"}, {"otlp → nop", "2.60"}, {"b", "12.00"}})
	require.Equal(t, "stage         CPU\notlp → nop   2.60\nb           12.00\n", out.String())
}

func TestConfiguration(t *testing.T) {
	p := pipeline{processors: []component{{"b", map[string]any{"key": 1}}, {id: "a"}}}
	text, err := p.configuration(ports{grpc: 1, health: 2, metrics: 3}, "")
	require.NoError(t, err)
	require.Contains(t, string(text), "processors:\n                - b\n                - a\n", "in their order")
	require.NotContains(t, string(text), "pprof")
	text, err = p.configuration(ports{grpc: 1, health: 2, metrics: 3, profile: 4}, "/tmp/cpu.pprof")
	require.NoError(t, err)
	require.Contains(t, string(text), "save_to_file: /tmp/cpu.pprof")
}

func TestPercentile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	require.InDelta(t, 3, percentile(values, 0.5), 0)
	require.InDelta(t, 5, percentile(values, 0.99), 0)
	require.InDelta(t, 5, percentile(values, 1), 0)
	require.InDelta(t, 7, percentile([]float64{7}, 0.5), 0)
}

func TestNextMilestone(t *testing.T) {
	for n, want := range map[int]int{0: 1e6, 999_999: 1e6, 1e6: 2e6, 2_100_000: 5e6, 7e6: 1e7, 2e8: 5e8} {
		require.Equal(t, want, nextMilestone(n))
	}
}
