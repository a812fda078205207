package traceassemblyprocessor

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var quietTest = QuietConfig{Min: time.Second, Max: 10 * time.Second}

func TestQuietPeriods(t *testing.T) {
	checkout, search := operation{"web", "checkout"}, operation{"web", "search"}
	q := newQuietPeriods(quietTest)
	require.Equal(t, 10*time.Second, q.period(checkout, time.Hour), "nothing learned yet")

	for i := range 1000 { // of 1000 gaps 2 % take 4s: so does the 99th percentile
		gap := 50 * time.Millisecond
		if i%50 == 0 {
			gap = 4 * time.Second
		}
		q.released(checkout, gap, 0)
	}
	require.InEpsilon(t, 4*time.Second, q.period(checkout, time.Hour), quietAccuracy)
	require.InEpsilon(t, 4*time.Second, q.period(search, time.Hour), quietAccuracy, "an unknown entry uses the sketch of all")
	require.InEpsilon(t, 4*time.Second, q.period(operation{}, time.Hour), quietAccuracy)
	for range 1000 {
		q.released(search, time.Millisecond, 0)
	}
	require.Equal(t, time.Second, q.period(search, time.Hour), "not below min")
	for range 1000 {
		q.released(search, time.Minute, 0)
	}
	require.Equal(t, 10*time.Second, q.period(search, time.Hour), "not above max")
}

func TestQuietPeriodsFade(t *testing.T) {
	q := newQuietPeriods(quietTest)
	old := operation{"web", "old"}
	for range 1000 {
		q.released(old, 5*time.Second, 0)
	}
	now := time.Duration(0)
	for range 12 { // 1000 gaps fade below 1 in 10 minutes
		now += time.Minute
		q.released(operation{"web", "new"}, time.Second, now)
	}
	require.NotContains(t, q.entries, old)
	q.released(old, time.Second, 1000*time.Hour) // returns at once
	require.Equal(t, 10*time.Second, q.period(old, time.Hour))
}

func TestQuietPeriodsAreBounded(t *testing.T) {
	q := newQuietPeriods(quietTest)
	for i := range 2 * quietEntries {
		q.released(operation{"web", fmt.Sprint(i)}, time.Second, 0)
	}
	require.Len(t, q.entries, quietEntries)
}

// TestQuietPeriodIsLearned releases an incomplete trace soon, once its entry operation is known to have short gaps.
func TestQuietPeriodIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		for trace := range uint64(300) {
			f.send(testSpan{trace: 1 + trace, id: 1})
			f.wait(20 * time.Millisecond)
			f.send(testSpan{trace: 1 + trace, id: 2, parent: 1})
		}
		f.wait(2 * time.Second)
		begin := time.Now()
		f.send(testSpan{trace: 999, id: 1}, testSpan{trace: 999, id: 2, parent: 5})
		f.wait(20 * time.Second)
		require.Equal(t, "quiet", f.sink.of(999)[0].Outcome)
		require.Equal(t, 1050*time.Millisecond, f.sink.at[len(f.sink.at)-1].Sub(begin))
		f.stop()
	})
}

// TestQuietPeriodsWidenAndNarrow judges a sketch by the traces that got late spans.
func TestQuietPeriodsWidenAndNarrow(t *testing.T) {
	entry := operation{"web", "checkout"}
	q := newQuietPeriods(quietTest)
	traces := func(n int) {
		for range n {
			q.released(entry, 2*time.Second, 0)
		}
	}
	period := func() float64 { return q.period(entry, time.Hour).Seconds() }
	traces(300)
	require.InEpsilon(t, 2, period(), quietAccuracy)
	q.late(entry, 2*time.Second) // 1 of 100, not more than 1 %
	require.InEpsilon(t, 2, period(), quietAccuracy)
	q.late(entry, 20*time.Second) // longer than max: no wait would have caught it
	require.InEpsilon(t, 2, period(), quietAccuracy)
	q.late(entry, 2*time.Second) // 2 of 100
	require.InEpsilon(t, 3, period(), quietAccuracy)
	traces(150)
	q.late(entry, 2*time.Second)
	require.InEpsilon(t, 3, period(), quietAccuracy, "1 of 150 is not seen as too many by itself")
	q.late(entry, 2*time.Second)
	require.InEpsilon(t, 4.5, period(), quietAccuracy)
	traces(narrowAfter)
	require.InEpsilon(t, 3.6, period(), quietAccuracy)
	traces(10 * narrowAfter)
	require.InEpsilon(t, 2, period(), quietAccuracy, "not below what the sketch says")
}

// TestQuietPeriodsWatchFirst do not believe traces without gaps before there was time for any with.
func TestQuietPeriodsWatchFirst(t *testing.T) {
	q := newQuietPeriods(quietTest)
	entry := operation{"web", "checkout"}
	for range 1000 {
		q.released(entry, 0, 5*time.Second)
	}
	require.Equal(t, 10*time.Second, q.period(entry, 6*time.Second))
	require.True(t, q.young(entry, 6*time.Second))
	require.Equal(t, time.Second, q.period(entry, 7*time.Second))
	require.False(t, q.young(entry, 7*time.Second))
}
