package pebblestore

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// clock is a time that tests set.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time   { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) set(t time.Time)  { c.nanos.Store(t.UnixNano()) }
func newClock(t time.Time) *clock { c := &clock{}; c.set(t); return c }

// TestRetention stores a trace on each of five days and keeps two.
func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Retention: 2 * day, Now: clock.now})
	midnight := noon.Truncate(day)
	for n := range 5 {
		clock.set(noon.Add(time.Duration(n) * day))
		require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), n, 1, 2)))
	}
	week := &tracestore.SearchQuery{Start: noon.Add(-day), End: noon.Add(7 * day), Limit: 10}
	left := func() (numbers []byte) {
		for _, row := range mustSearch(t, store, week).Traces {
			numbers = append(numbers, row.TraceID[15])
		}
		return numbers
	}
	require.Equal(t, []byte{4, 3, 2, 1, 0}, left())

	// The first day ends at midnight + 1 d, so it is wholly older than two days at midnight + 3 d, and not a nanosecond earlier.
	for _, step := range []struct {
		now  time.Time
		want []byte
	}{
		{midnight.Add(3*day - 1), []byte{4, 3, 2, 1, 0}},
		{midnight.Add(3 * day), []byte{4, 3, 2, 1}},
		{midnight.Add(5 * day), []byte{4, 3}},
	} {
		clock.set(step.now)
		require.NoError(t, store.dropExpired())
		require.Equal(t, step.want, left())
	}
	_, err := spanCounts(t, store, traceID(0))
	require.ErrorIs(t, err, tracestore.ErrNotFound)
	require.Equal(t, int64(3), store.Stats().DroppedPartitions)
	require.Len(t, store.partitions.of(tenantPrefix("")), 2)

	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Retention: 2 * day, Now: clock.now})
	require.Equal(t, []byte{4, 3}, left())
}

// TestFragmentOfEarlierDay: a fragment belongs to its trace's row, and is a trace of its own when the day of that is dropped.
func TestFragmentOfEarlierDay(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Retention: day, Now: clock.now})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 2, 2)))
	next := noon.Add(day)
	require.NoError(t, store.WriteCall(t.Context(), newCall(next, 1, 1, 3)))
	query := &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: next.Add(time.Hour), Limit: 9}
	rows := mustSearch(t, store, query).Traces
	require.Len(t, rows, 2)
	require.Equal(t, noon.UnixNano(), rows[1].Start)
	counts, err := spanCounts(t, store, traceID(1))
	require.NoError(t, err)
	require.Equal(t, []int{2, 3}, counts)
	require.Len(t, store.partitions.of(tenantPrefix("")), 2)

	clock.set(noon.Add(2 * day))
	require.NoError(t, store.dropExpired())
	rows = mustSearch(t, store, query).Traces
	require.Len(t, rows, 1)
	require.Equal(t, next.UnixNano(), rows[0].Start)
	require.Equal(t, 3, rows[0].SpanCount)
	counts, err = spanCounts(t, store, traceID(1))
	require.NoError(t, err)
	require.Equal(t, []int{3}, counts)

	clock.set(noon.Add(3 * day))
	require.NoError(t, store.dropExpired())
	require.Empty(t, mustSearch(t, store, query).Traces)
}

// TestKeepForEver: retention 0 drops no trace, however old.
func TestKeepForEver(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now})
	old := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, store.WriteCall(t.Context(), newCall(old, 1, 1, 2)))
	require.NoError(t, store.dropExpired())
	page := mustSearch(t, store, &tracestore.SearchQuery{Start: old, End: old.Add(time.Hour), Limit: 9})
	require.Len(t, page.Traces, 1)
}

// TestCallIDs are kept for 24 hours at least, over midnight too, and not for ever.
func TestCallIDs(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now})
	td := newCall(noon, 1, 1, 2)
	for _, step := range []struct {
		after    time.Duration
		repeated int64
		calls    int64
	}{
		{0, 0, 1}, {12 * time.Hour, 1, 1}, {24 * time.Hour, 2, 1}, {60 * time.Hour, 2, 2},
	} {
		clock.set(noon.Add(step.after))
		require.NoError(t, store.dropExpired())
		require.NoError(t, store.WriteCall(t.Context(), td))
		require.Equal(t, step.repeated, store.Stats().RepeatedCalls, step.after)
		require.Equal(t, step.calls, store.Stats().Calls, step.after)
	}
}
