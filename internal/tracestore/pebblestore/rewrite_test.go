package pebblestore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// numbered makes blocks of so many spans, numbered from 1.
func numbered(spans ...uint32) []blockInMemory {
	list := make([]blockInMemory, len(spans))
	for i, n := range spans {
		list[i] = blockInMemory{sequence: uint64(i + 1), spans: n}
	}
	return list
}

// heavy gives each block so many bytes of OTLP.
func heavy(blocks []blockInMemory, otlp uint64) []blockInMemory {
	for i := range blocks {
		blocks[i].otlp = otlp
	}
	return blocks
}

func TestChooseMerge(t *testing.T) {
	tiny, small := slices.Repeat([]uint32{5}, 300), slices.Repeat([]uint32{2000}, 10)
	for name, test := range map[string]struct {
		blocks   []blockInMemory
		summed   uint64
		thinned  uint64
		closed   bool
		from, to int
	}{
		"nothing":                                {},
		"large ones":                             {blocks: numbered(8192, 2048, 8192), summed: 99, closed: true},
		"too few":                                {blocks: numbered(5, 5, 5, 2000, 2000), summed: 99},
		"tiny ones, as many as make a small one": {blocks: numbered(append([]uint32{8192}, tiny...)...), summed: 999, from: 1, to: 53},
		"empty ones, many":                       {blocks: numbered(slices.Repeat([]uint32{0}, 300)...), summed: 999, to: 256},
		"little ones":                            {blocks: numbered(9000, 300, 300, 300, 400, 300, 300), summed: 99, from: 1, to: 6},
		"small ones":                             {blocks: numbered(append([]uint32{9000}, small...)...), summed: 99, from: 1, to: 10},
		"large spans count as several": {
			blocks: heavy(numbered(slices.Repeat([]uint32{10}, 11)...), 2<<20-1), summed: 99, to: 9,
		},
		"not into what was thinned":      {blocks: numbered(5, 9000, 5, 5, 7), summed: 99, thinned: 3, closed: true, from: 3, to: 5},
		"what was thinned itself":        {blocks: numbered(5, 5, 5, 5), summed: 99, thinned: 2, closed: true, to: 2},
		"all of it was thinned":          {blocks: numbered(5, 5), summed: 99, thinned: 9, closed: true, to: 2},
		"nothing of it was thinned":      {blocks: numbered(5, 5), summed: 99, closed: true, to: 2},
		"one is left behind the other":   {blocks: numbered(5, 5), summed: 99, thinned: 1, closed: true, from: 1, to: 1},
		"few spans are enough":           {blocks: heavy(numbered(1, 1, 1, 1), 2<<20), summed: 99, closed: true},
		"not over a large one":           {blocks: numbered(append(slices.Insert(slices.Clone(small[:7]), 3, 3000), small[:4]...)...), summed: 99},
		"not before they are summed":     {blocks: numbered(small...), summed: 8},
		"the rest of a day that is over": {blocks: numbered(8192, 5, 700, 8192, 5), summed: 99, closed: true, from: 1, to: 3},
		"the end of a day that is over":  {blocks: numbered(8192, 5, 700), summed: 99, closed: true, from: 1, to: 3},
		"one is left":                    {blocks: numbered(8192, 5), summed: 99, closed: true},
		"not one that cannot be read": {
			blocks: append(numbered(5, 5), blockInMemory{sequence: 3, unreadable: true}, blockInMemory{sequence: 4, spans: 5}),
			summed: 99, closed: true, to: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := chooseMerge(test.blocks, test.summed, test.thinned, test.closed)
			require.Equal(t, []int{test.from, test.to}, []int{from, to})
		})
	}
}

// blockSpans lists the number of spans of each block of noon's day.
func blockSpans(store *Store) (list []uint32) {
	for _, b := range store.partitions.blocksOf(partition{tenantPrefix(""), dayOf(noon.UnixNano())}) {
		list = append(list, b.spans)
	}
	return list
}

// writeSmall writes calls of one trace of five spans each, 20 a second.
func writeSmall(t *testing.T, store *Store, first, calls int) {
	t.Helper()
	for n := range calls {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Duration(n)*50*time.Millisecond), first+n, 1, 5)))
	}
}

// merge is what upkeep does.
func merge(t *testing.T, store *Store) {
	t.Helper()
	require.NoError(t, store.writeSums())
	require.NoError(t, store.mergeBlocks())
}

// everythingIn is what readers find: rows and spans of each trace.
func everythingIn(t *testing.T, store *Store) (rows []tracestore.Summary, traces map[string][]string) {
	t.Helper()
	rows = mustSearch(t, store, aroundNoon()).Traces
	traces = make(map[string][]string)
	for _, row := range rows {
		for td, err := range store.Trace(t.Context(), "", row.TraceID) {
			require.NoError(t, err)
			json, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
			require.NoError(t, err)
			traces[row.TraceID.String()] = append(traces[row.TraceID.String()], string(json))
		}
	}
	return rows, traces
}

// TestMerge: small blocks become large ones, and nobody notices but by the number of blocks.
func TestMerge(t *testing.T) {
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: clock.now})
	writeSmall(t, store, 0, 300)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Second), 7, 1, 2))) // a fragment of trace 7
	writeSmall(t, store, 300, 300)
	rows, traces := everythingIn(t, store)
	require.Len(t, rows, 600)
	require.Len(t, traces[traceID(7).String()], 2)
	sums := aggregates(t, store, dayAround(noon))
	before, err := store.refsOf(7)
	require.NoError(t, err)
	require.Len(t, before, 2)
	require.NotEqual(t, before[0].sequence, before[1].sequence)

	same := func() {
		t.Helper()
		gotRows, gotTraces := everythingIn(t, store)
		require.Equal(t, rows, gotRows)
		require.Equal(t, traces, gotTraces)
		require.Equal(t, sums, aggregates(t, store, dayAround(noon)))
	}
	require.NoError(t, store.mergeBlocks())
	if store.summed.Load() == 0 { // upkeep writes them down after five seconds
		require.Len(t, blockSpans(store), 601, "their sums are not written down")
	}
	merge(t, store)
	spans := blockSpans(store)
	require.Less(t, len(spans), 250)
	require.GreaterOrEqual(t, spans[0], uint32(1536))
	same()
	clock.set(noon.Add(24 * time.Hour)) // the day is over
	merge(t, store)
	require.Equal(t, []uint32{3002}, blockSpans(store))
	same()
	after, err := store.refsOf(7)
	require.NoError(t, err)
	require.Equal(t, []place{{1, 7}, {1, 8}}, []place{after[0].place, after[1].place}, "its releases stand together")

	require.NoError(t, store.Close())
	store = openStore(t, Options{Path: path, Now: clock.now})
	same()
	require.Equal(t, []uint32{3002}, blockSpans(store))
	require.NoError(t, store.Close())
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, result.Faults)
}

// TestUnhurried: blocks that came at once take more when they are merged than those that came by and by.
func TestUnhurried(t *testing.T) {
	merged := func(apart time.Duration) int {
		store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
		traffic := newShopTraffic()
		for n := range 4 {
			require.NoError(t, store.WriteCall(t.Context(), traffic.call(t, noon.Add(time.Duration(n)*apart), 400)))
		}
		return int(mergeAll(t, store).bytes)
	}
	quick, thorough := merged(time.Millisecond), merged(time.Second)
	t.Logf("%d instead of %d bytes", thorough, quick)
	require.Less(t, thorough, quick*95/100)
}

// TestMergeMovesOver: a release moves to the place that another one of its trace leaves, because a third moved before both.
func TestMergeMovesOver(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	mergesTo := func(want ...int) {
		t.Helper()
		mergeAll(t, store)
		for n, releases := range want {
			counts, err := spanCounts(t, store, traceID(n))
			require.NoError(t, err)
			require.Len(t, counts, releases, "trace %d", n)
		}
	}
	for i, n := range []int{0, 1, 1} {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Duration(i)*time.Second), n, 1, i+1)))
	}
	mergesTo(1, 2)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Minute), 0, 1, 4)))
	mergesTo(2, 2)
}

// mergeAll merges all blocks of the store's only partition into one.
func mergeAll(t *testing.T, store *Store) blockInMemory {
	t.Helper()
	require.NoError(t, store.writeSums())
	at := store.partitions.all()[0].partition
	store.rewriteMu.Lock()
	err := store.rewriteBlocks(at, store.partitions.blocksOf(at), nil)
	store.rewriteMu.Unlock()
	require.NoError(t, err)
	require.Len(t, blockSpans(store), 1)
	return store.partitions.blocksOf(at)[0]
}

func (s *Store) refsOf(n int) ([]ref, error) {
	return refs(s.db, s.partitions.of(tenantPrefix("")), traceID(n), 0)
}

// TestDeleteIsPhysical: the spans of a deleted trace leave their block.
func TestDeleteIsPhysical(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 10, 5)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 3, 1, 2)))
	sums := aggregates(t, store, dayAround(noon))
	for _, n := range []int{3, 9} {
		require.NoError(t, store.Delete(t.Context(), "", traceID(n)))
		require.ErrorIs(t, store.Delete(t.Context(), "", traceID(n)), tracestore.ErrNotFound)
	}
	rows, traces := everythingIn(t, store)
	require.Len(t, rows, 8)
	require.Equal(t, []uint32{50, 2}, blockSpans(store))
	merge(t, store)
	require.Equal(t, []uint32{40}, blockSpans(store), "the block of the fragment is empty")
	gotRows, gotTraces := everythingIn(t, store)
	require.Equal(t, rows, gotRows)
	require.Equal(t, traces, gotTraces)
	require.Equal(t, sums, aggregates(t, store, dayAround(noon)), "rollups go on counting them")
	for _, n := range []int{3, 9} {
		_, err := spanCounts(t, store, traceID(n))
		require.ErrorIs(t, err, tracestore.ErrNotFound)
	}
	// A late fragment is the first of a new trace.
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Second), 9, 1, 3)))
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 9)
}

// TestChangesWhileMerging: what is written or deleted while blocks are being rewritten holds.
func TestChangesWhileMerging(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	writeSmall(t, store, 0, 10)
	require.NoError(t, store.writeSums())
	w := rewrite{store: store, at: partition{tenantPrefix(""), dayOf(noon.UnixNano())}}
	for sequence := range uint64(10) {
		w.inputs = append(w.inputs, sequence+1)
	}
	bodies, err := w.read()
	require.NoError(t, err)
	require.NoError(t, w.choose())
	require.NoError(t, w.encode())
	for _, body := range bodies {
		body.Close()
	}
	require.NoError(t, store.Delete(t.Context(), "", traceID(4)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Second), 6, 1, 2)))
	rows, traces := everythingIn(t, store)
	require.Len(t, rows, 9)
	require.NoError(t, w.commit())
	require.Equal(t, []uint32{50, 2}, blockSpans(store))
	gotRows, gotTraces := everythingIn(t, store)
	require.Equal(t, rows, gotRows)
	require.Equal(t, traces, gotTraces)
	merge(t, store)
	require.Equal(t, []uint32{45, 2}, blockSpans(store), "it is deleted all the same")
	require.NoError(t, store.Close())
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, result.Faults)
}

// TestMergeAroundCorruptBlock: a block that cannot be read is left alone.
func TestMergeAroundCorruptBlock(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now})
	writeSmall(t, store, 0, 9)
	require.NoError(t, store.writeSums())
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	require.NoError(t, store.db.Set(at.sequenceKey(kindBody, 5), []byte("broken"), nil))
	clock.set(noon.Add(24 * time.Hour))
	merge(t, store)
	require.Equal(t, []uint32{20, 5, 20}, blockSpans(store))
	_, err := spanCounts(t, store, traceID(4))
	require.Error(t, err)
	for _, n := range []int{0, 3, 5, 8} {
		_, err := spanCounts(t, store, traceID(n))
		require.NoError(t, err, fmt.Sprint(n))
	}
}

// TestCrashWhileMerging loses power after each step: everything is there once.
func TestCrashWhileMerging(t *testing.T) {
	for seed := range 10 {
		fs := vfs.NewCrashableMem()
		clock := newClock(noon)
		store, err := Open(Options{Path: "data", Now: clock.now, FS: fs})
		require.NoError(t, err)
		writeSmall(t, store, 0, 60)
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Second), 7, 1, 2)))
		rows, traces := everythingIn(t, store)
		sums := aggregates(t, store, dayAround(noon))
		if seed > 1 {
			require.NoError(t, store.writeSums())
		}
		if seed > 3 {
			clock.set(noon.Add(24 * time.Hour))
			require.NoError(t, store.mergeBlocks())
		}
		if seed > 5 {
			require.NoError(t, store.db.Flush())
		}
		if seed > 7 {
			require.NoError(t, store.foldRollups())
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: seed % 2 * 50, RNG: testRandom(seed)})
		require.NoError(t, store.Close())
		store = openStore(t, Options{Path: "data", Now: clock.now, FS: after})
		gotRows, gotTraces := everythingIn(t, store)
		require.Equal(t, rows, gotRows)
		require.Equal(t, traces, gotTraces)
		require.Equal(t, sums, aggregates(t, store, dayAround(noon)))
		require.NoError(t, store.Close())
	}
}

// TestCrashWhileThinning loses power after each step of retention: traces that are kept are there, and what is counted stays counted.
func TestCrashWhileThinning(t *testing.T) {
	const day = 24 * time.Hour
	for seed := range 6 {
		fs := vfs.NewCrashableMem()
		clock := newClock(noon)
		options := Options{Path: "data", KeepAll: day, Keep: Keep{Slowest: 0.05}, Now: clock.now, FS: fs}
		store, err := Open(options)
		require.NoError(t, err)
		require.NoError(t, store.WriteCall(t.Context(), dayOfTraces()))
		require.NoError(t, store.writeSums())
		sums := aggregates(t, store, dayAround(noon))
		clock.set(noon.Add(2 * day))
		if seed > 0 {
			require.NoError(t, store.thin())
		}
		if seed > 2 {
			require.NoError(t, store.mergeBlocks())
		}
		options.FS = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: seed % 2 * 50, RNG: testRandom(seed)})
		require.NoError(t, store.Close())
		store = openStore(t, options)
		require.NoError(t, store.writeSums())
		require.NoError(t, store.thin()) // it is done again, if it has to be
		kept := mustSearch(t, store, aroundNoon()).Traces
		require.Len(t, kept, 20)
		for _, row := range kept {
			counts, err := spanCounts(t, store, row.TraceID)
			require.NoError(t, err)
			require.Equal(t, []int{3}, counts)
		}
		require.Equal(t, sums, aggregates(t, store, dayAround(noon)))
		require.Zero(t, store.Stats().CorruptValues)
		require.NoError(t, store.Close())
	}
}

// TestDeleteWhileSettling: what is deleted while its day is found to have nothing to write again is written again all the same.
func TestDeleteWhileSettling(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 100, 3)))
	merge(t, store)
	d := store.partitions.all()[0]
	looked := store.partitions.blocksOf(d.partition)
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	store.partitions.settle(d, looked)
	merge(t, store)
	require.Equal(t, []uint32{297}, blockSpans(store))
}
