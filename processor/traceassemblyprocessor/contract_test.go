package traceassemblyprocessor

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// TestCallsClose sends traces of 4 spans with at most 10 in a call: 2 whole traces fit.
func TestCallsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.ReleaseBatch.MaxSpans = 10 })
		var spans []testSpan
		for trace := range uint64(5) {
			for id := range uint64(4) {
				spans = append(spans, testSpan{trace: 1 + trace, id: 1 + id, parent: id})
			}
		}
		for id := range uint64(25) { // one trace that is larger than a call
			spans = append(spans, testSpan{trace: 9, id: 1 + id, parent: id})
		}
		f.send(spans...)
		f.wait(1100 * time.Millisecond)
		var sizes []int
		for _, call := range f.sink.calls {
			sizes = append(sizes, call.SpanCount())
		}
		slices.Sort(sizes) // traces are released in the order of an unordered list
		require.Subset(t, []int{4, 8, 25}, sizes)
		require.Contains(t, sizes, 25, "never split")
		require.Len(t, f.sink.releases, 6)
		f.stop()
	})
}

// TestCallsDoNotMixReleasesOfATrace releases a trace and its late fragment within max_delay.
func TestCallsDoNotMixReleasesOfATrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.Linger, c.ReleaseBatch.MaxDelay = 0, time.Minute })
		f.send(testSpan{trace: 1, id: 1})
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 2, parent: 1}, testSpan{trace: 2, id: 1})
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 3, parent: 1})
		f.wait(time.Minute)
		require.Len(t, f.sink.calls, 3) // sink checks that none holds two releases of one trace
		require.Len(t, f.sink.releases, 4)
		for i, r := range f.sink.of(1) {
			require.Equal(t, i+1, r.Version)
		}
		f.stop()
	})
}

// TestCallsCloseByBytes keeps several large traces out of one call.
func TestCallsCloseByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceBytes, c.MaxPartBytes, c.MaxSpanBytes = 10_000, 10_000, 10_000 })
		for trace := range uint64(5) {
			f.send(testSpan{trace: 1 + trace, id: 1, padding: 4000})
		}
		f.wait(2 * time.Second)
		require.Len(t, f.sink.calls, 3) // of 2, 2 and 1
		f.stop()
	})
}

// TestParts sends a trace of twice max_trace_bytes, and more of it later.
func TestParts(t *testing.T) {
	for name, configure := range map[string]func(*Config){
		"by bytes": func(c *Config) { c.MaxTraceBytes = 50_000 },
		"by spans": func(c *Config) { c.MaxTraceSpans = 45 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) {
					c.MaxPartBytes, c.MaxSpanBytes = 10_000, 20_000
					configure(c)
				})
				var want []uint64
				for i := range uint64(100) {
					span := testSpan{trace: 1, id: 1 + i, parent: i, service: fmt.Sprint("s", i%2), padding: 1000}
					if i == 60 {
						span.padding = 15_000 // larger than a part, not than a span may be
					}
					f.send(span)
					want = append(want, span.id)
				}
				f.wait(2 * time.Second)
				releases := f.sink.of(1)
				var got []uint64
				for i, r := range releases {
					require.Equal(t, tracetree.Assembly{Outcome: "part", Version: 1, Part: i}, r.Assembly)
					got = append(got, ids(r)...)
					size := 0
					for _, span := range r.Spans {
						size += len(encodeSpan(t, span.Span))
					}
					// Assembly's own annotations, written after the measuring, are at most 250 bytes a span.
					require.True(t, len(r.Spans) == 1 || size <= 10_000+250*len(r.Spans), "part %d has %d bytes", i, size)
					for _, span := range r.Spans {
						require.Equal(t, "s0", attr(span, conventions.AttrEntryService))
					}
				}
				require.ElementsMatch(t, want, got)
				// The first part is cut with the whole of the first 46 to 50 spans at hand; after it parents are released ones.
				require.Equal(t, "s0", attr(spanOf(t, releases[len(releases)-1], 100), conventions.AttrParentService))
				require.Len(t, f.sink.calls, len(releases), "each part in a call of its own")

				f.send(testSpan{trace: 1, id: 1, service: "s0", padding: 1000}) // duplicate of part 0
				f.send(testSpan{trace: 1, id: 200, parent: 100, service: "s0"})
				f.wait(2 * time.Second)
				last := f.sink.of(1)[len(releases)]
				require.Equal(t, tracetree.Assembly{Outcome: "late", Version: 2}, last.Assembly)
				require.Equal(t, "s1", attr(last.Spans[0], conventions.AttrParentService))
				require.EqualValues(t, 1, f.sum("spans_duplicate"))
				f.stop()
			})
		})
	}
}

// TestPartGetsItsChild releases a child before its parent comes in a later part.
func TestPartGetsItsChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 2 })
		f.send(
			testSpan{trace: 1, id: 5, parent: 2, service: "shop", start: 5}, // its parent is of its own service
			testSpan{trace: 1, id: 3, parent: 2, service: "db", name: "query", start: 3},
			testSpan{trace: 1, id: 4, parent: 2, service: "db", name: "query", start: 4},
		)
		f.send(testSpan{trace: 1, id: 2, parent: 1, service: "shop", start: 2}, testSpan{trace: 1, id: 1, service: "web", start: 1})
		f.wait(2 * time.Second)
		releases := f.sink.of(1)
		require.Len(t, releases, 2)
		require.Equal(t, "1", attr(spanOf(t, releases[0], 3), conventions.AttrMissingParents))
		require.Equal(t, "true", attr(spanOf(t, releases[0], 5), conventions.AttrOrphan))
		require.Equal(t, "3", attr(spanOf(t, releases[1], 2), conventions.AttrRepaired))
		require.Equal(t, `["db","db"]`, attr(spanOf(t, releases[1], 2), conventions.AttrChildService))
		require.Equal(t, "web", attr(spanOf(t, releases[1], 2), conventions.AttrParentService))
		require.Equal(t, "db", attr(spanOf(t, releases[0], 3), conventions.AttrEntryService), "a guess")
		require.Equal(t, "web", attr(spanOf(t, releases[1], 1), conventions.AttrEntryService), "the root, once it came")
		require.Equal(t, "web", attr(spanOf(t, releases[1], 2), conventions.AttrEntryService))
		f.stop()
	})
}

// TestDuplicatesOfParts repeats spans of the first part in the second one: with their times, and with other ones.
func TestDuplicatesOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 2 })
		f.send(
			testSpan{trace: 1, id: 1, end: 1},
			testSpan{trace: 1, id: 2, parent: 1, end: 2},
			testSpan{trace: 1, id: 3, parent: 1, end: 3},
		)
		f.send(
			testSpan{trace: 1, id: 4, parent: 1, end: 4},
			testSpan{trace: 1, id: 2, parent: 1, end: 2},
			testSpan{trace: 1, id: 3, parent: 1, end: 9},
		)
		f.wait(2 * time.Second)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		require.EqualValues(t, 1, f.sum("spans_conflicting"))
		require.Equal(t, []uint64{1, 2, 3}, ids(f.sink.of(1)[0]))
		require.Equal(t, []uint64{4, 3}, ids(f.sink.of(1)[1]))
		f.stop()
	})
}

// TestHugeTrace sends 300,000 spans of one trace: everything comes out once, and what is remembered of it is bounded.
func TestHugeTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 20_000 })
		const spans = 300_000
		seen := make([]bool, spans+1)
		f.sink.fail = func(_ int, td ptrace.Traces) error {
			for _, r := range tracetree.Releases(td) {
				for _, id := range ids(r) {
					require.False(t, seen[id], "span %d is released twice", id)
					seen[id] = true
				}
			}
			return nil
		}
		batch := make([]testSpan, 0, 1000)
		for i := range uint64(spans) {
			batch = append(batch, testSpan{trace: 1, id: 1 + i, parent: i / 2})
			if len(batch) == cap(batch) {
				f.send(batch...)
				batch = batch[:0]
			}
		}
		f.wait(2 * time.Second)
		require.NotContains(t, seen[1:], false)
		f.stop()
		require.LessOrEqual(t, f.shards[0].skeletons.weight, f.shards[0].skeletons.limit)
	})
}

func TestManyTracesOfOneSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.NumShards = 4 })
		const traces = 100_000
		for i := 0; i < traces; i += 1000 {
			batch := make([]testSpan, 1000)
			for j := range batch {
				batch[j] = testSpan{trace: uint64(i + j + 1), id: 1}
			}
			f.send(batch...)
		}
		f.wait(2 * time.Second)
		require.Len(t, f.sink.releases, traces)
		seen := make(map[uint64]bool)
		for _, r := range f.sink.releases {
			require.Equal(t, conventions.OutcomeComplete, r.Outcome)
			seen[binary.BigEndian.Uint64(r.TraceID[8:])] = true
		}
		require.Len(t, seen, traces)
		f.stop()
		for _, s := range f.shards { // the mixed hash spreads even ids that count up
			require.InDelta(t, traces/4, len(s.skeletons.byTrace), traces/40)
		}
	})
}
