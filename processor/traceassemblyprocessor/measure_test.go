package traceassemblyprocessor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// padded is a request of spans of one service, whose resource has an attribute of so many bytes.
func padded(padding int, spans ...testSpan) ptrace.Traces {
	return change(request(spans...), func(resource, _ pcommon.Map, _ ptrace.Span) {
		resource.PutStr("padding", strings.Repeat("x", padding))
	})
}

// TestMeasure sends spans of two resources in turn: each resource and scope counts once.
func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small)
		// service.name and a name of 1, padding and 10,000, tags and lengths of each, of their value and of the attribute; and the scope's
		// name. Tag and length take 2 bytes, 3 where there are 10,000 behind it, and so for the resource and the scope.
		const origin = (12 + 2 + 1 + 2 + 2 + 2) + (7 + 2 + 10_000 + 3 + 3 + 3) + 3 + (3 + 2) + 2
		want := int64(0)
		for i := range uint64(20) {
			td := padded(10_000, testSpan{trace: 1, id: 1 + i, parent: i, service: string('a' + rune(i%2))})
			want += int64(len(encodeSpan(t, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0))))
			require.NoError(t, f.ConsumeTraces(t.Context(), td))
		}
		f.look(func(s *shard) { require.Equal(t, want+2*origin, s.traces[traceKey{id: traceID(1)}].measure.size) })
		require.NoError(t, f.ConsumeTraces(t.Context(), padded(100_000, testSpan{trace: 2, id: 1})))
		f.wait(2 * time.Second)
		require.Len(t, f.sink.calls, 1, "both are less than max_trace_bytes, 131,072")

		// The next trace counts anew what is still held for another one.
		orphan := testSpan{trace: 3, id: 1, parent: 2, service: "a"}
		next := testSpan{trace: 4, id: 1, service: "a"}
		require.NoError(t, f.ConsumeTraces(t.Context(), padded(10_000, orphan, testSpan{trace: 5, id: 1, service: "a"})))
		f.wait(2 * time.Second)
		td := padded(10_000, next)
		want = int64(len(encodeSpan(t, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0))))
		require.NoError(t, f.ConsumeTraces(t.Context(), td))
		f.look(func(s *shard) { require.Equal(t, want+origin, s.traces[traceKey{id: traceID(4)}].measure.size) })
		f.stop()
	})
}

// TestTooLargeWithItsResource rejects the one span that is above max_span_bytes together with its scope and resource.
func TestTooLargeWithItsResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxSpanBytes = 10_000 })
		td := padded(4000, testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1, padding: 4000}, testSpan{trace: 1, id: 3, parent: 1})
		td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().Attributes().PutStr("padding", strings.Repeat("x", 3000))
		require.NoError(t, f.ConsumeTraces(t.Context(), td))
		f.wait(2 * time.Second)
		require.Equal(t, map[string]int64{"too_large": 1}, f.points("spans_rejected"))
		require.Equal(t, []uint64{1, 3}, ids(f.sink.of(1)[0]))
		f.stop()
	})
}

// wireSize is what a release takes with a copy of each of its resources and scopes, without annotations.
func wireSize(t *testing.T, r tracetree.Release) int {
	td, _ := tracetree.Join([]ptrace.Traces{copyOf(r)})
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return len(data)
}

func copyOf(r tracetree.Release) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, span := range r.Spans {
		rs := td.ResourceSpans().AppendEmpty()
		span.Resource.CopyTo(rs.Resource())
		removeAnnotations(rs.Resource().Attributes())
		ss := rs.ScopeSpans().AppendEmpty()
		span.Scope.CopyTo(ss.Scope())
		copied := ss.Spans().AppendEmpty()
		span.CopyTo(copied)
		removeAnnotations(copied.Attributes())
	}
	return td
}

// TestPartsCountResources sends 100 small spans with a resource each: the trace is too large for its resources, and so would be
// its parts.
func TestPartsCountResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceBytes, c.MaxPartBytes, c.MaxSpanBytes = 50_000, 10_000, 10_000 })
		for i := range uint64(100) {
			require.NoError(t, f.ConsumeTraces(t.Context(), padded(1000, testSpan{trace: 1, id: 1 + i, parent: i, service: fmt.Sprint("s", i)})))
		}
		f.wait(2 * time.Second)
		releases := f.sink.of(1)
		// A span and its resource take about 1,100 bytes: 9 fit.
		require.Len(t, releases, 12)
		spans := 0
		for _, r := range releases {
			require.Equal(t, conventions.OutcomePart, r.Outcome)
			require.LessOrEqual(t, wireSize(t, r), 10_000)
			spans += len(r.Spans)
		}
		require.Equal(t, 100, spans)
		f.stop()
	})
}

// TestPartsOfALargeResource sends 100 spans of 1,000 bytes whose resource alone is larger than a part. A part for each of them
// would repeat the resource 100 times; parts of four times the resource repeat it rarely.
func TestPartsOfALargeResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceBytes, c.MaxPartBytes, c.MaxSpanBytes = 50_000, 10_000, 30_000 })
		spans := make([]testSpan, 100)
		for i := range spans {
			spans[i] = testSpan{trace: 1, id: uint64(1 + i), parent: uint64(i), padding: 1000}
		}
		require.NoError(t, f.ConsumeTraces(t.Context(), padded(20_000, spans...)))
		f.wait(2 * time.Second)
		var sizes []int
		for _, r := range f.sink.of(1) {
			sizes = append(sizes, len(r.Spans))
		}
		// A span takes 1,060 bytes or so. The trace is too large with 29 spans; the next part has room for 56.
		require.Equal(t, []int{29, 56, 15}, sizes)
		f.stop()
	})
}

// TestWaitingCallsShareResources has 200 calls wait for a next consumer that refuses. They all have spans of one resource; a copy
// in each would be 200 times what was sent.
func TestWaitingCallsShareResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small)
		refusing := true
		f.sink.fail = func(int, ptrace.Traces) error {
			if refusing {
				return errors.New("busy")
			}
			return nil
		}
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		// Each trace has a call of its own: a value counts 2 bytes of max_trace_bytes, 131,072. A copy of the list, which shares
		// nothing, takes 600,000 bytes.
		const values = 40_000
		spans := make([]testSpan, 200)
		for i := range spans {
			spans[i] = testSpan{trace: 1 + uint64(i), id: 1}
		}
		td := change(request(spans...), func(resource, _ pcommon.Map, _ ptrace.Span) {
			fillSlice(resource.PutEmptySlice("list"), values)
		})
		before := heap()
		require.NoError(t, f.ConsumeTraces(t.Context(), td))
		f.wait(10 * time.Second)
		require.Less(t, heap()-before, int64(20*600_000))
		f.sink.mu.Lock()
		refusing = false
		f.sink.mu.Unlock()
		f.wait(10 * time.Second)
		require.Len(t, f.sink.calls, 200)
		for _, call := range f.sink.calls {
			list, _ := call.ResourceSpans().At(0).Resource().Attributes().Get("list")
			require.Equal(t, values, list.Slice().Len())
			require.Equal(t, "lib", call.ResourceSpans().At(0).ScopeSpans().At(0).Scope().Name())
		}
		f.stop()
	})
}
