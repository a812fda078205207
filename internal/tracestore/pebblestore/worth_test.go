package pebblestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// dayOfTraces makes a call of 400 traces at noon: one in 40 failed, one in 40 takes 100 ms, the others take a millisecond.
func dayOfTraces() ptrace.Traces {
	td := newCall(noon, 0, 400, 3)
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			id := span.TraceID()
			n := int(id[14])<<8 | int(id[15])
			if n%40 == 7 && span.ParentSpanID().IsEmpty() {
				span.Status().SetCode(ptrace.StatusCodeError)
			}
			if span.ParentSpanID().IsEmpty() {
				end := span.StartTimestamp() + pcommon.Timestamp(time.Millisecond)
				if n%40 == 9 {
					end = span.StartTimestamp() + pcommon.Timestamp(100*time.Millisecond)
				}
				span.SetEndTimestamp(end)
			}
		}
	}
	return annotated(td)
}

// TestThin: behind KeepAll failed and slow traces stay, and a share of the rest; rollups count all.
func TestThin(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	path := t.TempDir()
	options := Options{
		Path: path, Retention: 30 * day, KeepAll: 2 * day, Keep: Keep{Slowest: 0.05, Share: 0.25}, Now: clock.now,
	}
	store := openStore(t, options)
	require.NoError(t, store.WriteCall(t.Context(), dayOfTraces()))
	// Trace 5 is neither failed nor slow; its fragment of the next day failed.
	fragment := newCall(noon.Add(day), 5, 1, 2)
	fragment.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Status().SetCode(ptrace.StatusCodeError)
	clock.set(noon.Add(day))
	require.NoError(t, store.WriteCall(t.Context(), annotated(fragment)))
	require.NoError(t, store.writeSums())
	sums := aggregates(t, store, dayAround(noon))
	query := &tracestore.SearchQuery{Start: noon.Add(-day), End: noon.Add(3 * day), Limit: 1000}
	require.Len(t, mustSearch(t, store, query).Traces, 400)

	require.NoError(t, store.thin())
	require.Len(t, mustSearch(t, store, query).Traces, 400, "it is not time yet")
	clock.set(noon.Add(3 * day))
	require.NoError(t, store.thin())
	kept := mustSearch(t, store, query).Traces
	require.EqualValues(t, 3*(400-len(kept)), store.Stats().ThinnedSpans)
	shared := 0
	have := make(map[pcommon.TraceID]bool)
	for _, row := range kept {
		have[row.TraceID] = true
		n := int(row.TraceID[14])<<8 | int(row.TraceID[15])
		if n%40 != 7 && n%40 != 9 && n != 5 {
			shared++
			require.True(t, inShare(row.TraceID, 0.25), n)
		}
	}
	for n := range 400 {
		if n%40 == 7 || n%40 == 9 || n == 5 {
			require.True(t, have[traceID(n)], n)
		}
	}
	require.InDelta(t, 95, shared, 30)
	require.Equal(t, sums, aggregates(t, store, dayAround(noon)))
	counts, err := spanCounts(t, store, traceID(5))
	require.NoError(t, err)
	require.Equal(t, []int{3, 2}, counts)

	// It is done once, after a restart too.
	rewritten := store.Stats().RewrittenBlocks
	require.NoError(t, store.thin())
	require.Equal(t, rewritten, store.Stats().RewrittenBlocks)
	require.NoError(t, store.Close())
	options.Keep.Share = 0
	store = openStore(t, options)
	require.NoError(t, store.thin())
	require.Equal(t, kept, mustSearch(t, store, query).Traces)
	require.NoError(t, store.Close())
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, result.Faults)
}

// TestMaxBytes: above its size the oldest days go, then the oldest blocks of the next, and the disk has the space again.
func TestMaxBytes(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	path := t.TempDir()
	store := openStore(t, Options{Path: path, MaxBytes: 1 << 40, Now: clock.now})
	traffic := newShopTraffic()
	for n := range 3 {
		clock.set(noon.Add(time.Duration(n) * day))
		for range 4 {
			require.NoError(t, store.WriteCall(t.Context(), traffic.call(t, clock.now(), 2000)))
		}
		require.NoError(t, store.db.Flush())
	}
	require.NoError(t, store.writeSums())
	require.NoError(t, store.db.Flush())
	require.NoError(t, store.dropOverflow())
	query := &tracestore.SearchQuery{Start: noon.Add(-day), End: noon.Add(5 * day), Limit: 10_000}
	all := len(mustSearch(t, store, query).Traces)
	whole := diskUsage(t, path)
	size := 0.
	for _, d := range store.partitions.all() {
		for _, b := range d.blocks {
			size += float64(b.bytes) * blockOverhead
		}
	}

	store.options.MaxBytes = int64(size * 0.6) // less than two days: one goes, and two of the next one's four blocks
	require.NoError(t, store.dropOverflow())
	left := mustSearch(t, store, query).Traces
	require.InDelta(t, all/2, len(left), float64(all)/20)
	for _, row := range left {
		require.Greater(t, row.Start, noon.Add(day/2).UnixNano())
	}
	store.options.MaxBytes = int64(size / 6) // half a day
	require.NoError(t, store.dropOverflow())
	last := mustSearch(t, store, query).Traces
	require.NotEmpty(t, last)
	require.Less(t, len(last), all/4)
	require.Greater(t, last[len(last)-1].Start, noon.Add(3*day/2).UnixNano())
	require.Len(t, store.partitions.all(), 1)

	require.Eventually(t, func() bool { return diskUsage(t, path) < whole/2 }, 30*time.Second, 20*time.Millisecond)
}

// TestThinLateTraces: traces that come when their day was thinned are thinned too, whatever is merged meanwhile.
func TestThinLateTraces(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now, KeepAll: 24 * time.Hour, Keep: Keep{Share: 0.5}})
	count := func() int { return mustSearch(t, store, aroundNoon()).Total.Count }
	thin := func() {
		t.Helper()
		merge(t, store)
		require.NoError(t, store.thin())
		require.NoError(t, store.mergeBlocks())
	}
	for n := range 2 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 300*n, 300, 1)))
	}
	clock.set(noon.Add(72 * time.Hour))
	thin()
	require.InDelta(t, 300, count(), 60)
	kept := count()
	for n := range 4 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1000+100*n, 100, 1)))
		thin()
	}
	require.InDelta(t, kept+200, count(), 50)
	require.Len(t, blockSpans(store), 1, "it is merged when it was thinned")
}

// TestUnreadableBlockIsNotFreed: what could not be thinned or dropped is not counted as if it were gone.
func TestUnreadableBlockIsNotFreed(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now, KeepAll: 24 * time.Hour})
	const calls = 5
	for n := range calls {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 100*n, 100, 3)))
	}
	require.NoError(t, store.writeSums())
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	blocks := store.partitions.blocksOf(at)
	require.NoError(t, store.db.Set(at.sequenceKey(kindBody, blocks[0].sequence), []byte("broken"), nil))
	size := float64(bytesOf(blocks)) * blockOverhead
	store.options.MaxBytes = int64(size) - 1 // a twentieth is dropped, which is one block
	require.NoError(t, store.dropOverflow())
	require.Equal(t, []uint32{300, 300, 300, 300}, blockSpans(store), "the oldest that can be read")
	require.EqualValues(t, 300, store.Stats().ThinnedSpans)

	clock.set(noon.Add(72 * time.Hour))
	require.NoError(t, store.thin())
	require.EqualValues(t, 300*(calls-1), store.Stats().ThinnedSpans)
	require.Equal(t, []uint32{300}, blockSpans(store))
}

// sizeOf is what the store reckons with for MaxBytes.
func sizeOf(store *Store) int64 { return int64(store.partitions.size()) }

// TestOverflowAtMidnight: of a day that is over only the oldest blocks go, if that is enough.
func TestOverflowAtMidnight(t *testing.T) {
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now})
	for n := range 20 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Duration(n)*time.Second), 100*n, 100, 3)))
	}
	require.NoError(t, store.writeSums())
	clock.set(noon.Add(24 * time.Hour))
	require.NoError(t, store.measure(dayOf(clock.now().UnixNano())))
	size, blocks := float64(sizeOf(store)), float64(bytesOf(store.partitions.all()[0].blocks))
	store.options.MaxBytes = int64(size - blocks/20)
	require.NoError(t, store.dropOverflow())
	require.Len(t, blockSpans(store), 17, "down to 95 % of that")
	query := aroundNoon()
	query.Limit = 10_000
	left := mustSearch(t, store, query).Traces
	require.Len(t, left, 1700)
	require.Equal(t, noon.Add(3*time.Second).UnixNano(), left[len(left)-1].Start)

	// There is room now, so that it is done now and then only.
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(time.Minute), 9000, 30, 3)))
	require.NoError(t, store.dropOverflow())
	require.Len(t, blockSpans(store), 18)
}

// TestOverflowOfTenants: what one tenant wrote first goes first, whatever the others are called.
func TestOverflowOfTenants(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	write := func(tenant string, first, traces int) {
		td := newCall(noon, first, traces, 1)
		for _, rs := range td.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
		}
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	write("z", 0, 2000)
	write("a", 10_000, 200)
	write("z", 20_000, 2000)
	write("a", 30_000, 200)
	require.NoError(t, store.writeSums())
	count := func(tenant string) int {
		page, err := store.Search(t.Context(), tenant, aroundNoon())
		require.NoError(t, err)
		return page.Total.Count
	}
	size := sizeOf(store)
	store.options.MaxBytes = size - 1
	require.NoError(t, store.dropOverflow())
	require.Equal(t, []int{400, 2000}, []int{count("a"), count("z")}, "the first of the flood")
	store.options.MaxBytes = sizeOf(store) - 1
	require.NoError(t, store.dropOverflow())
	require.Equal(t, []int{200, 2000}, []int{count("a"), count("z")}, "then the oldest, which is the other's")
}

// TestMaxBytesCountsSums: sums of traces that were thinned out count for MaxBytes too, and the oldest go.
func TestMaxBytesCountsSums(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock(noon)
	store := openStore(t, Options{Path: t.TempDir(), Now: clock.now, KeepAll: day, MaxBytes: 1 << 40})
	for n := range 2 {
		for minute := range 200 {
			released := noon.Add(time.Duration(n)*day + time.Duration(minute)*time.Minute)
			clock.set(released)
			require.NoError(t, store.WriteCall(t.Context(), newCall(released, 1000*n+minute, 1, 3)))
		}
	}
	require.NoError(t, store.writeSums())
	clock.set(noon.Add(3 * day))
	require.NoError(t, store.foldRollups())
	require.NoError(t, store.thin())
	require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), 5000, 10, 3)))
	require.NoError(t, store.writeSums())
	require.NoError(t, store.dropOverflow())
	days := store.partitions.all()
	require.Len(t, days, 3)
	require.Equal(t, []int{0, 0, 1}, []int{len(days[0].blocks), len(days[1].blocks), len(days[2].blocks)})

	today := float64(bytesOf(days[2].blocks)) * blockOverhead
	beside := float64(days[0].beside)
	require.Greater(t, beside, 10*today)
	store.options.MaxBytes = int64(today + 1.5*beside)
	require.NoError(t, store.dropOverflow())
	require.Equal(t, days[1:], store.partitions.all())
	require.NoError(t, store.dropOverflow())
	require.Len(t, store.partitions.all(), 2)
	store.options.MaxBytes = int64(2 * today)
	require.NoError(t, store.dropOverflow())
	require.Equal(t, days[2:], store.partitions.all())
}
