package contrast_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/contrast"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestDifferences(t *testing.T) {
	var c contrast.Counter
	require.Empty(t, c.Differences(10))
	attribute := func(key, value string) contrast.Attribute {
		return contrast.Attribute{Service: "web", Key: key, Value: value}
	}
	for i := range 100 {
		version := "1"
		if i < 80 {
			version = "2"
		}
		// The same twice counts once; the zone is the same for all.
		c.Add(true, []contrast.Attribute{attribute("version", version), attribute("version", version), attribute("zone", "a")})
	}
	require.Empty(t, c.Differences(10), "no baseline")
	for i := range 200 {
		version := "1"
		if i < 20 {
			version = "2"
		}
		c.Add(false, []contrast.Attribute{attribute("version", version), attribute("zone", "a")})
	}
	got := c.Differences(10)
	require.Len(t, got, 1)
	require.Equal(t, attribute("version", "2"), got[0].Attribute)
	require.InDelta(t, 0.8, got[0].Selected, 1e-12)
	require.InDelta(t, 0.1, got[0].Baseline, 1e-12)
	require.InDelta(t, 0.7, got[0].Excess, 1e-12)
	require.InDelta(t, math.Log(80.5*180.5/(20.5*20.5)), got[0].LogOdds, 1e-12)
	require.Less(t, got[0].Q, 1e-20)
	require.Empty(t, c.Differences(0))
}

func TestCompareLeavesOutWhatCannotBe(t *testing.T) {
	a := contrast.Attribute{Key: "a"}
	require.Empty(t, contrast.Compare([]contrast.Count{{a, 11, 0}, {a, -1, 0}, {a, 1, 11}, {a, 1, -1}}, 10, 10, 5))
	require.Empty(t, contrast.Compare([]contrast.Count{{a, 1, 0}}, 0, 10, 5))
	require.Len(t, contrast.Compare([]contrast.Count{{a, 100, 0}}, 100, 100, 5), 1)
}

// A thousand values that mean nothing: next to none is told, although by chance some are frequent.
func TestManyValuesThatMeanNothing(t *testing.T) {
	told := 0
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var c contrast.Counter
		for i := range 300 {
			var attributes []contrast.Attribute
			for k := range 100 {
				attributes = append(attributes, contrast.Attribute{Key: fmt.Sprint(k), Value: fmt.Sprint(rng.IntN(10))})
			}
			c.Add(i%3 == 0, attributes)
		}
		told += len(c.Differences(100))
	}
	require.LessOrEqual(t, told, 1)
}

func TestCounterIsBounded(t *testing.T) {
	var c contrast.Counter
	for i := range contrast.MaxAttributes + 10 {
		c.Add(i%2 == 0, []contrast.Attribute{{Key: "id", Value: fmt.Sprint(i)}})
	}
	require.EqualValues(t, 10, c.Dropped)
	require.Empty(t, c.Differences(10))
}

// The newer version of catalog, a quarter of its pods, is slow: its version explains which traces are.
func TestShop(t *testing.T) {
	s := shop.New(shop.Options{Seed: 9, Faults: []shop.Fault{{Service: "catalog", Version: "8.12.0", Kind: shop.FaultLatency, Value: 40}}})
	keys := []string{"service.version", "cloud.availability_zone", "http.request.method", "k8s.deployment.name", "db.system.name"}
	var c contrast.Counter
	var attributes []contrast.Attribute
	require.NoError(t, shoptest.Traces(s, 0, 600, nil, func(_ *shop.Visit, r *analysis.Result) {
		if r.EntryOperation == "GET /" || r.EntryOperation == "GET /v2/home" {
			attributes = contrast.Read(attributes[:0], r, keys)
			c.Add(r.RootDuration > 45e6, attributes)
		}
	}))
	got := c.Differences(3)
	require.NotEmpty(t, got)
	require.Equal(t, contrast.Attribute{Service: "catalog", Key: "service.version", Value: "8.12.0"}, got[0].Attribute)
	require.Greater(t, got[0].Excess, 0.5)
}
