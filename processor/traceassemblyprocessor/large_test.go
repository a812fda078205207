package traceassemblyprocessor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// spansEnv is how many spans TestTraceOfManySpans sends; make test-long sends a million.
const spansEnv = "TRACEWRIGHT_HOSTILE_SPANS"

// TestTraceOfManySpans sends one trace, leaves first, a tenth of it twice: it comes in parts, every span once, and takes no more
// memory than a trace may.
func TestTraceOfManySpans(t *testing.T) {
	total := 50_000
	if text := os.Getenv(spansEnv); text != "" {
		var err error
		total, err = strconv.Atoi(text)
		require.NoError(t, err, spansEnv)
	}
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 10_000 })
		const perRequest = 1000
		highest := int64(0)
		for sent := 0; sent < total; sent += perRequest {
			spans := make([]testSpan, perRequest)
			for i := range spans {
				id := uint64(total - sent - i)
				spans[i] = testSpan{trace: 1, id: id, parent: id / 2, service: fmt.Sprint("s", id%50)}
			}
			f.send(spans...)
			f.send(spans[:perRequest/10]...)
			synctest.Wait()
			highest = max(highest, f.budget.held.Load())
		}
		f.wait(time.Minute)
		released := 0
		for _, r := range f.sink.releases {
			require.Equal(t, conventions.OutcomePart, r.Outcome)
			require.Equal(t, 1, r.Version)
			released += len(r.Spans)
		}
		// The one trace may have half of what a shard has for skeletons, 32 MiB: with more than some 400,000 spans duplicates are no
		// longer recognised, and are released.
		require.GreaterOrEqual(t, released, total)
		require.EqualValues(t, total+total/10-released, f.sum("spans_duplicate"))
		if f.sum("skeleton_evictions") == 0 {
			require.Equal(t, total, released)
		}
		require.Less(t, highest, int64(32<<20), "what is cut is handed on")
		f.stop()
	})
}

// TestParentsThatNeverCome sends one trace without end whose spans name parents that nobody sends: of those that were released it does not
// remember them all, but that it lacks some.
func TestParentsThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxTraceSpans = 2000 })
		f.send(testSpan{trace: 1, id: 1})
		const total, perRequest = 50_000, 1000
		for sent := uint64(0); sent < total; sent += perRequest {
			spans := make([]testSpan, perRequest)
			for i := range spans {
				id := 2 + 2*(sent+uint64(i))
				spans[i] = testSpan{trace: 1, id: id, parent: id + 1}
			}
			f.send(spans...)
		}
		f.wait(2 * time.Second)
		f.look(func(s *shard) {
			open := s.traces[traceKey{id: traceID(1)}]
			require.NotNil(t, open, "linger has passed, but it is not complete")
			require.LessOrEqual(t, len(open.held.large)+len(open.held.ids), 10_000)
		})
		f.wait(time.Minute)
		require.EqualValues(t, total+1, f.sum("spans_released"))
		f.stop()
	})
}

// TestMissingParentsCountInTheBudget has a next consumer that is down, and a journal. What each late fragment says there of a trace whose
// parents are missing is far more than its one span, and is held until its call can be taken.
func TestMissingParentsCountInTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		f := startOn(t, vfs.NewCrashableMem(), &sink{t: t, fail: func(int, ptrace.Traces) error {
			if down.Load() {
				return errors.New("down")
			}
			return nil
		}}, withJournal)
		synctest.Wait()
		spans := make([]testSpan, 1000)
		for i := range spans {
			spans[i] = testSpan{trace: 1, id: uint64(1 + i), parent: uint64(10_000 + i)}
		}
		f.send(spans...)
		f.wait(time.Minute)
		before := f.budget.held.Load()
		const fragments = 20
		for i := range uint64(fragments) {
			f.send(testSpan{trace: 1, id: 2000 + i, parent: 1})
			f.wait(2 * time.Second)
		}
		require.Greater(t, f.budget.held.Load()-before, int64(fragments*1000*missedWeight))
		require.Zero(t, f.budget.open.Load()-f.shards[0].originsWeight)
		down.Store(false)
		f.wait(time.Minute)
		require.Len(t, f.sink.releases, 1+fragments)
		f.stop()
	})
}

// TestFloodOfIncompleteTraces sends traces that never get their root, four times as fast as they may be held: the oldest go early, nothing
// is refused for good, and nothing is lost.
func TestFloodOfIncompleteTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) {
			c.MemoryLimitBytes, c.MaxTraceBytes, c.MaxSpanBytes, c.MaxPartBytes = 8<<20, 1<<20, 1<<20, 1<<20
		})
		const total, perRequest = 40_000, 200
		for sent := uint64(0); sent < total; sent += perRequest {
			spans := make([]testSpan, perRequest)
			for i := range spans {
				spans[i] = testSpan{trace: 1 + sent + uint64(i), id: 1, parent: 2, padding: 200}
			}
			for f.ConsumeTraces(t.Context(), request(spans...)) != nil {
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait() // while a call is handed on it is held once more, decoded, whatever there is room for
			require.LessOrEqual(t, f.budget.held.Load(), f.budget.limit)
			time.Sleep(10 * time.Millisecond) // 20,000 a second, for the quiet period of 10 s at first
		}
		f.wait(time.Minute)
		require.EqualValues(t, total, f.sum("spans_released"))
		require.Greater(t, f.points("releases")[conventions.OutcomeMemory], int64(total/2))
		require.Zero(t, f.sum("spans_dropped"))
		f.stop()
	})
}
