package insights

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func attributeSum(entry, key, value string, traces, errors, slow int64) AttributeSum {
	return AttributeSum{Entry: of("web", entry), Service: "web", Key: key, Value: value, Traces: traces, Errors: errors, Slow: slow, Judged: traces}
}

// node gives requests of two entries to three nodes, of which c is bad.
func node(errors, slow int64) []AttributeSum {
	return []AttributeSum{
		attributeSum("buy", "node", "a", 100, 1, 5), attributeSum("buy", "node", "b", 100, 1, 5), attributeSum("buy", "node", "c", 100, 1+errors, 5+slow),
		attributeSum("look", "node", "a", 50, 0, 2), attributeSum("look", "node", "b", 50, 0, 2), attributeSum("look", "node", "c", 50, 0, 2),
	}
}

func TestOutlierAttributes(t *testing.T) {
	now := window(sampled(10, nil))
	require.Empty(t, OutlierAttributes(now, &Window{}))
	now.Attributes = node(40, 0)
	found := OutlierAttributes(now, &Window{})
	sound(t, found)
	require.Len(t, found, 1)
	i := &found[0]
	require.Equal(t, KindOutlierAttribute, i.Kind)
	require.Equal(t, UrgencyIncident, i.Urgency)
	require.Equal(t, "web", i.Service)
	require.Equal(t, Attribute{"node", "c"}, i.Attribute)
	require.EqualValues(t, 150, i.Requests)
	require.EqualValues(t, 40, i.SavedFailures, "41, of which one were expected")
	require.Zero(t, i.SavedTime)
	require.Equal(t, of("web", "buy"), i.Entries[0].Operation)
	require.Equal(t, []Figure{
		figure("requests with a failure, and of the same with other values", UnitShare, 41./150, 1./150),
		figure(`of "buy" alone`, UnitShare, 0.41, 0.01),
	}, i.Evidence)
	require.Equal(t, "Requests fail more often where web has node=c: 27 %, with other values 0.7 %", i.Title)

	// Half of the requests in which a failure begins do not fail as a whole.
	now.Samples = sampled(10, func(i int, s *Sample) { s.Trace.Calls[2].Origin, s.Trace.Failed = true, i%2 == 0 })
	require.EqualValues(t, 20, OutlierAttributes(now, &Window{})[0].SavedFailures)

	// It was so before; and it was half as bad.
	require.Equal(t, UrgencyImprovement, OutlierAttributes(now, &Window{Attributes: node(35, 0)})[0].Urgency)
	require.Equal(t, UrgencyIncident, OutlierAttributes(now, &Window{Attributes: node(15, 0)})[0].Urgency)
}

func TestOutlierAttributesThatAreSlow(t *testing.T) {
	now := window(nil)
	now.Attributes = node(0, 30)
	// 45 of 300 requests are slow, the last of which take 110 ms and the others 10.
	now.EntryDurations = map[Operation][]Bin{of("web", "buy"): {{10e6, 255}, {110e6, 45}}}
	found := OutlierAttributes(now, &Window{})
	sound(t, found)
	require.Len(t, found, 1)
	i := &found[0]
	require.EqualValues(t, 30*100e6/150, i.SavedTime, "30 more than expected wait 100 ms, of 150")
	require.Zero(t, i.SavedFailures)
	require.Equal(t, []Figure{
		figure("requests that are slow, and of the same with other values", UnitShare, 37./150, 7./150),
		{`"buy" is slow, this time, from about`, UnitNS, 110e6, nil},
		figure("mean time of these, and of the others", UnitNS, 110e6, 10e6),
		figure(`of "buy" alone`, UnitShare, 0.35, 0.05),
	}, i.Evidence)
}

func TestOutlierAttributesThatAreNone(t *testing.T) {
	for name, sums := range map[string][]AttributeSum{
		"a code says how it ended": {attributeSum("buy", "http.response.status_code", "200", 100, 0, 0), attributeSum("buy", "http.response.status_code", "500", 100, 100, 0)},
		"the others as one":        {attributeSum("buy", "node", "a", 100, 0, 0), attributeSum("buy", "node", "other", 100, 100, 0)},
		"no others":                {attributeSum("buy", "node", "a", 100, 90, 0)},
		"too few":                  {attributeSum("buy", "node", "a", 1000, 0, 0), attributeSum("buy", "node", "b", 29, 29, 0)},
		"less than a point":        {attributeSum("buy", "node", "a", 1e6, 10_000, 0), attributeSum("buy", "node", "b", 1e6, 19_000, 0)},
		"counts that cannot be":    {attributeSum("buy", "node", "a", 100, 0, 0), attributeSum("buy", "node", "b", 100, 101, -1)},
		// c is asked for what fails everywhere.
		"an entry that fails": {
			attributeSum("buy", "node", "a", 50, 25, 0), attributeSum("buy", "node", "c", 950, 475, 0),
			attributeSum("look", "node", "a", 950, 0, 0), attributeSum("look", "node", "c", 50, 0, 0),
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := window(nil)
			now.Attributes = sums
			require.Empty(t, OutlierAttributes(now, &Window{}))
		})
	}
}

func TestOutlierAttributesOfTheSameRequests(t *testing.T) {
	now := window(nil)
	now.Attributes = node(40, 0)
	for _, s := range node(40, 0) {
		s.Key, s.Value = "zone", "z"+s.Value
		now.Attributes = append(now.Attributes, s)
	}
	found := OutlierAttributes(now, &Window{})
	require.Len(t, found, 1)
	require.Equal(t, Attribute{"node", "c"}, found[0].Attribute)
	require.Contains(t, found[0].Advice, "The same requests have zone=zc.")
}

// Values that mean nothing are not told for being lucky.
func TestOutlierAttributesByChance(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 5))
		now := window(nil)
		for entry := range 20 {
			failing := rng.Float64() / 4
			for key := range 3 {
				for value := range 20 {
					s := attributeSum(fmt.Sprint(entry), fmt.Sprint(key), fmt.Sprint(value), 10+rng.Int64N(200), 0, 0)
					for range s.Traces {
						s.Errors += int64(one(rng.Float64() < failing))
						s.Slow += int64(one(rng.Float64() < 0.05))
					}
					now.Attributes = append(now.Attributes, s)
				}
			}
		}
		require.Empty(t, OutlierAttributes(now, &Window{}), seed)
	}
}

func TestSlowestOf(t *testing.T) {
	bins := []Bin{{10, 6}, {20, 2}, {40, 2}}
	from, slowest, rest := slowestOf(bins, 0.3)
	require.InDelta(t, 20, from, 0)
	require.InDelta(t, (40*2+20)/3., slowest, 1e-9)
	require.InDelta(t, (10*6+20)/7., rest, 1e-9)
	for _, share := range []float64{0, 1} {
		from, slowest, rest = slowestOf(bins, share)
		require.Zero(t, from+slowest+rest)
	}
}
