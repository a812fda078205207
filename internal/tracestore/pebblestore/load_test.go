package pebblestore

import (
	"bytes"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// singles makes traces first, first+1, … of one span each.
func singles(tenant string, releasedAt time.Time, first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "s")
	if tenant != "" {
		rs.Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
	}
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for k := first; k < first+n; k++ {
		span := spans.AppendEmpty()
		span.SetTraceID(traceID(k))
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetName("op")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(releasedAt))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(releasedAt.Add(1)))
		span.Attributes().PutInt(conventions.AttrVersion, 1)
	}
	return annotated(td)
}

// requireFound asks for traces 0 to n−1 by id.
func requireFound(t *testing.T, store *Store, n int, what ...any) {
	t.Helper()
	days := store.partitions.of(tenantPrefix(""))
	lost := 0
	for k := range n {
		list, err := refs(store.db, days, traceID(k), 1)
		require.NoError(t, err)
		if len(list) == 0 {
			lost++
		}
	}
	require.Zero(t, lost, what...)
}

// TestFiltersKeepIDs fills chunks of the filter while the store is open, while it is opened, and of blocks that were merged since.
func TestFiltersKeepIDs(t *testing.T) {
	path := t.TempDir()
	n := 0
	write := func(store *Store, traces int) {
		require.NoError(t, store.WriteCall(t.Context(), singles("", noon, n, traces)))
		n += traces
	}
	store := openStore(t, Options{Path: path, Now: atNoon})
	write(store, 3000)
	for range 6 {
		write(store, 1500)
	}
	merge(t, store)
	for range 4 {
		write(store, 3000)
	}
	requireFound(t, store, n)
	require.NoError(t, store.Close())
	for range 2 {
		store = openStore(t, Options{Path: path, Now: atNoon})
		requireFound(t, store, n)
		for range 6 {
			write(store, 3000)
		}
		requireFound(t, store, n)
		require.NoError(t, store.Close())
	}
	store = openStore(t, Options{Path: path, Now: atNoon})
	requireFound(t, store, n)
	for _, d := range store.partitions.all() {
		require.False(t, d.ids.worthWriting(), "nothing was read again")
	}
}

// TestFiltersModel: every trace that is acknowledged is found by its id after each opening, whatever was written, merged, thinned away,
// written down of the filters, and lost of that, before.
func TestFiltersModel(t *testing.T) {
	for seed := range 6 {
		random := testRandom(seed)
		fs := vfs.NewCrashableMem()
		n := 0
		for range 8 {
			opened, err := Open(Options{Path: "data", Now: atNoon, FS: fs})
			require.NoError(t, err)
			store := &restlessStore{opened, random}
			requireFound(t, store.Store, n, "seed ", seed)
			for range 1 + random.IntN(12) {
				traces := 1 + random.IntN(1<<random.IntN(10))
				day := noon.AddDate(0, 0, -random.IntN(2))
				require.NoError(t, store.WriteCall(t.Context(), singles("", day, n, traces)))
				n += traces
				if random.IntN(3) == 0 {
					require.NoError(t, store.keepFilters())
				}
				if random.IntN(10) == 0 {
					store.partitions.boundFilters(0, dayOf(noon.UnixNano()))
				}
			}
			if random.IntN(2) == 0 {
				require.NoError(t, store.Close())
				continue
			}
			after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(3) * 50, RNG: random})
			require.NoError(t, store.Close())
			fs = after
		}
	}
}

// TestFilterWithoutHeads: where the head of a block, its value, or what is written down of the filter is broken, ids come from elsewhere.
func TestFilterWithoutHeads(t *testing.T) {
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	for name, key := range map[string][]byte{
		"head": at.sequenceKey(kindHead, 1), "value": at.sequenceKey(kindBlock, 1), "first chunk": at.sequenceKey(kindFilter, 0),
		"last chunk": at.sequenceKey(kindFilter, 1), "a chunk of nobody": at.sequenceKey(kindFilter, 7), "a key of nobody": at.key(kindBlock, 0),
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			store := openStore(t, Options{Path: path, Now: atNoon})
			require.NoError(t, store.WriteCall(t.Context(), singles("", noon, 0, 85)))
			require.NoError(t, store.WriteCall(t.Context(), singles("", noon, 85, 100)))
			require.NoError(t, store.keepFilters())
			require.NoError(t, store.db.Set(key, []byte("garbage"), pebble.Sync))
			if name == "head" || name == "value" {
				require.NoError(t, store.db.Delete(at.sequenceKey(kindFilter, 0), pebble.Sync))
			}
			require.NoError(t, store.Close())
			for range 2 {
				store = openStore(t, Options{Path: path, Now: atNoon})
				requireFound(t, store, 185)
				require.NoError(t, store.Close())
			}
			if bytes.HasPrefix(key, at.key(kindFilter, 0)) {
				result, err := Check(t.Context(), path)
				require.NoError(t, err)
				require.Empty(t, result.Faults, "it was written down afresh")
			}
		})
	}
}

// TestSequenceAfterAllIsGone: blocks that come behind an opening are not taken for those that were there before.
func TestSequenceAfterAllIsGone(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	for n := range 5 {
		require.NoError(t, store.WriteCall(t.Context(), singles("", noon, n, 1)))
	}
	require.NoError(t, store.Close())
	db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
	require.NoError(t, err)
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	for _, kind := range []byte{kindBlock, kindHead, kindBody, kindID, kindDelta, kindRollup} {
		dropKind(at, kind)(t, db)
	}
	require.NoError(t, db.Delete(summedKey(), pebble.Sync))
	require.NoError(t, db.Close())
	store = openStore(t, Options{Path: path, Now: atNoon})
	require.EqualValues(t, 5, store.sequence)
}

// TestDeletedIsPhysicalAfterRestart: what was deleted leaves the disk, although the store was closed before that.
func TestDeletedIsPhysicalAfterRestart(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 2, 5)))
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Now: atNoon})
	merge(t, store)
	require.Equal(t, []uint32{5}, blockSpans(store))
}

// TestDeletedInCatalogue: the catalogue does not answer what was deleted, before its block is written again.
func TestDeletedInCatalogue(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	td := singles("", noon, 0, 2)
	for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.Attributes().PutStr("user.email", []string{"bob@example.com", "alice@example.com"}[i])
	}
	require.NoError(t, store.WriteCall(t.Context(), td))
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	query := &tracestore.CatalogueQuery{Start: noon.Add(-time.Hour), End: noon.Add(time.Hour), Limit: 10}
	values, err := store.AttributeValues(t.Context(), "", tracestore.ScopeSpan, "user.email", query)
	require.NoError(t, err)
	require.Equal(t, []tracestore.AttributeValue{{Text: "bob@example.com", Spans: 1}}, values)
}

// TestBrokenBlockValue: the value of a block is broken, and everything else works, also after the next opening.
func TestBrokenBlockValue(t *testing.T) {
	path := t.TempDir()
	clock := newClock(noon)
	store := openStore(t, Options{Path: path, Now: clock.now})
	for n := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), singles("", noon, 10*n, 10)))
	}
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	require.NoError(t, store.db.Set(at.sequenceKey(kindBlock, 1), []byte("garbage"), pebble.Sync))
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 20)
	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Now: clock.now})
	require.Positive(t, store.Stats().CorruptValues)
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 20)
	requireFound(t, store, 30)
	require.NoError(t, store.WriteCall(t.Context(), singles("", noon, 30, 10)))
	clock.set(noon.Add(24 * time.Hour))
	merge(t, store)
	require.Equal(t, []uint32{0, 30}, blockSpans(store), "the others are merged")
	require.Positive(t, store.partitions.blocksOf(at)[0].bytes, "retention by size counts it")
	requireFound(t, store, 40)
	require.NoError(t, store.Close())
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.NotEmpty(t, result.Faults)
}

// TestFiltersOfManyTenants: a tenant with a trace a day costs little memory.
func TestFiltersOfManyTenants(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	for k := range 200 {
		require.NoError(t, store.WriteCall(t.Context(), singles("tenant-"+string(rune('a'+k%26))+string(rune('a'+k/26)), noon, k, 1)))
	}
	size := 0
	for _, d := range store.partitions.all() {
		size += d.ids.size()
	}
	require.LessOrEqual(t, size/200, 128)
}
