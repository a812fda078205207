package pebblestore

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// writeReleases stores releases first, first+1, … of a trace, each a call with one span of its own.
func writeReleases(t *testing.T, store *Store, releasedAt time.Time, trace, first, n int) {
	t.Helper()
	for k := first; k < first+n; k++ {
		td := newCall(releasedAt, trace, 1, 1)
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.SetSpanID(pcommon.SpanID{5: 1, 6: byte(k >> 8), 7: byte(k)})
		require.NoError(t, store.WriteCall(t.Context(), annotated(td)))
	}
}

// holdJoiner keeps rows from being made until the returned function is called.
func holdJoiner(store *Store) (release func()) {
	store.joining <- struct{}{}
	return func() { <-store.joining }
}

// spansByTrace searches around noon: the number of spans in each row of a trace.
func spansByTrace(t *testing.T, store *Store) map[pcommon.TraceID][]int {
	t.Helper()
	found := make(map[pcommon.TraceID][]int)
	for _, row := range mustSearch(t, store, aroundNoon()).Traces {
		found[row.TraceID] = append(found[row.TraceID], row.SpanCount)
	}
	return found
}

func joinedRowOf(t *testing.T, store *Store, trace int) *tracerow.Row {
	t.Helper()
	key := traceKey{tenantPrefix(""), traceID(trace)}
	row, err := readJoined(store.db, store.partitions.of(key.tenant), key)
	require.NoError(t, err)
	return row
}

// TestLargeRowGrows: a further release costs the reading of its own block, however many releases the trace has, and the row is the one that
// is made of all of them together.
func TestLargeRowGrows(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	const releases = maxRecomputedReleases + 1
	writeReleases(t, store, noon, 1, 0, releases)
	require.NoError(t, store.finishJoins(t.Context()))
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	heads := make(map[uint64][]byte)
	for sequence := uint64(1); sequence <= releases; sequence++ {
		key := at.sequenceKey(kindHead, sequence)
		head, err := getCopy(store.db, key)
		require.NoError(t, err)
		heads[sequence] = head
		require.NoError(t, store.db.Delete(key, pebble.NoSync))
	}
	writeReleases(t, store, noon.Add(time.Second), 1, releases, 3)
	require.NoError(t, store.finishJoins(t.Context()))
	require.Zero(t, store.Stats().CorruptValues)
	grown := joinedRowOf(t, store, 1)
	require.Equal(t, releases+3, grown.SpanCount)

	for sequence, head := range heads {
		require.NoError(t, store.db.Set(at.sequenceKey(kindHead, sequence), head, pebble.NoSync))
	}
	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Now: atNoon})
	store.joins.add([]traceKey{{tenantPrefix(""), traceID(1)}})
	require.NoError(t, store.finishJoins(t.Context()))
	require.Equal(t, grown, joinedRowOf(t, store, 1))

	// What was deleted does not come back into it.
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	writeReleases(t, store, noon.Add(2*time.Second), 1, 0, releases)
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {releases}}, spansByTrace(t, store))
}

// TestLargeRowShrinks: where releases were dropped, the row is made of those that are left.
func TestLargeRowShrinks(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const releases = maxRecomputedReleases + 10
	writeReleases(t, store, noon, 1, 0, releases)
	require.NoError(t, store.finishJoins(t.Context()))
	require.NoError(t, store.writeSums())
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	first := store.partitions.blocksOf(at)[:5]
	drop := func(pcommon.TraceID, []*block.Header, bool) (bool, error) { return false, nil }
	store.rewriteMu.Lock()
	require.NoError(t, store.rewriteBlocks(at, first, drop))
	store.rewriteMu.Unlock()
	writeReleases(t, store, noon, 1, releases, 1)
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {releases - 5 + 1}}, spansByTrace(t, store))
}

// countingReader counts the values that are read.
type countingReader struct {
	pebble.Reader
	gets int
}

func (r *countingReader) Get(key []byte) ([]byte, io.Closer, error) {
	r.gets++
	return r.Reader.Get(key)
}

// TestHeadsAreReadOnce: a merged block has many releases of a trace, and is read once for all of them.
func TestHeadsAreReadOnce(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	// Two days in turn, so that the blocks of both are gone through together.
	for k := range 40 {
		writeReleases(t, store, noon.AddDate(0, 0, -k%2), 1, k, 1)
	}
	require.NoError(t, store.finishJoins(t.Context()))
	require.NoError(t, store.writeSums())
	blocks := 0
	for _, d := range store.partitions.all() {
		list := store.partitions.blocksOf(d.partition)
		store.rewriteMu.Lock()
		require.NoError(t, store.rewriteBlocks(d.partition, list[:10], nil))
		require.NoError(t, store.rewriteBlocks(d.partition, list[10:], nil))
		store.rewriteMu.Unlock()
		blocks += len(store.partitions.blocksOf(d.partition))
	}
	require.Equal(t, 4, blocks)
	list, err := store.refsOf(1)
	require.NoError(t, err)
	require.Len(t, list, 40)
	slices.SortFunc(list, ref.compareWritten)
	reader := countingReader{Reader: store.db}
	merged, err := mergeRows(t.Context(), &blockReader{reader: &reader}, list, traceKey{tenantPrefix(""), traceID(1)}, nil)
	require.NoError(t, err)
	require.Equal(t, 40, merged.row.SpanCount)
	require.Equal(t, blocks, reader.gets)
}

// TestLargeRowRests: searches do not wait for a row whose making takes long, if there is one, and it comes later.
func TestLargeRowRests(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const releases = maxRecomputedReleases + 1
	writeReleases(t, store, noon, 1, 0, releases)
	require.NoError(t, store.finishJoins(t.Context()))
	key := traceKey{tenantPrefix(""), traceID(1)}
	rest := func(took time.Duration) {
		release := holdJoiner(store)
		defer release()
		store.rest(key, &madeRow{largeRow: *store.joins.large[key]}, took)
	}
	rest(time.Hour)
	writeReleases(t, store, noon, 1, releases, 1)
	page := mustSearch(t, store, aroundNoon())
	require.False(t, page.Truncated)
	require.Equal(t, releases, page.Traces[0].SpanCount)
	open, _ := store.joins.count()
	require.Equal(t, 1, open)
	rest(0)
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {releases + 1}}, spansByTrace(t, store))

	// A trace that has no row does not wait for one.
	rest(time.Hour)
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	writeReleases(t, store, noon.Add(time.Second), 1, 0, 2)
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {2}}, spansByTrace(t, store))
}

// TestRowOfTooManyReleases stays as it is.
func TestRowOfTooManyReleases(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	writeReleases(t, store, noon, 1, 0, maxRecomputedReleases+1)
	require.NoError(t, store.finishJoins(t.Context()))
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	batch := store.db.NewBatch()
	for k := range maxRowReleases { // of blocks that are not there: nobody is to look at them
		require.NoError(t, batch.Set(at.idKey(traceID(1), place{sequence: uint64(1000 + k)}), nil, nil))
	}
	require.NoError(t, store.db.Apply(batch, pebble.NoSync))
	writeReleases(t, store, noon, 1, 200, 1)
	require.NoError(t, store.finishJoins(t.Context()))
	require.Equal(t, maxRecomputedReleases+1, joinedRowOf(t, store, 1).SpanCount)
	open, _ := store.joins.count()
	require.Zero(t, open)
	require.Zero(t, store.Stats().CorruptValues)
	// The test's keys go again, because closing does not find their blocks.
	start, end := at.idSpan(traceID(1))
	require.NoError(t, store.db.DeleteRange(start, end, pebble.NoSync))
}

// TestDeleteWhileJoining: a deletion ends the making of a row, and later releases are a trace of their own, once.
func TestDeleteWhileJoining(t *testing.T) {
	for name, finish := range map[string]func(store *Store, key traceKey, number uint64) error{
		"made": func(store *Store, key traceKey, number uint64) error {
			return store.joinTrace(context.Background(), key, number)
		},
		"failed": func(store *Store, key traceKey, number uint64) error {
			store.joins.again(key, number)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
			release := holdJoiner(store)
			writeReleases(t, store, noon, 1, 1, 2)
			key, number, ok := store.joins.next()
			require.True(t, ok)
			require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
			require.NoError(t, finish(store, key, number))
			require.Empty(t, store.joins.order)
			writeReleases(t, store, noon, 1, 3, 1)
			writeReleases(t, store, noon, 2, 1, 2)
			release()
			want := map[pcommon.TraceID][]int{traceID(1): {1}, traceID(2): {2}}
			require.Equal(t, want, spansByTrace(t, store))
			require.NoError(t, store.finishJoins(t.Context()))
			require.Equal(t, want, spansByTrace(t, store))
		})
	}
}

// TestDeleteBehindMakingRow: a row that was made of what is deleted now is not stored, though the trace has new releases.
func TestDeleteBehindMakingRow(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	release := holdJoiner(store)
	writeReleases(t, store, noon, 1, 1, 3)
	key, number, ok := store.joins.next()
	require.True(t, ok)
	days := store.partitions.of(key.tenant)
	made, err := store.makeRowOf(t, days, key)
	require.NoError(t, err)
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	writeReleases(t, store, noon, 1, 11, 2)
	_, err = store.closeJoin(t.Context(), days, key, number, &made)
	require.NoError(t, err)
	require.Nil(t, joinedRowOf(t, store, 1))
	require.Equal(t, []traceKey{key}, store.joins.order)
	release()
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {2}}, spansByTrace(t, store))
}

// TestReleaseWhileJoining: the row that was made is stored, though it is behind, so that a trace which is never quiet has one.
func TestReleaseWhileJoining(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	release := holdJoiner(store)
	writeReleases(t, store, noon, 1, 1, 2)
	for k := range 3 {
		key, number, ok := store.joins.next()
		require.True(t, ok)
		days := store.partitions.of(key.tenant)
		made, err := store.makeRowOf(t, days, key)
		require.NoError(t, err)
		writeReleases(t, store, noon, 1, 10+k, 1)
		_, err = store.closeJoin(t.Context(), days, key, number, &made)
		require.NoError(t, err)
		require.Equal(t, 2+k, joinedRowOf(t, store, 1).SpanCount)
	}
	release()
	require.Equal(t, map[pcommon.TraceID][]int{traceID(1): {5}}, spansByTrace(t, store))
	require.NoError(t, store.finishJoins(t.Context()))
	open, _ := store.joins.count()
	require.Zero(t, open)
}

// TestDropWhileJoining: a row is not stored in a partition that was dropped while it was made, but where the rest of its trace is.
func TestDropWhileJoining(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: clock.now, Retention: day})
	release := holdJoiner(store)
	writeReleases(t, store, noon, 1, 1, 1)
	writeReleases(t, store, noon.Add(day), 1, 2, 1)
	key, number, ok := store.joins.next()
	require.True(t, ok)
	days := store.partitions.of(key.tenant)
	made, err := store.makeRowOf(t, days, key)
	require.NoError(t, err)
	require.Equal(t, 2, made.row.SpanCount)
	clock.set(noon.Add(37 * time.Hour))
	require.NoError(t, store.dropExpired())
	dropped, err := store.closeJoin(t.Context(), days, key, number, &made)
	require.NoError(t, err)
	require.True(t, dropped)
	require.NoError(t, store.joinTrace(t.Context(), key, number))
	release()
	query := &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: noon.Add(2 * day), Limit: 9}
	for range 2 {
		rows := mustSearch(t, store, query).Traces
		require.Len(t, rows, 1)
		require.Equal(t, 1, rows[0].SpanCount)
		require.Len(t, store.partitions.all(), 1)
		require.NoError(t, store.Close())
		store = openStore(t, Options{Path: path, Now: clock.now, Retention: day})
	}
}

func (s *Store) makeRowOf(t *testing.T, days []*dayInMemory, key traceKey) (madeRow, error) {
	reader := blockReader{reader: s.db}
	defer reader.close()
	return s.makeRow(t.Context(), &reader, &joinTask{key: key, days: days})
}
