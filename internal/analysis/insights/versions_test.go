package insights

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// did is what a version of cart did: calls that take from 0.8 to 1.2 times the typical time.
func did(version string, calls, failed int64, typical float64) OperationSum {
	s := OperationSum{Operation: of("cart", "get"), Version: version, Serves: true, Calls: calls, Errors: failed, SelfTime: int64(typical) * calls, MeanTime: typical}
	for i := range calls {
		s.Log.Add(math.Log(typical) + 0.2*(float64(i%3)-1))
	}
	return s
}

func TestVersionRegressions(t *testing.T) {
	internal := did("2", 1000, 0, 9e6)
	internal.Serves = false
	for name, test := range map[string]struct {
		now, before []OperationSum
		title       string
		urgency     Urgency
		saved       int64
		failures    int64
	}{
		"nothing":         {},
		"one version":     {now: []OperationSum{did("1", 1000, 500, 9e6)}},
		"equals":          {now: []OperationSum{did("1", 1000, 5, 5e6), did("2", 500, 3, 5.5e6)}},
		"too few calls":   {now: []OperationSum{did("1", 1000, 0, 5e6), did("2", 20, 20, 50e6)}},
		"no server spans": {now: []OperationSum{did("1", 1000, 0, 5e6), internal}},
		"slower beside others": {
			now: []OperationSum{did("1", 1000, 0, 5e6), did("2", 500, 0, 10e6)}, before: []OperationSum{did("1", 1000, 0, 5e6)},
			title: `cart 2 is slower than other versions: "get" takes 10ms, others 5ms`, urgency: UrgencyIncident, saved: 5e6,
		},
		"slower than before, where all are new": {
			now: []OperationSum{did("2", 500, 0, 10e6)}, before: []OperationSum{did("1", 1000, 0, 5e6)},
			title: `cart 2 is slower than other versions: "get" takes 10ms, others 5ms`, urgency: UrgencyIncident, saved: 5e6,
		},
		"fails more": {
			now:   []OperationSum{did("1", 1000, 10, 5e6), did("2", 500, 105, 5e6)},
			title: `cart 2 fails more than other versions: 21 % of "get", others 1.0 %`, urgency: UrgencyIncident, failures: 100,
		},
		"as slow before": {
			now: []OperationSum{did("1", 1000, 0, 5e6), did("2", 500, 0, 10e6)}, before: []OperationSum{did("1", 1000, 0, 5e6), did("2", 500, 0, 9e6)},
			title: `cart 2 is slower than other versions: "get" takes 10ms, others 5ms`, urgency: UrgencyImprovement, saved: 5e6,
		},
		"a little slow before": {
			now: []OperationSum{did("1", 1000, 0, 5e6), did("2", 500, 0, 25e6)}, before: []OperationSum{did("1", 1000, 0, 5e6), did("2", 500, 0, 6.5e6)},
			title: `cart 2 is slower than other versions: "get" takes 25ms, others 5ms`, urgency: UrgencyIncident, saved: 20e6,
		},
	} {
		found := VersionRegressions(&Window{Traces: 2000, Operations: test.now}, &Window{Operations: test.before})
		sound(t, found)
		if test.title == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, test.title, found[0].Title, name)
		require.Equal(t, test.urgency, found[0].Urgency, name)
		require.Equal(t, "2", found[0].Version)
		require.EqualValues(t, 500, found[0].Requests, name)
		require.Equal(t, test.saved, found[0].SavedTime, name)
		require.Equal(t, test.failures, found[0].SavedFailures, name)
	}
}

// Sums of the same version, of several kinds of spans, are one.
func TestVersionsAddUp(t *testing.T) {
	half, other := did("2", 250, 5, 10e6), did("2", 250, 15, 20e6)
	sums := byVersion([]OperationSum{half, other})[serviceVersion{"cart", "2"}]["get"]
	require.EqualValues(t, 500, sums.Calls)
	require.EqualValues(t, 20, sums.Errors)
	require.InDelta(t, 15e6, sums.MeanTime, 1)
	all := new(statistics.Moments)
	all.Merge(&half.Log)
	all.Merge(&other.Log)
	require.InDelta(t, all.Variance(), sums.Log.Variance(), 1e-12)
}
