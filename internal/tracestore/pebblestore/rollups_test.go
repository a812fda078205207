package pebblestore

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// sums is what a store answers of every aggregate, in order, without distributions but for their counts.
type sums struct {
	operations   []tracestore.OperationAggregate
	durations    []float64
	edges        []tracestore.EdgeAggregate
	entries      []tracestore.EntryAggregate
	through      []tracestore.EntryOperationAggregate
	errors       []tracestore.ErrorAggregate
	completeness tracestore.Completeness
}

func aggregates(t *testing.T, store tracestore.Reader, query *tracestore.AggregateQuery) (all sums) {
	t.Helper()
	for o, err := range store.Operations(t.Context(), "", query) {
		require.NoError(t, err)
		median, err := o.Durations.GetValueAtQuantile(0.5)
		require.NoError(t, err)
		all.durations = append(all.durations, o.Durations.GetCount(), median)
		o.Durations = nil
		all.operations = append(all.operations, o)
	}
	for e, err := range store.Edges(t.Context(), "", query) {
		require.NoError(t, err)
		e.Durations = nil
		all.edges = append(all.edges, e)
	}
	for e, err := range store.Entries(t.Context(), "", query) {
		require.NoError(t, err)
		e.Durations = nil
		all.entries = append(all.entries, e)
	}
	for e, err := range store.EntryOperations(t.Context(), "", query) {
		require.NoError(t, err)
		all.through = append(all.through, e)
	}
	for e, err := range store.Errors(t.Context(), "", query) {
		require.NoError(t, err)
		all.errors = append(all.errors, e)
	}
	var err error
	all.completeness, err = store.Completeness(t.Context(), "", query)
	require.NoError(t, err)
	return all
}

func dayAround(at time.Time) *tracestore.AggregateQuery {
	return &tracestore.AggregateQuery{Start: at.Add(-24 * time.Hour), End: at.Add(24 * time.Hour)}
}

// rollupKeys counts the keys of deltas and of folded tables.
func rollupKeys(t *testing.T, store *Store) (deltas, folded int) {
	t.Helper()
	for _, at := range store.partitions.all() {
		for kind, count := range map[byte]*int{kindDelta: &deltas, kindRollup: &folded} {
			lower, upper := at.span(kind)
			require.NoError(t, scan(store.db, lower, upper, func([]byte, func() ([]byte, error)) error {
				*count++
				return nil
			}))
		}
	}
	return deltas, folded
}

// TestFold: deltas are folded when their minute is over, or when there are many; answers do not change.
func TestFold(t *testing.T) {
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: clock.now})
	for n := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Duration(n)*time.Second), n, 1, 3)))
	}
	want := aggregates(t, store, dayAround(noon))
	require.EqualValues(t, 9, want.completeness.Spans)
	require.Len(t, want.operations, 3)
	requireKeys := func(wantDeltas, wantFolded int) {
		t.Helper()
		require.NoError(t, store.foldRollups())
		require.Equal(t, want, aggregates(t, store, dayAround(noon)))
		deltas, folded := rollupKeys(t, store)
		require.Equal(t, wantDeltas, deltas)
		require.Equal(t, wantFolded, folded)
	}
	clock.set(noon.Add(59 * time.Second))
	requireKeys(3, 0)
	// The minute is over. All tables but Errors have something.
	clock.set(noon.Add(time.Minute))
	requireKeys(0, 7)
	requireKeys(0, 7)
	require.Empty(t, store.unfolded.minutes)

	// A late call's delta is added to what is folded, after a restart too.
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 3, 1, 3)))
	want = aggregates(t, store, dayAround(noon))
	require.EqualValues(t, 12, want.completeness.Spans)
	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Now: clock.now})
	require.Equal(t, want, aggregates(t, store, dayAround(noon)))
	requireKeys(0, 7)

	// Many deltas of the minute that is running.
	for n := range maxDeltas {
		require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), 10+n, 1, 3)))
		if n == maxDeltas-2 {
			require.NoError(t, store.foldRollups())
			deltas, _ := rollupKeys(t, store)
			require.Equal(t, maxDeltas-1, deltas)
		}
	}
	want = aggregates(t, store, dayAround(noon))
	requireKeys(0, 14)
}

// TestSequenceBehindDeltas: the partition of the spans is gone, that of the rollups is not; the sequence goes on behind both.
func TestSequenceBehindDeltas(t *testing.T) {
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Retention: 24 * time.Hour, Now: clock.now})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 2)))
	next := noon.Add(12 * time.Hour)
	clock.set(next)
	require.NoError(t, store.WriteCall(t.Context(), newCall(next, 1, 1, 3))) // joins the trace of yesterday
	sequence := store.sequence
	clock.set(noon.Add(36 * time.Hour))
	require.NoError(t, store.dropExpired())
	require.EqualValues(t, 3, aggregates(t, store, dayAround(next)).completeness.Spans)
	require.NoError(t, store.Close())

	clock.set(next)
	store = openStore(t, Options{Path: path, Retention: 24 * time.Hour, Now: clock.now})
	require.Equal(t, sequence, store.sequence)
	require.NoError(t, store.WriteCall(t.Context(), newCall(next, 7, 1, 2)))
	require.EqualValues(t, 5, aggregates(t, store, dayAround(next)).completeness.Spans)
}

// TestRollupRetention: rollups go with their day, folded or not.
func TestRollupRetention(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Retention: day, Now: clock.now})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	clock.set(noon.Add(time.Minute))
	require.NoError(t, store.foldRollups())
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 2, 1, 3)))
	require.EqualValues(t, 6, aggregates(t, store, dayAround(noon)).completeness.Spans)
	clock.set(noon.Add(2 * day))
	require.NoError(t, store.dropExpired())
	require.Zero(t, aggregates(t, store, dayAround(noon)))
	require.Empty(t, store.unfolded.minutes)
	require.NoError(t, store.foldRollups())
	deltas, folded := rollupKeys(t, store)
	require.Zero(t, deltas+folded)
}

// TestCorruptRollups: what cannot be read is missing and counted, and the rest is there.
func TestCorruptRollups(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now})
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	minute := rollup.MinuteOf(noon.UnixNano())
	for n := range 2 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, n, 1, 3)))
	}
	require.NoError(t, store.db.Set(at.deltaKey(deltaRef{minute, 1}), []byte("nonsense"), nil))
	require.EqualValues(t, 3, aggregates(t, store, dayAround(noon)).completeness.Spans)
	require.EqualValues(t, 6, store.Stats().CorruptValues, "once for each question")
	clock.set(noon.Add(time.Minute))
	require.NoError(t, store.foldRollups())
	require.EqualValues(t, 7, store.Stats().CorruptValues)
	require.EqualValues(t, 3, aggregates(t, store, dayAround(noon)).completeness.Spans)
	require.EqualValues(t, 7, store.Stats().CorruptValues, "it is gone")

	require.NoError(t, store.db.Set(at.rollupKey(rollup.Spans, minute), nil, nil))
	got := aggregates(t, store, dayAround(noon))
	require.Zero(t, got.completeness)
	require.Len(t, got.operations, 3)
	require.EqualValues(t, 8, store.Stats().CorruptValues)

	require.NoError(t, store.db.Set(append(at.rollupKey(rollup.Spans, minute), 1), nil, nil))
	_, err := store.Completeness(t.Context(), "", dayAround(noon))
	require.ErrorIs(t, err, errKey, "a key of another format is no value that can be passed over")
}

func TestAggregatesOfAClosedStore(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.Close())
	_, err := store.Completeness(t.Context(), "", dayAround(noon))
	require.ErrorIs(t, err, tracestore.ErrClosed)
	for _, err := range store.Edges(t.Context(), "", dayAround(noon)) {
		require.ErrorIs(t, err, tracestore.ErrClosed)
	}
}

// TestAggregatesAgainstReference writes random calls, folds and opens the store again at random moments, and compares the
// answers with memstore's.
func TestAggregatesAgainstReference(t *testing.T) {
	clock := newClock(noon)
	path := t.TempDir()
	open := func() *Store { return openStore(t, Options{Path: path, Now: clock.now}) }
	store, reference := open(), memstore.New(0, clock.now)
	r := rand.New(rand.NewPCG(5, 6))
	for step := range 200 {
		switch r.IntN(12) {
		case 0:
			require.NoError(t, store.Close())
			store = open()
		case 1:
			require.NoError(t, store.db.Flush())
		case 2, 3:
			require.NoError(t, store.foldRollups())
		case 4:
			clock.set(clock.now().Add(time.Duration(r.IntN(600)) * time.Second))
		default:
			released := clock.now().Add(-time.Duration(r.IntN(5)*r.IntN(20)*r.IntN(20)) * time.Minute)
			td := newCall(released, r.IntN(1000), 1+r.IntN(4), 1+r.IntN(6))
			for range 1 + r.IntN(2) {
				require.NoError(t, store.WriteCall(t.Context(), td))
				require.NoError(t, reference.WriteCall(t.Context(), td))
			}
		}
		from := clock.now().Add(-time.Duration(r.IntN(40)) * time.Hour)
		query := &tracestore.AggregateQuery{Start: from, End: from.Add(time.Duration(r.IntN(40*60)) * time.Minute)}
		if r.IntN(3) == 0 {
			query.Service = "service-1"
		}
		got, want := aggregates(t, store, query), aggregates(t, reference, query)
		require.Equal(t, want.completeness, got.completeness, "step %d", step)
		require.ElementsMatch(t, want.operations, got.operations)
		slices.Sort(want.durations)
		slices.Sort(got.durations)
		require.Equal(t, want.durations, got.durations)
		require.ElementsMatch(t, want.entries, got.entries)
		require.ElementsMatch(t, want.through, got.through)
		require.ElementsMatch(t, want.edges, got.edges)
	}
}

// TestContrastAttributes: traces are contrasted by the attributes that are configured, and by none where there are none.
func TestContrastAttributes(t *testing.T) {
	for _, attributes := range []tracestore.ContrastAttributes{{}, {Entry: []string{"n"}, Services: []string{"service.name"}}} {
		store := openStore(t, Options{Path: t.TempDir(), Now: newClock(noon).now, Contrast: &attributes})
		td := newCall(noon, 1, 1, 3)
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.Attributes().PutInt("n", 7)
		}
		require.NoError(t, store.WriteCall(t.Context(), td))
		values := make(map[string]string)
		for c, err := range store.Contrasts(t.Context(), "", dayAround(noon)) {
			require.NoError(t, err)
			values[c.Key] = c.Value
		}
		require.Len(t, values, len(attributes.Entry)+len(attributes.Services))
		if len(values) > 0 {
			require.Equal(t, "7", values["n"])
		}
	}
}
