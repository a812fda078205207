package pebblestore

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// BenchmarkBeside asks for traces by id, one every few milliseconds, while two goroutines write as fast as they can: what a reader waits for
// processors that writers keep, from the moment at which it wakes up, for locks, and for what it reads.
func BenchmarkBeside(b *testing.B) {
	const writers, distinct = 2, 3
	traffic := newShopTraffic()
	calls := make([]ptrace.Traces, writers*distinct)
	for i := range calls {
		calls[i] = traffic.call(b, noon, 8192)
	}
	store := openStore(b, Options{Path: b.TempDir(), Retention: 168 * time.Hour, Now: atNoon})
	var ids []pcommon.TraceID
	for n := range 4 * len(calls) {
		td := calls[n%len(calls)]
		again(td, uint64(n+1), 0)
		require.NoError(b, store.WriteCall(b.Context(), td))
		for at := range 20 {
			ids = append(ids, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(at).TraceID())
		}
	}
	ctx, stop := context.WithCancel(b.Context())
	var writing sync.WaitGroup
	spans := make([]int, writers)
	for w := range writers {
		writing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				td := calls[writers*(n%distinct)+w]
				again(td, uint64(1000*(n+2)+w), 0)
				if err := store.WriteCall(context.WithoutCancel(ctx), td); err != nil {
					b.Error(err)
				}
				spans[w] += td.SpanCount()
			}
		})
	}
	var waits []time.Duration
	before := cpu()
	for n := 0; b.Loop(); n++ {
		due := time.Now().Add(5 * time.Millisecond)
		time.Sleep(time.Until(due))
		counts, err := spanCounts(b, store, ids[n*7919%len(ids)])
		require.NoError(b, err)
		require.Len(b, counts, 1)
		waits = append(waits, time.Since(due))
	}
	perS := float64(spans[0]+spans[1]) / (cpu() - before).Seconds()
	stop()
	writing.Wait()
	slices.Sort(waits)
	b.ReportMetric(waits[len(waits)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(waits[len(waits)*95/100].Seconds()*1e3, "p95-ms")
	b.ReportMetric(waits[len(waits)*99/100].Seconds()*1e3, "p99-ms")
	b.ReportMetric(perS, "written-spans/CPU-s")
}
