package pebblestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

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

// TestMaxBytes: above its size the oldest days go, then the oldest blocks of today, and the disk has the space again.
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

	store.options.MaxBytes = int64(size * 0.6) // less than two days
	require.NoError(t, store.dropOverflow())
	left := mustSearch(t, store, query).Traces
	require.InDelta(t, all/3, len(left), float64(all)/20)
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
