package hostile

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// A trace above max_trace_spans comes in parts, and is one trace to those who ask. (The end-to-end test sends one of 100,000
// spans, which takes long under the race detector.)
func TestTraceInParts(t *testing.T) {
	p := startPipeline(t, func(c *traceassemblyprocessor.Config) { c.MaxTraceSpans = 2_000 })
	r := newRequest(1)
	spans := r.service("shop")
	const n = 2_001
	for i := range n {
		r.span(spans, uint64(n-i), uint64((n-i)/2), internal, 0, 100) // a binary tree, leaves first
	}
	p.send(encode(t, r.td))
	p.settle()
	counts := p.counters()
	require.Zero(t, counts["releases/complete"])
	require.Positive(t, counts["releases/part"])
	a := p.checkTrace(t, traceID(1), "")
	require.Equal(t, n, a.SpanCount)
	require.Equal(t, []string{id1}, a.Roots)
	require.Zero(t, a.MissingParents)
	require.Equal(t, "part", a.Outcome)
	rows := p.search("", nil)
	require.Len(t, rows, 1)
	require.Equal(t, n, rows[0].SpanCount)
}

// A chain: each span begins 1 µs after its parent and ends 1 µs before it.
func TestChainOf10000Spans(t *testing.T) {
	p := startPipeline(t, nil)
	r := newRequest(1)
	spans := r.service("shop")
	const n = 10_000
	for i := range n {
		span := r.span(spans, uint64(1+i), uint64(i), internal, 0, 100)
		span.SetStartTimestamp(at(0) + pcommon.Timestamp(1000*i))
		span.SetEndTimestamp(at(100) - pcommon.Timestamp(1000*i))
	}
	p.send(encode(t, r.td))
	p.settle()
	a := p.checkTrace(t, traceID(1), "")
	require.Equal(t, n, a.SpanCount)
	require.Equal(t, 100*ms, a.RootDurationNS)
	require.Equal(t, int64(2000), a.span(t, id1).SelfTimeNS)
	// Every span but the innermost holds 1 µs before its child and 1 µs behind it.
	require.Len(t, a.CriticalPath, 2*n-1)
	require.Equal(t, 100*ms-2000*(n-1), a.span(t, fmt.Sprintf("%016x", n)).CriticalPathNS)
}

// A name of a megabyte on the root of a large trace, in one release and in parts: every span names its entry, and would make
// a trace of 2 GB.
func TestLongNameOnEverySpan(t *testing.T) {
	for name, spans := range map[string]int{"one release": 100_000, "in parts": 200} {
		t.Run(name, func(t *testing.T) {
			p := startPipeline(t, func(c *traceassemblyprocessor.Config) { c.MaxTraceSpans = spans })
			r := newRequest(1)
			to := r.service("shop")
			r.span(to, 1, 0, server, 0, 100).SetName(strings.Repeat("n", 1<<20))
			for i := range 2_000 {
				r.span(to, uint64(2+i), 1, internal, 10, 20)
			}
			peak := watchHeap(t)
			p.send(encode(t, r.td))
			p.settle()
			require.Less(t, peak(), uint64(500<<20))
			require.Equal(t, 2_001, p.checkTrace(t, traceID(1), "").SpanCount)
		})
	}
}

// As many empty spans as 8 MiB hold come in 8 KiB, zipped. Decoded each of them is an object of 216 bytes.
func TestFourMillionEmptySpans(t *testing.T) {
	const spans = 8 << 20 / 2
	p := startPipeline(t, nil)
	body := message(resourceSpans, message(scopeSpans, bytes.Repeat(message(spansField), spans-1), rawSpan(newRequest(1).trace[:], spanBytes(1), nil)))
	peak := watchHeap(t)
	p.send(body)
	p.settle()
	require.Less(t, peak(), uint64(300<<20))
	require.Equal(t, map[string]int64{
		"spans_received": spans, "spans_rejected/zero_trace_id": spans - 1, "spans_released": 1, "releases/complete": 1,
	}, p.counters())
	require.Equal(t, 1, p.checkTrace(t, traceID(1), "").SpanCount)
}

// millionEnv is how many traces TestManyTraces sends; make test-long sends a million.
const millionEnv = "TRACEWRIGHT_HOSTILE_TRACES"

// Traces of one span each cost the most for each span: everything that is kept for a trace is kept for one span. What is held
// must not grow with their number.
func TestManyTraces(t *testing.T) {
	total := 10_000
	if text := os.Getenv(millionEnv); text != "" {
		var err error
		total, err = strconv.Atoi(text)
		require.NoError(t, err, millionEnv)
	}
	// Skeletons are kept for a minute, and may take an eighth of this.
	p := startPipeline(t, func(c *traceassemblyprocessor.Config) { c.MemoryLimitBytes = 128 << 20 })
	before := heapInUse()
	peak := watchHeap(t)
	const perRequest = 1000
	for sent := 0; sent < total; {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", sent/perRequest%50))
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for range min(perRequest, total-sent) {
			sent++
			span := spans.AppendEmpty()
			span.SetTraceID(traceID(uint64(sent)))
			span.SetSpanID(spanID(uint64(sent)))
			span.SetName("alone")
			span.SetStartTimestamp(at(0))
			span.SetEndTimestamp(at(1))
			span.Attributes().PutStr("http.request.method", "GET")
			span.Attributes().PutInt("n", int64(sent))
		}
		body := encode(t, td)
		for wait := time.Millisecond; ; wait *= 2 { // a full pipeline is no fault: senders come again
			td, err := decode(body)
			require.NoError(t, err)
			if p.entry.ConsumeTraces(t.Context(), td) == nil {
				break
			}
			require.Less(t, wait, timeout)
			<-time.After(wait)
		}
	}
	p.settle()
	highest := peak()
	t.Logf("%d traces: %d MiB of heap before, %d at the highest, %d after", total, before>>20, highest>>20, heapInUse()>>20)
	counts := p.counters()
	require.EqualValues(t, total, counts["spans_released"])
	require.EqualValues(t, total, counts["spans_received"])
	require.Zero(t, counts["spans_dropped"])
	// 128 MiB are held where senders are faster than the store, and 64 MiB are Pebble's cache; Go lets the heap grow to twice what
	// is in use, and what is being encoded comes on top.
	require.Less(t, highest-before, uint64(768<<20))
	for _, n := range []int{1, total / 2, total} {
		require.Equal(t, 1, p.checkTrace(t, traceID(uint64(n)), "").SpanCount)
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watchHeap reads the size of the heap again and again; the function it returns ends that and answers the largest.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan uint64, 1)
	go func() {
		highest := uint64(0)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			highest = max(highest, m.HeapAlloc)
			select {
			case <-stop:
				done <- highest
				return
			case <-ticker.C:
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-done
	}
}
