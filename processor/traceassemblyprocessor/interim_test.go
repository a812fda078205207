package traceassemblyprocessor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// TestInterimReleases has a job that takes 25s: its steps come every 2s, its root at the end. What is open is released every 10s.
func TestInterimReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.InterimInterval = 10 * time.Second })
		begin := time.Now()
		for i := range uint64(12) { // at 0, 2, … 22s
			step := testSpan{trace: 1, id: 10 + i, parent: 1, service: "batch", name: "step", start: 100 + i}
			if i == 7 {
				step = testSpan{trace: 1, id: 17, parent: 11, service: "shop", name: "serve", kind: ptrace.SpanKindServer, start: 107}
			}
			f.send(step)
			f.wait(2 * time.Second)
		}
		f.send(testSpan{trace: 1, id: 1, service: "batch", name: "job", start: 90})
		f.wait(time.Minute)

		releases := f.sink.of(1)
		require.Len(t, releases, 3)
		var outcomes []string
		var versions []int
		var spans [][]uint64
		for i, r := range releases {
			outcomes = append(outcomes, r.Outcome)
			versions = append(versions, r.Version)
			spans = append(spans, slices.Sorted(slices.Values(ids(r))))
			require.Zero(t, r.Part, "release %d", i)
		}
		require.Equal(t, []string{conventions.OutcomeInterim, conventions.OutcomeInterim, conventions.OutcomeComplete}, outcomes)
		require.Equal(t, []int{1, 2, 3}, versions)
		require.Equal(t, [][]uint64{{10, 11, 12, 13, 14}, {15, 16, 17, 18, 19}, {1, 20, 21}}, spans)
		require.Equal(t, 10050*time.Millisecond, f.sink.at[0].Sub(begin))
		require.Equal(t, 20050*time.Millisecond, f.sink.at[1].Sub(begin))
		require.Equal(t, 25050*time.Millisecond, f.sink.at[2].Sub(begin), "linger after the root")

		// The entry is a guess until the root comes.
		require.Equal(t, "step", attr(spanOf(t, releases[0], 12), conventions.AttrEntryOperation))
		require.Equal(t, "job", attr(spanOf(t, releases[2], 21), conventions.AttrEntryOperation))
		require.Equal(t, "batch", attr(spanOf(t, releases[1], 17), conventions.AttrParentService), "its parent is in the first release")
		require.Equal(t, "1", attr(spanOf(t, releases[0], 10), conventions.AttrMissingParents))
		require.Equal(t, "1", attr(spanOf(t, releases[1], 15), conventions.AttrMissingParents), "not those in other releases")
		require.Empty(t, attr(spanOf(t, releases[2], 1), conventions.AttrMissingParents))
		f.stop()
	})
}

// TestInterimThenNothing releases nothing twice, and nothing empty: the next version after it is the late span's.
func TestInterimThenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.InterimInterval = 5 * time.Second })
		f.send(testSpan{trace: 1, id: 2, parent: 1})
		f.wait(5500 * time.Millisecond)
		require.Len(t, f.sink.of(1), 1)
		require.EqualValues(t, 1, f.sum("traces_open"))
		require.False(t, f.inFlight(t.Context(), "", traceID(1)), "nothing of it is held")
		f.wait(5 * time.Second) // the quiet period ends it
		require.Zero(t, f.sum("traces_open"))
		f.send(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1})
		f.wait(10 * time.Second)
		releases := f.sink.of(1)
		require.Len(t, releases, 2)
		require.Equal(t, conventions.OutcomeInterim, releases[0].Outcome)
		require.Equal(t, conventions.OutcomeLate, releases[1].Outcome)
		require.Equal(t, 2, releases[1].Version)
		require.Equal(t, []uint64{1}, ids(releases[1]), "the other one was released before")
		require.Equal(t, map[string]int64{conventions.OutcomeInterim: 1, conventions.OutcomeLate: 1}, f.points("releases"))
		f.stop()
	})
}

// TestInterimOfALargeTrace keeps the parts of a trace that is released in parts.
func TestInterimOfALargeTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.InterimInterval, c.MaxTraceSpans = 5*time.Second, 3 })
		f.send(testSpan{trace: 1, id: 2, parent: 1})
		f.wait(6 * time.Second) // an interim
		f.send(testSpan{trace: 1, id: 3, parent: 1}, testSpan{trace: 1, id: 4, parent: 1}, testSpan{trace: 1, id: 5, parent: 1},
			testSpan{trace: 1, id: 6, parent: 1}) // parts from here on
		f.send(testSpan{trace: 1, id: 7, parent: 1})
		f.wait(5 * time.Second)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(20 * time.Second)
		type release struct {
			outcome       string
			version, part int
			spans         []uint64
		}
		var got []release
		for _, r := range f.sink.of(1) {
			got = append(got, release{r.Outcome, r.Version, r.Part, ids(r)})
		}
		require.Equal(t, []release{
			{conventions.OutcomeInterim, 1, 0, []uint64{2}},
			{conventions.OutcomePart, 2, 0, []uint64{3, 4, 5, 6}},
			{conventions.OutcomePart, 2, 1, []uint64{7}},
			{conventions.OutcomePart, 2, 2, []uint64{1}},
		}, got)
		f.stop()
	})
}

// TestInterimAndShutdown ends an open trace that had interims with what is left.
func TestInterimAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.InterimInterval = 5 * time.Second })
		f.send(testSpan{trace: 1, id: 2, parent: 1}, testSpan{trace: 2, id: 2, parent: 1})
		f.wait(6 * time.Second)
		f.send(testSpan{trace: 1, id: 3, parent: 1})
		f.stop()
		require.Len(t, f.sink.of(2), 1)
		releases := f.sink.of(1)
		require.Len(t, releases, 2)
		require.Equal(t, conventions.OutcomeShutdown, releases[1].Outcome)
		require.Equal(t, 2, releases[1].Version)
	})
}

// TestInterimMemory has many long-running traces: what is remembered of the spans that they released already takes no more than its share
// of the memory, however many they are.
func TestInterimMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) {
			small(c) // 1 MiB; 128 KiB of it for skeletons
			c.InterimInterval, c.MaxWait = time.Second, time.Hour
			c.Quiet = QuietConfig{Min: time.Minute, Max: time.Minute}
		})
		for round := range uint64(20) {
			for trace := uint64(1); trace <= 20; trace++ {
				spans := make([]testSpan, 50) // 20,000 in all, of at least 24 bytes each
				for i := range spans {
					spans[i] = testSpan{trace: trace, id: 1000*round + uint64(i) + 10, parent: 1}
				}
				f.send(spans...)
			}
			f.wait(2 * time.Second)
			f.look(func(s *shard) {
				require.LessOrEqual(t, s.skeletons.weight, s.skeletons.limit+s.skeletons.limit/4, "round %d", round)
			})
		}
		require.Positive(t, f.sum("skeleton_evictions"))
		require.Len(t, f.sink.of(1), 20, "it stays one open trace")
		require.Equal(t, 20, f.sink.of(1)[19].Version)
		f.stop()
	})
}
