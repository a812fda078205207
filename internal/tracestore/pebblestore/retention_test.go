package pebblestore

import (
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
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
// TestCallIDs: a call is known for a day at least on which others are written, and however long none are.
func TestCallIDs(t *testing.T) {
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: clock.now})
	td := newCall(noon, 1, 1, 2)
	for _, step := range []struct {
		after    time.Duration
		repeated int64
		calls    int64
	}{
		{0, 0, 1}, {12 * time.Hour, 1, 1}, {24 * time.Hour, 2, 1}, {60 * time.Hour, 3, 1},
	} {
		clock.set(noon.Add(step.after))
		require.NoError(t, store.dropExpired())
		require.NoError(t, store.WriteCall(t.Context(), td))
		require.Equal(t, step.repeated, store.Stats().RepeatedCalls, step.after)
		require.Equal(t, step.calls, store.Stats().Calls, step.after)
	}
	isKnown := func(call ptrace.Traces, want bool) {
		t.Helper()
		before := store.Stats().RepeatedCalls
		require.NoError(t, store.WriteCall(t.Context(), call))
		require.Equal(t, want, store.Stats().RepeatedCalls > before)
	}
	for n, after := range []int{0, -20_000, 20_000, 0, 7, 8} { // days: the clock may be wrong behind a restart
		require.NoError(t, store.Close())
		clock.set(noon.AddDate(0, 0, after))
		store = openStore(t, Options{Path: path, Now: clock.now})
		require.NoError(t, store.dropExpired())
		isKnown(td, true)
		isKnown(newCall(noon, 10+n, 1, 2), false)
		isKnown(newCall(noon, 10+n, 1, 2), true)
		require.LessOrEqual(t, len(store.callDays), 3)
	}
	isKnown(newCall(noon, 14, 1, 2), true)
	isKnown(td, false) // others were written on two later days
}

// TestReleaseFarAhead: what claims to be of a far day is found where it is stored.
func TestReleaseFarAhead(t *testing.T) {
	for _, retention := range []time.Duration{0, 48 * time.Hour} {
		store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, Retention: retention})
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.AddDate(100, 0, 0), 1, 2, 3)))
		require.NoError(t, store.WriteCall(t.Context(), lone(noon.AddDate(100, 0, 0), noon.AddDate(100, 0, 0), traceID(1), 9)))
		merge(t, store)
		for _, end := range []time.Time{noon.AddDate(0, 0, 2), noon.AddDate(200, 0, 0)} {
			page := mustSearch(t, store, &tracestore.SearchQuery{Start: noon.Add(25 * time.Hour), End: end, Limit: 10})
			require.Len(t, page.Traces, 2)
		}
	}
}

// TestWrongReleaseTimes: what claims to be released at another time than it can be is stored under a day that comes to its end, and says
// when it was released as it was sent.
func TestWrongReleaseTimes(t *testing.T) {
	const day = 24 * time.Hour
	midnight := noon.Truncate(day)
	for name, test := range map[string]struct {
		released  time.Time
		retention time.Duration
		want      time.Time
	}{
		"now":                             {noon, 2 * day, midnight},
		"late":                            {noon.Add(-2 * day), 2 * day, midnight.Add(-2 * day)},
		"later than is kept":              {noon.Add(-30 * day), 2 * day, midnight.Add(-2 * day)},
		"old, where everything is kept":   {noon.AddDate(-30, 0, 0), 0, midnight.AddDate(-30, 0, 0)},
		"a clock ahead":                   {noon.Add(20 * time.Hour), 2 * day, midnight.Add(day)},
		"a clock far ahead":               {noon.AddDate(100, 0, 0), 2 * day, midnight.Add(day)},
		"far ahead, everything is kept":   {noon.AddDate(100, 0, 0), 0, midnight.Add(day)},
		"as far ahead as there are times": {time.Unix(0, math.MaxInt64), 2 * day, midnight.Add(day)},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			clock := newClock(noon)
			options := Options{Path: path, Now: clock.now, Retention: test.retention}
			store := openStore(t, options)
			require.NoError(t, store.WriteCall(t.Context(), newCall(test.released, 1, 2, 3)))
			days := store.partitions.all()
			require.Len(t, days, 1)
			require.Equal(t, test.want, dayStart(days[0].day))
			for td, err := range store.Trace(t.Context(), "", traceID(1)) {
				require.NoError(t, err)
				require.Equal(t, test.released.UnixNano(), conventions.Int(td.ResourceSpans().At(0).Resource().Attributes(), conventions.AttrReleasedAt))
			}
			sums := &tracestore.AggregateQuery{Start: test.want, End: test.want.Add(day)}
			want := aggregates(t, store, sums)
			require.NotEmpty(t, want.operations)
			copied := filepath.Join(t.TempDir(), "copy") // its sums are made again of the blocks
			_, err := store.Backup(t.Context(), copied)
			require.NoError(t, err)
			again := openStore(t, Options{Path: copied, Now: clock.now, Retention: test.retention})
			require.Equal(t, want, aggregates(t, again, sums))
			require.NoError(t, again.writeSums())
			require.Len(t, again.partitions.all(), 1)
			require.NoError(t, store.writeSums())
			require.Len(t, store.partitions.all(), 1)
			require.Equal(t, want, aggregates(t, store, sums))

			if test.retention > 0 {
				clock.set(noon.Add(5 * day))
				require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(5*day), 10, 1, 1)))
				require.NoError(t, store.dropExpired())
				_, err := spanCounts(t, store, traceID(1))
				require.ErrorIs(t, err, tracestore.ErrNotFound)
			}
		})
	}
}

// TestFutureDoesNotOutlive: what claims to be of tomorrow is dropped by size as what is of today.
func TestFutureDoesNotOutlive(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.AddDate(100, 0, 0), 0, 100, 3)))
	for n := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1000+100*n, 100, 3)))
	}
	require.NoError(t, store.writeSums())
	store.options.MaxBytes = sizeOf(store) - 1
	require.NoError(t, store.dropOverflow())
	require.Equal(t, []uint32{300, 300, 300}, blockSpans(store))
	_, err := spanCounts(t, store, traceID(1))
	require.ErrorIs(t, err, tracestore.ErrNotFound)
}

// TestClockAheadAtStart: a clock that is wrong after a restart does not let everything expire.
func TestClockAheadAtStart(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	options := Options{Path: t.TempDir(), Retention: 5 * day, KeepAll: 3 * day, Now: clock.now}
	store := openStore(t, options)
	for n := range 5 {
		clock.set(noon.Add(time.Duration(n) * day))
		require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), n, 1, 2)))
	}
	require.NoError(t, store.Close())
	clock.set(noon.AddDate(10, 0, 0))
	store = openStore(t, options)
	require.NoError(t, store.dropExpired())
	require.NoError(t, store.writeSums())
	require.NoError(t, store.thin())
	var left []time.Time
	for _, d := range store.partitions.all() {
		if len(d.blocks) > 0 {
			left = append(left, dayStart(d.day))
		}
	}
	// The newest is of day 4, so it is day 6 at most: what is older than 5 days goes, and is thinned behind 3.
	midnight := noon.Truncate(day)
	require.Equal(t, []time.Time{midnight.Add(3 * day), midnight.Add(4 * day)}, left)
	require.Zero(t, store.expiryTime()-midnight.Add(6*day).UnixNano())
}

// TestQuietStoreExpires: where nothing comes in any more, traces expire all the same, once the clock had a day to be set.
func TestQuietStoreExpires(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Retention: 5 * day, Now: clock.now})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 2)))
	clock.set(noon.Add(7 * day))
	require.NoError(t, store.dropExpired())
	require.Len(t, store.partitions.all(), 1)
	store.opened = store.opened.Add(-day)
	require.NoError(t, store.dropExpired())
	require.Empty(t, store.partitions.all())
}
