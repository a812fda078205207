package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// shopTraffic makes calls of the generator's traces as trace_assembly and trace_analysis hand them on.
type shopTraffic struct {
	shop   *shop.Shop
	visits int
}

func newShopTraffic() *shopTraffic { return &shopTraffic{shop: shop.New(shop.Options{Seed: 7})} }

// call makes the next call, of about so many spans.
func (s *shopTraffic) call(t testing.TB, releasedAt time.Time, spans int) ptrace.Traces {
	t.Helper()
	var visits []*shop.Visit
	for n := 0; n < spans; s.visits++ {
		visits = append(visits, s.shop.Visit(s.visits))
		n += len(visits[len(visits)-1].Spans)
	}
	td, err := shoptest.Call(s.shop, releasedAt, visits...)
	require.NoError(t, err)
	return td
}

// again makes other traces of a call: other ids, later by some time.
func again(td ptrace.Traces, n uint64, later time.Duration) {
	mask := n * 0x9e3779b97f4a7c15
	spanID := func(id pcommon.SpanID) pcommon.SpanID {
		if id.IsEmpty() {
			return id
		}
		binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(id[:])^mask)
		return id
	}
	traceID := func(id pcommon.TraceID) pcommon.TraceID {
		binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(id[:])^mask)
		binary.BigEndian.PutUint64(id[8:], binary.BigEndian.Uint64(id[8:])^mask)
		return id
	}
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		attrs.PutInt(conventions.AttrReleasedAt, conventions.Int(attrs, conventions.AttrReleasedAt)+int64(later))
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				span.SetTraceID(traceID(span.TraceID()))
				span.SetSpanID(spanID(span.SpanID()))
				span.SetParentSpanID(spanID(span.ParentSpanID()))
				span.SetStartTimestamp(span.StartTimestamp() + pcommon.Timestamp(later))
				span.SetEndTimestamp(span.EndTimestamp() + pcommon.Timestamp(later))
				if start, ok := span.Attributes().Get(conventions.AttrStart); ok {
					start.SetInt(start.Int() + int64(later))
				}
				for _, link := range span.Links().All() {
					link.SetTraceID(traceID(link.TraceID()))
					link.SetSpanID(spanID(link.SpanID()))
				}
				for _, event := range span.Events().All() {
					event.SetTimestamp(event.Timestamp() + pcommon.Timestamp(later))
				}
			}
		}
	}
}

// cpu is the process's time so far, garbage collection included.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// diskUsage is what du says of a folder.
func diskUsage(t testing.TB, path string) (bytes int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Pebble removes files at any time
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	}))
	return bytes
}

// settle writes down what is in memory and waits until Pebble is idle.
func settle(b *testing.B, store *Store) {
	require.NoError(b, store.writeSums())
	require.NoError(b, store.db.Flush())
	waitIdle(store)
}

// waitIdle waits until Pebble has been idle for a moment.
func waitIdle(store *Store) {
	for idle := 0; idle < 5; idle++ {
		if metrics := store.db.Metrics(); metrics.Compact.NumInProgress > 0 || metrics.Flush.NumInProgress > 0 {
			idle = 0
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// BenchmarkShop writes the generator's traffic in calls as large as trace_assembly makes them, from two goroutines, until compactions
// are done: CPU seconds and bytes of disk. What making the calls costs is taken off.
func BenchmarkShop(b *testing.B) {
	const distinct = 6
	traffic := newShopTraffic()
	calls := make([]ptrace.Traces, distinct)
	for i := range calls {
		calls[i] = traffic.call(b, noon, 8192)
	}
	spans := 0
	rewrite := func(n int) ptrace.Traces {
		td := calls[n%distinct]
		again(td, uint64(n/distinct+1), 60*time.Millisecond)
		spans += td.SpanCount()
		return td
	}
	runtime.GC()
	before := cpu()
	const rehearsed = 60
	for n := range rehearsed {
		rewrite(n)
	}
	making := (cpu() - before) / rehearsed
	spans = 0
	clock := newClock(noon)
	path := b.TempDir()
	store := openStore(b, Options{Path: path, Retention: 168 * time.Hour, Now: clock.now})
	b.ResetTimer()
	before = cpu()
	n := 0
	for b.Loop() {
		td := rewrite(n)
		n++
		clock.set(noon.Add(time.Duration(n/distinct) * 60 * time.Millisecond))
		require.NoError(b, store.WriteCall(b.Context(), td))
	}
	b.StopTimer()
	settle(b, store)
	used := cpu() - before - time.Duration(n)*making
	million := float64(spans) / 1e6
	b.ReportMetric(used.Seconds()/million, "CPU-s/Mspan")
	b.ReportMetric(float64(diskUsage(b, path))/float64(spans), "disk-B/span")
	b.ReportMetric(float64(store.Stats().SpanBytes)/float64(spans), "block-B/span")
	b.ReportMetric(making.Seconds()*float64(n)/million, "making-CPU-s/Mspan")
	b.Log(store.db.Metrics().String())
}

// BenchmarkMonth asks a store of 30 days, a call of 8192 spans for each of several hours of a day.
func BenchmarkMonth(b *testing.B) {
	const days, callsADay, distinct = 30, 8, 4
	traffic := newShopTraffic()
	var calls []ptrace.Traces
	first := noon.Add(-days * 24 * time.Hour)
	for range distinct {
		calls = append(calls, traffic.call(b, first, 8192))
	}
	clock := newClock(noon)
	path := b.TempDir()
	store := openStore(b, Options{Path: path, Retention: 40 * 24 * time.Hour, Now: clock.now})
	var ids []pcommon.TraceID
	spans := 0
	const step = 24 * time.Hour / callsADay
	for n := range days * callsADay {
		td := calls[n%distinct]
		later := time.Duration(min(n, distinct)) * step
		again(td, uint64(n/distinct+1), later)
		clock.set(first.Add(time.Duration(n) * step))
		require.NoError(b, store.WriteCall(b.Context(), td))
		spans += td.SpanCount()
		ids = append(ids, td.ResourceSpans().At(n%7).ScopeSpans().At(0).Spans().At(0).TraceID())
	}
	settle(b, store)
	b.Logf("%d spans, %d bytes of filters", spans, func() (n int) {
		for _, d := range store.partitions.all() {
			n += d.ids.size()
		}
		return n
	}())
	const day, month = 24 * time.Hour, days * 24 * time.Hour
	window := func(where tracestore.Conditions, back time.Duration) *tracestore.SearchQuery {
		return &tracestore.SearchQuery{Start: noon.Add(-back), End: noon.Add(time.Hour), Limit: 20, Where: where}
	}
	span := func(c tracestore.SpanConditions) tracestore.Conditions { return tracestore.Conditions{Span: c} }
	attribute := func(key, value string) []tracestore.AttributeCondition {
		return []tracestore.AttributeCondition{{Key: key, Op: tracestore.OpEqual, Text: value}}
	}
	b.Run("by id", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			counts, err := spanCounts(b, store, ids[n%len(ids)])
			require.NoError(b, err)
			require.Len(b, counts, 1)
		}
	})
	b.Run("unknown id", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			_, err := spanCounts(b, store, numberedID(n))
			require.ErrorIs(b, err, tracestore.ErrNotFound)
		}
	})
	for name, query := range map[string]*tracestore.SearchQuery{
		"newest of a day": window(tracestore.Conditions{}, day),
		"span": window(span(tracestore.SpanConditions{
			Service: "frontend", MinDuration: time.Millisecond, Attributes: attribute("http.request.method", "GET"),
		}), day),
		"rare value of a month": window(span(tracestore.SpanConditions{Attributes: attribute("session.id", "nowhere to be found")}), month),
		"slow of a month":       window(tracestore.Conditions{Trace: tracestore.TraceConditions{MinDuration: time.Hour}}, month),
		"count of a month":      window(tracestore.Conditions{}, month),
	} {
		b.Run(name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				found = len(mustSearch(b, store, query).Traces)
			}
			b.ReportMetric(float64(found), "found")
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, store.Close())
			var err error
			store, err = Open(store.options)
			require.NoError(b, err)
		}
	})
	require.NoError(b, store.Close())
}

// BenchmarkQuiet is 100 spans a second for some minutes, calls of a trace each, and the minute behind them, with the upkeep at its times.
func BenchmarkQuiet(b *testing.B) {
	for _, minutes := range []int{10, 30} {
		b.Run(fmt.Sprint(minutes, " minutes"), func(b *testing.B) {
			for b.Loop() {
				quiet(b, minutes)
			}
		})
	}
}

func quiet(b *testing.B, minutes int) {
	traffic := newShopTraffic()
	clock := newClock(noon)
	path := b.TempDir()
	store := openStore(b, Options{Path: path, Retention: 168 * time.Hour, Now: clock.now})
	spans := 0
	for second := range 60 * (minutes + 1) {
		for at := 0; second < 60*minutes && spans < 100*(second+1); at++ {
			clock.set(noon.Add(time.Duration(second)*time.Second + time.Duration(at)*50*time.Millisecond))
			td := traffic.call(b, clock.now(), 1)
			spans += td.SpanCount()
			require.NoError(b, store.WriteCall(b.Context(), td))
		}
		clock.set(noon.Add(time.Duration(second+1) * time.Second))
		if second%5 == 4 {
			require.NoError(b, store.writeSums())
			require.NoError(b, store.mergeBlocks())
			require.NoError(b, store.foldRollups())
		}
		if second%45 == 44 {
			require.NoError(b, store.flushQuiet())
			waitIdle(store)
		}
		if second%600 == 599 {
			require.NoError(b, store.keepFilters())
		}
	}
	blocks := store.partitions.blocksOf(partition{tenantPrefix(""), dayOf(noon.UnixNano())})
	b.ReportMetric(float64(len(blocks)), "blocks")
	b.ReportMetric(float64(diskUsage(b, path))/float64(spans), "disk-B/span")
	b.Log(store.db.Metrics().String())
}

// BenchmarkJoins makes the rows of the traces of ten calls, of which a span each came late, in one call more.
func BenchmarkJoins(b *testing.B) {
	const calls = 10
	traffic := newShopTraffic()
	made, rows := time.Duration(0), 0
	for n := 0; b.Loop(); n++ {
		store := openStore(b, Options{Path: b.TempDir(), Now: atNoon})
		late := ptrace.NewTraces()
		for range calls {
			td := traffic.call(b, noon, 8192)
			spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			rs := late.ResourceSpans().AppendEmpty()
			td.ResourceSpans().At(0).Resource().CopyTo(rs.Resource())
			to := rs.ScopeSpans().AppendEmpty().Spans()
			seen := make(map[pcommon.TraceID]bool)
			for _, span := range spans.All() {
				if len(seen) < 10 && !seen[span.TraceID()] {
					seen[span.TraceID()] = true
					fragment := to.AppendEmpty()
					span.CopyTo(fragment)
					fragment.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, byte(n)})
					fragment.Attributes().Clear()
					fragment.Attributes().PutInt(conventions.AttrVersion, 2)
				}
			}
			rows += len(seen)
			require.NoError(b, store.WriteCall(b.Context(), td))
		}
		release := holdJoiner(store)
		require.NoError(b, store.WriteCall(b.Context(), late))
		before := cpu()
		release()
		require.NoError(b, store.finishJoins(b.Context()))
		made += cpu() - before
		require.NoError(b, store.Close())
	}
	b.ReportMetric(made.Seconds()*1e3/float64(rows), "CPU-ms/row")
}
