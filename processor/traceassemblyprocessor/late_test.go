package traceassemblyprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// links are what assembly writes on a late span.
func links(span tracetree.Span) map[string]string {
	m := make(map[string]string)
	for _, key := range []string{
		conventions.AttrEntryService, conventions.AttrEntryOperation, conventions.AttrParentService,
		conventions.AttrParentOperation, conventions.AttrChildService, conventions.AttrChildOperation,
	} {
		if v := attr(span, key); v != "" {
			m[key[len(conventions.Prefix):]] = v
		}
	}
	return m
}

// TestLateSpans releases web(1) → web(2) → [shop(3) missing] → db(4), then sends what is late.
func TestLateSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(
			testSpan{trace: 1, id: 1, service: "web", name: "GET /", kind: ptrace.SpanKindServer},
			testSpan{trace: 1, id: 2, parent: 1, service: "web", name: "POST", kind: ptrace.SpanKindClient},
			testSpan{trace: 1, id: 4, parent: 3, service: "db", name: "query"},
		)
		f.wait(11 * time.Second)
		require.Equal(t, "quiet", f.sink.of(1)[0].Outcome)

		late := testSpan{trace: 1, id: 3, parent: 2, service: "shop", name: "order", kind: ptrace.SpanKindServer}
		f.send(late, testSpan{trace: 1, id: 5, parent: 3, service: "shop", name: "inner"})
		f.send(testSpan{trace: 1, id: 6, parent: 98, service: "shop", name: "lost"}, testSpan{trace: 1, id: 4, parent: 3, service: "db"})
		f.wait(500 * time.Millisecond)
		require.Len(t, f.sink.of(1), 1, "collected for linger")
		f.wait(time.Second)
		releases := f.sink.of(1)
		require.Len(t, releases, 2)
		fragment := releases[1]
		require.Equal(t, tracetree.Assembly{Outcome: "late", Version: 2}, fragment.Assembly)
		require.Equal(t, []uint64{3, 5, 6}, ids(fragment))
		entry := map[string]string{"entry.service": "web", "entry.operation": "GET /"}
		require.Equal(t, map[string]string{
			"entry.service": "web", "entry.operation": "GET /", "parent.service": "web", "parent.operation": "POST",
			"child.service": "db", "child.operation": "query",
		}, links(spanOf(t, fragment, 3)))
		require.Equal(t, entry, links(spanOf(t, fragment, 5)), "its parent is of the same service")
		require.Equal(t, entry, links(spanOf(t, fragment, 6)))
		require.Equal(t, "1", attr(spanOf(t, fragment, 6), conventions.AttrMissingParents), "98 alone, on the release's root")
		require.EqualValues(t, 3, f.sum("spans_late"))
		require.EqualValues(t, 1, f.sum("spans_duplicate"))

		f.send(late) // a duplicate of a late one opens nothing
		synctest.Wait()
		require.Zero(t, f.sum("traces_open"))
		conflicting := late
		conflicting.end = 77
		f.send(conflicting)
		f.wait(2 * time.Second)
		require.Equal(t, 3, f.sink.of(1)[2].Version)
		require.Contains(t, attr(f.sink.of(1)[2].Spans[0], conventions.AttrViolations), "conflicting_span_id")

		f.wait(59 * time.Second) // 61s after the last release: forgotten
		f.send(testSpan{trace: 1, id: 7, service: "web"})
		f.wait(2 * time.Second)
		require.Equal(t, tracetree.Assembly{Outcome: "complete", Version: 1}, f.sink.of(1)[3].Assembly)
		f.stop()
	})
}

// TestLateParentOfSharedID gives a late span a parent id that a client and a server share: the parent is the server's.
func TestLateParentOfSharedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(
			testSpan{trace: 1, id: 1, service: "web", name: "client", kind: ptrace.SpanKindClient},
			testSpan{trace: 1, id: 1, service: "shop", name: "server", kind: ptrace.SpanKindServer},
		)
		f.wait(2 * time.Second)
		f.send(testSpan{trace: 1, id: 2, parent: 1, service: "db", name: "query"})
		f.wait(2 * time.Second)
		require.Equal(t, "server", attr(f.sink.of(1)[1].Spans[0], conventions.AttrParentOperation))
		f.stop()
	})
}

// TestSkeletonsAreBounded fills the share of memory_limit_bytes that skeletons have: 1 MiB / 8.
func TestSkeletonsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) {
			c.MemoryLimitBytes, c.MaxTraceBytes, c.MaxSpanBytes, c.MaxPartBytes = 1<<20, 1<<17, 1<<17, 1<<17
		})
		for i := range uint64(1000) {
			f.send(testSpan{trace: 1 + i, id: 1})
			if i%100 == 0 {
				f.wait(2 * time.Second)
			}
		}
		f.wait(2 * time.Second)
		f.look(func(s *shard) {
			// A trace of one span takes 320 + 24 bytes, and there is one symbol.
			require.LessOrEqual(t, s.skeletons.weight+s.symbols.weight, int64(1<<17))
			require.Greater(t, s.skeletons.weight, int64(1<<17)-1000)
			require.EqualValues(t, 1000-len(s.skeletons.byTrace), f.sum("skeleton_evictions"))
		})
		f.send(testSpan{trace: 1000, id: 1}) // the last one is remembered
		require.Len(t, f.sink.of(1000), 1)
		f.wait(time.Hour)
		f.stop()
		sk := f.shards[0].skeletons
		require.Empty(t, sk.byTrace)
		require.Empty(t, sk.queue)
		require.Zero(t, sk.weight)
		require.Zero(t, sk.symbols.weight, "every symbol was given back")
		require.Empty(t, sk.symbols.index)
	})
}

// TestSkeletonExpires takes a skeleton after its window, before anybody evicted it.
func TestSkeletonExpires(t *testing.T) {
	table := newSymbols()
	s := newSkeletons(time.Minute, 1<<20, table)
	op := table.ref(operation{"shop", "work"})
	sk := &skeleton{key: traceKey{id: traceID(1)}, entry: op}
	s.weight += sk.weight()
	s.put(sk, time.Minute)
	require.Same(t, sk, s.take(sk.key, time.Second))
	s.put(sk, 2*time.Minute)
	s.evict(90 * time.Second) // the first entry of the queue is void
	require.Contains(t, s.byTrace, sk.key)
	require.Nil(t, s.take(sk.key, 2*time.Minute))
	require.Zero(t, s.weight)
	require.Empty(t, table.index)
	s.evict(time.Hour)
	require.Zero(t, s.evicted, "in time")
}
