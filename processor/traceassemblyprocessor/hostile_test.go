package traceassemblyprocessor

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// nest puts depth maps and arrays around a text.
func nest(value pcommon.Value, depth int) {
	for i := range depth {
		if i%2 == 0 {
			value = value.SetEmptySlice().AppendEmpty()
		} else {
			value = value.SetEmptyMap().PutEmpty("k")
		}
	}
	value.SetStr("deep")
}

// change changes the first resource, scope and span of a request for one.
func change(td ptrace.Traces, f func(resource, scope pcommon.Map, span ptrace.Span)) ptrace.Traces {
	rs := td.ResourceSpans().At(0)
	ss := rs.ScopeSpans().At(0)
	f(rs.Resource().Attributes(), ss.Scope().Attributes(), ss.Spans().At(0))
	return td
}

// Values nested too deeply, and resources and scopes that are too large, are rejected with the spans that hang on them. The
// rest of the request is taken.
func TestRejectedForTheirContents(t *testing.T) {
	large := strings.Repeat("x", 5<<20)
	for name, test := range map[string]struct {
		change func(resource, scope pcommon.Map, span ptrace.Span)
		want   map[string]int64
	}{
		"deepest":  {func(_, _ pcommon.Map, s ptrace.Span) { nest(s.Attributes().PutEmpty("k"), 10_000) }, map[string]int64{}},
		"too deep": {func(_, _ pcommon.Map, s ptrace.Span) { nest(s.Attributes().PutEmpty("k"), 10_001) }, map[string]int64{"too_deep": 1}},
		"in an event": {func(_, _ pcommon.Map, s ptrace.Span) {
			nest(s.Events().AppendEmpty().Attributes().PutEmpty("k"), 10_001)
		}, map[string]int64{"too_deep": 1}},
		"in a link": {func(_, _ pcommon.Map, s ptrace.Span) {
			nest(s.Links().AppendEmpty().Attributes().PutEmpty("k"), 10_001)
		}, map[string]int64{"too_deep": 1}},
		"on the scope":    {func(_, scope pcommon.Map, _ ptrace.Span) { nest(scope.PutEmpty("k"), 10_001) }, map[string]int64{"too_deep": 2}},
		"on the resource": {func(resource, _ pcommon.Map, _ ptrace.Span) { nest(resource.PutEmpty("k"), 10_001) }, map[string]int64{"too_deep": 2}},
		"large span":      {func(_, _ pcommon.Map, s ptrace.Span) { s.Attributes().PutStr("k", large) }, map[string]int64{"too_large": 1}},
		"large scope":     {func(_, scope pcommon.Map, _ ptrace.Span) { scope.PutStr("k", large) }, map[string]int64{"too_large": 2}},
		"large resource":  {func(resource, _ pcommon.Map, _ ptrace.Span) { resource.PutStr("k", large) }, map[string]int64{"too_large": 2}},
		"deep annotation": {func(_, _ pcommon.Map, s ptrace.Span) { nest(s.Attributes().PutEmpty("tracewright.x"), 10_001) }, map[string]int64{"too_deep": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, nil)
				td := request(
					testSpan{trace: 1, id: 1, service: "a"}, testSpan{trace: 1, id: 2, parent: 1, service: "a"},
					testSpan{trace: 1, id: 3, parent: 1, service: "b"},
				)
				require.NoError(t, f.ConsumeTraces(t.Context(), change(td, test.change)))
				f.wait(20 * time.Second)
				require.Equal(t, test.want, f.points("spans_rejected"))
				rejected := f.sum("spans_rejected")
				require.Len(t, f.sink.of(1)[0].Spans, int(3-rejected))
				f.stop()
			})
		})
	}
}

// The budget knows what many empty values, each of two bytes on the wire, take in memory.
func TestWeightOfNestedValues(t *testing.T) {
	const n = 100_000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC() // what is pooled survives once
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for name, fill := range map[string]func(span ptrace.Span){
		"maps":   func(s ptrace.Span) { fillMap(s.Attributes().PutEmptyMap("k"), n) },
		"lists":  func(s ptrace.Span) { fillSlice(s.Attributes().PutEmptySlice("k"), n) },
		"events": func(s ptrace.Span) { fillMap(s.Events().AppendEmpty().Attributes(), n) },
	} {
		t.Run(name, func(t *testing.T) {
			source := ptrace.NewTraces()
			fill(source.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
			wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(source)
			require.NoError(t, err)
			before := heap()
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
			require.NoError(t, err)
			used := heap() - before
			shape, size := shapeOf(t, string(wire))
			weight := spanWeight(size) + int64(decodedWeight(shape, size))
			t.Logf("%d bytes of OTLP, %d of heap, %d estimated", len(wire), used, weight)
			require.Greater(t, float64(weight), 0.7*float64(used), "no less than it takes, but for the room that growing left")
			runtime.KeepAlive(source)
			runtime.KeepAlive(td)
		})
	}
}

func fillMap(m pcommon.Map, n int) {
	m.EnsureCapacity(n)
	raw := make(map[string]any, n)
	for i := range n {
		raw[string([]byte{byte(i), byte(i >> 8), byte(i >> 16)})] = nil
	}
	_ = m.FromRaw(raw) // only plain values
}

func fillSlice(s pcommon.Slice, n int) {
	s.EnsureCapacity(n)
	for range n {
		s.AppendEmpty()
	}
}

// Large resources and scopes count in the budget until the next consumer has taken them: in requests that wait, in open traces, and
// in calls. Each of these traces has a span of 100 bytes and a resource or scope of its own of 10,000.
func TestResourcesCountInTheBudget(t *testing.T) {
	for name, pick := range map[string]func(resource, scope pcommon.Map) pcommon.Map{
		"resource": func(resource, _ pcommon.Map) pcommon.Map { return resource },
		"scope":    func(_, scope pcommon.Map) pcommon.Map { return scope },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) {
					small(c)
					c.Linger = 0
				})
				refusing := true
				f.sink.fail = func(int, ptrace.Traces) error {
					if refusing {
						return errors.New("busy")
					}
					return nil
				}
				accepted := uint64(0)
				for ; accepted < 1000; accepted++ {
					td := change(request(testSpan{trace: 1 + accepted, id: 1}), func(resource, scope pcommon.Map, _ ptrace.Span) {
						attrs := pick(resource, scope)
						attrs.PutStr("padding", strings.Repeat("x", 10_000))
						attrs.PutInt("n", int64(accepted))
					})
					if f.ConsumeTraces(t.Context(), td) != nil {
						break
					}
					f.wait(100 * time.Millisecond)
				}
				// 7/8 MiB take at most 87 of them, and half of that would be a waste.
				require.Less(t, accepted, uint64(88))
				require.Greater(t, accepted, uint64(43))
				require.LessOrEqual(t, f.budget.held.Load(), f.budget.limit)
				f.sink.mu.Lock()
				refusing = false
				f.sink.mu.Unlock()
				f.wait(time.Minute)
				require.Len(t, f.sink.releases, int(accepted))
				f.stop()
			})
		})
	}
}

// A call is closed before the resources that its traces share would make a store write more than max_trace_bytes for it.
func TestSharedResourceOfManyTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small) // max_trace_bytes is 131,072
		spans := make([]testSpan, 50)
		for i := range spans {
			spans[i] = testSpan{trace: 1 + uint64(i), id: 1}
		}
		td := change(request(spans...), func(resource, _ pcommon.Map, _ ptrace.Span) {
			resource.PutStr("padding", strings.Repeat("x", 20_000))
		})
		require.NoError(t, f.ConsumeTraces(t.Context(), td))
		f.wait(20 * time.Second)
		// 6 times 20,100 bytes fit, 7 times do not: 50 traces need 9 calls.
		require.Len(t, f.sink.calls, 9)
		require.Len(t, f.sink.releases, 50)
		f.stop()
	})
}

// 100,000 spans of one id with times of their own must not be compared each with each, neither while they are held nor once
// they were released. A duplicate is still told.
func TestOneSpanIDForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 50_000 })
		const n = 100_000
		spans := make([]testSpan, n)
		for i := range spans {
			spans[i] = testSpan{trace: 1, id: 1, start: 1, end: uint64(2 + i)}
		}
		f.send(spans...)
		f.send(spans[0])
		f.wait(time.Minute)
		require.EqualValues(t, n-1, f.sum("spans_conflicting")) // all but the first
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		require.EqualValues(t, n, f.sum("spans_released"))
		f.stop()
	})
}

// A sender that repeats a released span again and again leaves nothing behind.
func TestRepeatedLateDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(2 * time.Second)
		for range 1000 {
			f.send(testSpan{trace: 1, id: 1})
			synctest.Wait()
		}
		f.look(func(s *shard) { require.Len(t, listed(s.skeletons), 1) })
		require.EqualValues(t, 1000, f.sum("spans_duplicate"))
		f.send(testSpan{trace: 1, id: 2, parent: 1})
		f.wait(10 * time.Second)
		require.Equal(t, conventions.OutcomeLate, f.sink.of(1)[1].Outcome)
		f.wait(2 * time.Minute)
		f.send(testSpan{trace: 2, id: 1}) // the next turn
		f.wait(2 * time.Second)
		f.look(func(s *shard) {
			require.Len(t, s.skeletons.byTrace, 1)
			require.Len(t, listed(s.skeletons), 1)
		})
		f.stop()
	})
}

// The entry's name stands on every late span and part: as much of it as aggregates use.
func TestLongNamesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		long := strings.Repeat("n", 1<<20)
		f.send(testSpan{trace: 1, id: 1, name: long, service: long})
		f.wait(2 * time.Second)
		f.send(testSpan{trace: 1, id: 2, parent: 1, service: "b"})
		f.wait(2 * time.Second)
		require.Equal(t, long, f.sink.of(1)[0].Spans[0].Name(), "the sender's stays")
		late := f.sink.of(1)[1].Spans[0]
		for _, key := range []string{
			conventions.AttrEntryService, conventions.AttrEntryOperation, conventions.AttrParentService, conventions.AttrParentOperation,
		} {
			require.Equal(t, long[:256], attr(late, key), key)
		}
		f.stop()
	})
}

// Contents that are different are never taken for one, however they are written.
func TestContentHash(t *testing.T) {
	hash := func(fill func(m pcommon.Map)) [16]byte {
		m := pcommon.NewMap()
		fill(m)
		return hashContent(m, 0, "schema")
	}
	base := hash(func(m pcommon.Map) { m.PutStr("a", "x"); m.PutStr("b", "y") })
	require.Equal(t, base, hash(func(m pcommon.Map) { m.PutStr("b", "y"); m.PutStr("a", "x") }), "order does not count")
	seen := map[[16]byte]string{base: "base"}
	for name, fill := range map[string]func(m pcommon.Map){
		"nothing":                    func(pcommon.Map) {},
		"one":                        func(m pcommon.Map) { m.PutStr("a", "x") },
		"values changed places":      func(m pcommon.Map) { m.PutStr("a", "y"); m.PutStr("b", "x") },
		"one that reads like two":    func(m pcommon.Map) { m.PutStr("a", "x\xf4b\xf7y") },
		"another that does":          func(m pcommon.Map) { m.PutStr("a", "x\x01b\x01\x01y") },
		"key and value run together": func(m pcommon.Map) { m.PutStr("ax", ""); m.PutStr("by", "") },
		"text of a number":           func(m pcommon.Map) { m.PutStr("a", "1") },
		"number":                     func(m pcommon.Map) { m.PutInt("a", 1) },
		"floating number":            func(m pcommon.Map) { m.PutDouble("a", 1) },
		"true":                       func(m pcommon.Map) { m.PutBool("a", true) },
		"false":                      func(m pcommon.Map) { m.PutBool("a", false) },
		"bytes":                      func(m pcommon.Map) { m.PutEmptyBytes("a").FromRaw([]byte("x")) },
		"empty":                      func(m pcommon.Map) { m.PutEmpty("a") },
		"list":                       func(m pcommon.Map) { m.PutEmptySlice("a").AppendEmpty().SetStr("x") },
		"list of a list":             func(m pcommon.Map) { m.PutEmptySlice("a").AppendEmpty().SetEmptySlice().AppendEmpty().SetStr("x") },
		"map":                        func(m pcommon.Map) { m.PutEmptyMap("a").PutStr("x", "") },
		"two empty ones":             func(m pcommon.Map) { m.PutEmptySlice("a"); m.PutEmptySlice("b") },
	} {
		h := hash(fill)
		require.Empty(t, seen[h], name)
		seen[h] = name
	}
	require.NotEqual(t, hashContent(pcommon.NewMap(), 0, "ab", "c"), hashContent(pcommon.NewMap(), 0, "a", "bc"))
	require.NotEqual(t, hashContent(pcommon.NewMap(), 0), hashContent(pcommon.NewMap(), 1))
}

// A resource of hundreds of thousands of keys is hashed in linear time.
func TestResourceOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxSpanBytes = 16 << 20 })
		td := change(request(testSpan{trace: 1, id: 1}), func(resource, _ pcommon.Map, _ ptrace.Span) { fillMap(resource, 500_000) })
		require.NoError(t, f.ConsumeTraces(context.Background(), td))
		f.wait(2 * time.Second)
		require.Len(t, f.sink.of(1), 1)
		f.stop()
	})
}
