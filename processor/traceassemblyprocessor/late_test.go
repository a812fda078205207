package traceassemblyprocessor

import (
	"reflect"
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
			"child.service": `["db"]`, "child.operation": `["query"]`,
		}, links(spanOf(t, fragment, 3)))
		require.Equal(t, entry, links(spanOf(t, fragment, 5)), "its parent is of the same service")
		require.Equal(t, entry, links(spanOf(t, fragment, 6)))
		require.Equal(t, "true", attr(spanOf(t, fragment, 6), conventions.AttrOrphan))
		require.Equal(t, "1", attr(spanOf(t, fragment, 6), conventions.AttrMissingParents), "98 alone, on the release's root")
		require.EqualValues(t, 3, f.sum("spans_late"))
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		require.EqualValues(t, 2, f.sum("spans_orphaned"), "4 of 3, 6 of 98")

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

// TestEntryIsTheEarliestRoot releases an orphan, then the later of two roots, then the earlier one, then the latest.
func TestEntryIsTheEarliestRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(testSpan{trace: 1, id: 9, parent: 1, name: "orphan", start: 1})
		f.wait(11 * time.Second)
		for _, span := range []testSpan{
			{trace: 1, id: 2, name: "second", start: 20},
			{trace: 1, id: 1, name: "first", start: 10},
			{trace: 1, id: 3, name: "third", start: 30},
		} {
			child := testSpan{trace: 1, id: span.id + 100, parent: span.id, name: "child", start: 5}
			f.send(span, child)
			f.wait(2 * time.Second)
		}
		var entries []string
		for _, r := range f.sink.of(1) {
			for _, span := range r.Spans {
				entries = append(entries, span.Name()+" of "+attr(span, conventions.AttrEntryOperation))
			}
		}
		require.Equal(t, []string{
			"orphan of ", // the first release says nothing: analysis sees the same
			"second of second", "child of second", "first of first", "child of first", "third of first", "child of first",
		}, entries)
		f.wait(2 * time.Minute)
		f.stop()
		requireNoSymbols(t, f.shards[0].skeletons)
	})
}

// TestLateParentOfSharedID gives a late span a parent id that a client, a server and an internal span share, in whatever order
// they come: the parent is the server's.
func TestLateParentOfSharedID(t *testing.T) {
	client := testSpan{trace: 1, id: 1, service: "web", name: "client", kind: ptrace.SpanKindClient}
	server := testSpan{trace: 1, id: 1, service: "shop", name: "server", kind: ptrace.SpanKindServer}
	inside := testSpan{trace: 1, id: 1, service: "shop", name: "inside", kind: ptrace.SpanKindInternal}
	for name, spans := range map[string][]testSpan{
		"first": {server, inside, client}, "second": {client, server, inside}, "last": {inside, client, server},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, nil)
				f.send(spans...)
				f.wait(2 * time.Second)
				f.send(testSpan{trace: 1, id: 2, parent: 1, service: "db", name: "query"})
				f.send(client, server, inside)
				f.wait(2 * time.Second)
				require.Equal(t, "server", attr(f.sink.of(1)[1].Spans[0], conventions.AttrParentOperation))
				require.EqualValues(t, 3, f.sum("spans_duplicate"))
				f.stop()
			})
		})
	}
}

func requireNoSymbols(t *testing.T, s *skeletons) {
	for i := range s.peers {
		s.endpoints.unref(s.peers[i].endpoint)
	}
	require.Empty(t, s.symbols.index, "every symbol was given back")
	require.Empty(t, s.endpoints.index, "every endpoint was given back")
	require.Zero(t, s.symbols.weight+s.endpoints.weight)
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
			// A trace of one span takes 152 + 24 bytes, and there is one symbol and one entry.
			require.LessOrEqual(t, s.skeletons.weight+s.symbols.weight+s.skeletons.endpoints.weight, int64(1<<17))
			require.Greater(t, s.skeletons.weight, int64(1<<17)-1000)
			require.EqualValues(t, 1000-len(s.skeletons.byTrace), f.sum("skeleton_evictions"))
		})
		f.send(testSpan{trace: 1000, id: 1}) // the last one is remembered
		require.Len(t, f.sink.of(1000), 1)
		f.wait(time.Hour)
		f.stop()
		sk := f.shards[0].skeletons
		require.Empty(t, sk.byTrace)
		require.Empty(t, listed(sk))
		require.Zero(t, sk.weight)
		requireNoSymbols(t, sk)
	})
}

// TestBusyTrace sends spans of one trace all the time, as jobs with a constant trace id do. What is remembered of them must not
// crowd out the other traces: 12 of these are within late_window, of the 1 MiB / 8 that skeletons have they need 12 * 176 bytes.
func TestBusyTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small)
		id := uint64(1)
		for n := range uint64(200) {
			f.send(testSpan{trace: 1000 + n, id: 1, name: "tick"})
			f.wait(2 * time.Second)
			spans := make([]testSpan, 50)
			for i := range spans {
				spans[i] = testSpan{trace: 1, id: id, name: "tick"}
				id++
			}
			f.send(spans...)
			f.wait(3 * time.Second)
			f.look(func(s *shard) {
				require.Contains(t, s.skeletons.byTrace, skeletonKey{id: traceID(1000 + n)}, "4 s after its release")
				requireWeight(t, s.skeletons)
			})
		}
		require.Positive(t, f.sum("skeleton_evictions"))
		require.Less(t, f.sum("skeleton_evictions"), int64(20), "of 1365 spans at a time")
		require.Equal(t, 200, f.sink.of(1)[199].Version)
		f.stop()
	})
}

// TestRepeatedSpanDoesNotCrowdOut repeats a span of a trace that is remembered just so, with as many spans of one id as are
// compared: telling the duplicate takes more memory than one trace may have.
func TestRepeatedSpanDoesNotCrowdOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small)
		f.send(testSpan{trace: 2, id: 1})
		spans := make([]testSpan, 1100) // 56 bytes each with the index, of 64 KiB
		for i := range spans {
			spans[i] = testSpan{trace: 1, id: uint64(1 + i)}
			if i <= maxCompared {
				spans[i] = testSpan{trace: 1, id: 1, end: uint64(i)}
			}
		}
		f.send(spans...)
		f.wait(2 * time.Second)
		require.Zero(t, f.sum("skeleton_evictions"))
		f.send(spans[1]) // the last one of its id that it is compared with
		f.wait(2 * time.Second)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		require.EqualValues(t, 1, f.sum("skeleton_evictions"))
		f.look(func(s *shard) {
			require.Contains(t, s.skeletons.byTrace, skeletonKey{id: traceID(2)})
			require.Contains(t, s.skeletons.byTrace, skeletonKey{id: traceID(1)}, "its entry and version")
			require.Empty(t, s.skeletons.byTrace[skeletonKey{id: traceID(1)}].spans)
			requireWeight(t, s.skeletons)
		})
		f.stop()
	})
}

// listed are the skeletons in the list, oldest first.
func listed(s *skeletons) (list []*skeleton) {
	for sk := s.oldest; sk != nil; sk = sk.newer {
		list = append(list, sk)
	}
	return list
}

// requireWeight compares the weight of all skeletons with what they say themselves.
func requireWeight(t *testing.T, s *skeletons) {
	weight := int64(0)
	for _, sk := range s.byTrace {
		weight += sk.weight()
	}
	require.Equal(t, weight, s.weight)
}

// TestLateSpansOfALargeTrace makes what finds its spans once, not for every late span: the index, and the identities of many
// spans of one id.
func TestLateSpansOfALargeTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		const n = 10_000
		spans := make([]testSpan, n)
		for i := range spans {
			spans[i] = testSpan{trace: 1, id: uint64(1 + i)}
			if i < 100 {
				spans[i] = testSpan{trace: 1, id: 1, end: uint64(i)}
			}
		}
		f.send(spans...)
		f.wait(2 * time.Second)
		f.look(func(s *shard) {
			sk := s.skeletons.byTrace[skeletonKey{id: traceID(1)}]
			require.False(t, sk.indexed(), "not before a late span comes")
			require.NotNil(t, sk.identities(), "needed before its release")
		})
		var maps [][2]uintptr
		for i := range uint64(3) {
			f.send(spans[i], spans[n-1-i]) // nothing but duplicates
			f.wait(2 * time.Second)
			f.send(spans[i], testSpan{trace: 1, id: n + 1 + i, parent: 1})
			f.wait(2 * time.Second)
			f.look(func(s *shard) {
				sk := s.skeletons.byTrace[skeletonKey{id: traceID(1)}]
				require.Len(t, sk.spans, int(n+1+i))
				maps = append(maps, [2]uintptr{reflect.ValueOf(sk.more.index).Pointer(), reflect.ValueOf(sk.identities()).Pointer()})
				requireWeight(t, s.skeletons)
			})
		}
		require.NotZero(t, maps[0][0])
		require.NotZero(t, maps[0][1])
		require.Equal(t, [][2]uintptr{maps[0], maps[0], maps[0]}, maps)
		require.EqualValues(t, 9, f.sum("spans_duplicate"))
		require.Len(t, f.sink.of(1), 4)
		f.stop()
	})
}

// TestSkeletonExpires takes a skeleton after its window, before anybody evicted it.
func TestSkeletonExpires(t *testing.T) {
	table := newSymbols[operation]()
	s := newSkeletons(time.Minute, 1<<20, table)
	key := traceKey{tenant: "acme", id: traceID(1)}
	sk := s.make(key)
	sk.entry = s.endpoints.ref(endpoint{operation: operation{"shop", "work"}})
	s.put(sk)
	require.Nil(t, s.take(traceKey{id: key.id}, time.Second), "of another tenant")
	require.Nil(t, s.take(traceKey{tenant: "other", id: key.id}, time.Second), "of an unknown tenant")
	require.Same(t, sk, s.take(key, time.Second))
	sk.released = stampOf(time.Minute)
	s.put(sk)
	s.evict(90 * time.Second)
	require.Contains(t, s.byTrace, sk.skeletonKey)
	require.Nil(t, s.take(key, 2*time.Minute))
	require.Zero(t, s.weight)
	requireNoSymbols(t, s)
	s.evict(time.Hour)
	require.Zero(t, s.evicted, "in time")
}

// TestSkeletonsOfOpenTraces passes over a skeleton that its trace owns, and evicts it after it was given back.
func TestSkeletonsOfOpenTraces(t *testing.T) {
	s := newSkeletons(time.Minute, 1<<20, newSymbols[operation]())
	var made []*skeleton
	for i := range uint64(3) {
		sk := s.make(traceKey{id: traceID(i + 1)})
		sk.released = stampOf(time.Duration(i) * time.Second)
		s.put(sk)
		made = append(made, sk)
	}
	require.Same(t, made[0], s.take(traceKey{id: traceID(1)}, 59*time.Second))
	s.evict(61 * time.Second)
	require.Equal(t, made[2:], listed(s), "the second one's window has passed")
	s.giveBack(made[0])
	s.giveBack(made[0])
	require.Equal(t, []*skeleton{made[2], made[0]}, listed(s))
	require.Nil(t, s.take(traceKey{id: traceID(1)}, 61*time.Second), "its window has passed too")
	require.Equal(t, made[2:], listed(s))
	requireWeight(t, s)
	s.limit = 0
	s.evict(61 * time.Second)
	require.Equal(t, 1, s.evicted)
	require.Zero(t, s.weight)
}

// TestStampTurnsOver has a clock of more than 49 days.
func TestStampTurnsOver(t *testing.T) {
	turn := time.Duration(1<<32) * time.Millisecond
	require.Equal(t, 3*time.Second, stampOf(turn-time.Second).age(turn+2*time.Second))
	require.Equal(t, -time.Second, stampOf(turn).age(turn-time.Second))
}

// repairs are what assembly writes on a late span or a part to make good what earlier releases counted.
func repairs(span tracetree.Span) map[string]string {
	m := make(map[string]string)
	for _, key := range append(conventions.Repairs[:len(conventions.Repairs):len(conventions.Repairs)], conventions.AttrOrphan) {
		if v := attr(span, key); v != "" {
			m[key[len(conventions.Prefix):]] = v
		}
	}
	return m
}

// TestRepairs releases web GET / (1) → POST (2), failed, and what two children (3, 4) and the consumer of a lost message (6) of
// a late producer (5) answer.
func TestRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(
			testSpan{trace: 1, id: 1, service: "web", name: "GET /", kind: ptrace.SpanKindServer, start: 10},
			testSpan{trace: 1, id: 2, parent: 1, service: "web", name: "POST", kind: ptrace.SpanKindClient, failed: true, attributes: "http.request.method=POST server.address=stock:80"},
			testSpan{trace: 1, id: 6, parent: 5, service: "mail", name: "process", start: 20, end: 27, failed: true, attributes: "messaging.system=kafka"},
		)
		f.wait(11 * time.Second)
		for _, span := range f.sink.of(1)[0].Spans {
			require.Empty(t, repairs(span), "analysis sees the same")
		}
		f.send(
			testSpan{trace: 1, id: 3, parent: 2, service: "stock", name: "take"},
			testSpan{trace: 1, id: 4, parent: 2, service: "stock", name: "take", failed: true},
		)
		f.send(testSpan{trace: 1, id: 5, parent: 1, service: "web", name: "publish", kind: ptrace.SpanKindProducer})
		f.wait(2 * time.Second)
		late := f.sink.of(1)[1]
		require.Equal(t, map[string]string{
			"retracted.peer.service": "stock:80", "retracted.peer.kind": "external", "retracted.protocol": "http", "retracted.error": "true",
		}, repairs(spanOf(t, late, 3)))
		require.Empty(t, repairs(spanOf(t, late, 4)), "taken back once; and the trace has failed before")
		require.Equal(t, map[string]string{
			"repaired": "1", "child.service": `["mail"]`, "child.operation": `["process"]`, "child.protocol": `["kafka"]`,
			"child.duration": "[7]", "child.error": "[true]",
		}, repairs(spanOf(t, late, 5)))

		f.send(testSpan{trace: 1, id: 7, service: "edge", name: "GET", kind: ptrace.SpanKindServer, start: 1})
		f.wait(2 * time.Second)
		require.Equal(t, map[string]string{
			"entry.outcome": "quiet", "retracted.entry.service": "web", "retracted.entry.operation": "GET /", "retracted.entry.error": "true",
		}, repairs(f.sink.of(1)[2].Spans[0]))
		f.wait(2 * time.Minute)
		f.stop()
		requireNoSymbols(t, f.shards[0].skeletons)
	})
}

// TestPartsAnswerEachOther has a call whose two sides are in two parts that are released together, and one within a part.
func TestPartsAnswerEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans, c.MaxPartBytes = 3, 1 }) // a part has four times its largest resource
		f.send(
			testSpan{trace: 1, id: 1, service: "web", name: "GET /", padding: 500},
			testSpan{trace: 1, id: 2, parent: 1, service: "web", name: "POST", kind: ptrace.SpanKindClient, attributes: "server.address=stock"},
			testSpan{trace: 1, id: 3, parent: 2, service: "stock", name: "take", padding: 500},
			testSpan{trace: 1, id: 4, parent: 9, service: "stock", name: "lost", failed: true},
		)
		f.wait(2 * time.Second)
		releases := f.sink.of(1)
		require.Greater(t, len(releases), 1)
		got := make(map[uint64]map[string]string)
		for _, r := range releases {
			for _, span := range r.Spans {
				got[idOf(span)] = repairs(span)
			}
		}
		require.Equal(t, map[uint64]map[string]string{
			1: {}, 2: {"answered": "true"}, 3: {},
			4: {"orphan": "true", "entry.error": "true", "entry.outcome": "part"}, // the entry is counted with part 0
		}, got)
		f.stop()
	})
}
