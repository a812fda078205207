package traceassemblyprocessor

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/multierr"

	"github.com/tracewright/tracewright/internal/conventions"
)

// small makes a budget of 1 MiB, of which spans may take 7/8, and open traces three quarters of that.
func small(c *Config) {
	c.MemoryLimitBytes, c.MaxTraceBytes, c.MaxSpanBytes, c.MaxPartBytes = 1<<20, 1<<17, 1<<17, 1<<17
}

// TestMemory fills the budget with incomplete traces and one complete one, which goes first although it is younger. Another
// one was complete for a moment only.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, small)
		n := uint64(0)
		for ; f.budget.open.Load()+50_000 < f.budget.soft; n++ {
			f.send(testSpan{trace: 100 + n, id: 1, parent: 2, padding: 10_000})
			synctest.Wait()
		}
		f.send(testSpan{trace: 1, id: 1, padding: 10_000})
		synctest.Wait()
		f.send(testSpan{trace: 3, id: 1})
		f.send(testSpan{trace: 3, id: 2, parent: 9})
		synctest.Wait()
		require.Empty(t, f.sink.releases)
		f.send(testSpan{trace: 2, id: 1, parent: 2, padding: 100_000})
		f.wait(100 * time.Millisecond)
		require.NotEmpty(t, f.sink.of(1), "the complete one")
		require.NotEmpty(t, f.sink.of(100), "the oldest")
		require.Empty(t, f.sink.of(100+n-1), "the youngest stays")
		require.Empty(t, f.sink.of(3), "no longer complete")
		require.LessOrEqual(t, f.budget.open.Load(), f.budget.soft)
		for _, r := range f.sink.releases {
			require.Equal(t, conventions.OutcomeMemory, r.Outcome)
		}
		f.stop()
	})
}

// TestNextConsumerRefuses keeps everything while the next consumer refuses, refuses requests once the budget is full, and
// loses nothing.
func TestNextConsumerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) {
			small(c)
			c.Linger, c.NumShards = 0, 2
		})
		var refusing atomic.Bool
		refusing.Store(true)
		f.sink.fail = func(int, ptrace.Traces) error {
			if refusing.Load() {
				return errors.New("busy")
			}
			return nil
		}
		accepted := uint64(0)
		var refused error
		for ; refused == nil; accepted++ {
			require.Less(t, accepted, uint64(1000), "the budget never fills")
			refused = f.ConsumeTraces(t.Context(), request(testSpan{trace: 1 + accepted, id: 1, padding: 10_000}))
			f.wait(100 * time.Millisecond)
		}
		accepted--
		require.ErrorContains(t, refused, "memory_limit_bytes")
		require.False(t, consumererror.IsPermanent(refused))
		require.LessOrEqual(t, f.budget.held.Load(), f.budget.limit)
		f.wait(time.Minute)
		require.Error(t, f.ConsumeTraces(t.Context(), request(testSpan{trace: 999, id: 1, padding: 10_000})))
		require.Empty(t, f.sink.releases)
		require.Positive(t, f.sum("calls_retried"))
		require.EqualValues(t, accepted, f.sum("spans_in_flight"))

		refusing.Store(false)
		f.wait(time.Minute)
		require.Len(t, f.sink.releases, int(accepted))
		require.Equal(t, map[string]int64{"memory": 2}, f.points("requests_refused"))
		f.send(testSpan{trace: 999, id: 1})
		f.stop()
	})
}

// TestRepeatedCall checks that an attempt sees what the first one saw, whatever was done to the data in between.
func TestRepeatedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		var marshaler ptrace.ProtoMarshaler
		var first []byte
		var at []time.Time
		f.sink.fail = func(attempt int, td ptrace.Traces) error {
			at = append(at, time.Now())
			require.False(t, td.IsReadOnly())
			data, err := marshaler.MarshalTraces(td)
			require.NoError(t, err)
			switch attempt {
			case 1:
				first = data
				td.MarkReadOnly()
				return errors.New("busy")
			case 2:
				require.Equal(t, first, data)
				td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
				return errors.New("busy")
			case 3, 4, 5, 6, 7, 8, 9:
				return errors.New("busy")
			}
			require.Equal(t, first, data)
			return nil
		}
		f.send(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1})
		f.wait(time.Minute)
		require.Len(t, f.sink.of(1), 1)
		require.Len(t, at, 10)
		for i := range at[1:] {
			gap := at[i+1].Sub(at[i])
			longest := min(100*time.Millisecond<<i, 5*time.Second)
			require.True(t, gap >= longest/2 && gap <= longest, "gap %d is %v", i, gap)
		}
		require.EqualValues(t, 9, f.sum("calls_retried"))
		f.stop()
	})
}

func TestPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.sink.fail = func(attempt int, _ ptrace.Traces) error {
			if attempt == 1 {
				return consumererror.NewPermanent(errors.New("never"))
			}
			return nil
		}
		f.send(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1})
		f.wait(2 * time.Second)
		f.send(testSpan{trace: 2, id: 1})
		f.wait(2 * time.Second)
		require.Empty(t, f.sink.of(1))
		require.Len(t, f.sink.of(2), 1)
		require.Equal(t, map[string]int64{"permanent_error": 2}, f.points("spans_dropped"))
		require.Equal(t, map[string]int64{"permanent_error": 1}, f.points("calls_dropped"))
		f.stop()
	})
}

func TestPermanent(t *testing.T) {
	never, busy := consumererror.NewPermanent(errors.New("never")), errors.New("busy")
	tests := map[string]struct {
		err  error
		want bool
	}{
		"permanent":               {never, true},
		"retryable":               {busy, false},
		"fan-out, one may retry":  {multierr.Append(never, busy), false},
		"fan-out, none may retry": {multierr.Append(never, never), true},
		"permanent of several":    {consumererror.NewPermanent(errors.Join(busy, busy)), true},
		"one verdict, joined":     {errors.Join(busy, never), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, permanent(test.err)) })
	}
}

// TestShutdownDeadline gives up after shutdown_timeout, or earlier when its context ends.
func TestShutdownDeadline(t *testing.T) {
	for name, test := range map[string]struct{ context, want time.Duration }{
		"shutdown_timeout": {time.Hour, 20 * time.Second},
		"context":          {3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) { c.NumShards, c.ReleaseBatch.MaxSpans = 2, 1 })
				f.sink.fail = func(int, ptrace.Traces) error { return errors.New("busy") }
				for trace := range uint64(10) {
					f.send(testSpan{trace: 1 + trace, id: 1})
				}
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), test.context)
				defer cancel()
				require.NoError(t, f.Shutdown(ctx))
				require.Equal(t, test.want, time.Since(begin))
				require.Equal(t, map[string]int64{"shutdown": 10}, f.points("spans_dropped"))
				f.stop()
			})
		})
	}
}

// TestShutdownWithDeafConsumer returns although the next consumer ignores its context.
func TestShutdownWithDeafConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		deaf := make(chan struct{})
		f.sink.fail = func(int, ptrace.Traces) error { <-deaf; return nil }
		f.send(testSpan{trace: 1, id: 1})
		begin := time.Now()
		require.ErrorContains(t, f.Shutdown(t.Context()), "does not return")
		require.Equal(t, defaultShutdownTimeout+abandonTimeout, time.Since(begin))
		close(deaf)
		synctest.Wait()
	})
}

// TestIntakeHeedsContext stops a shard by a full channel to a builder that nobody serves.
func TestIntakeHeedsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		release := make(chan struct{})
		stuck := &question{answer: make(chan bool)} // without room: the shard waits for us
		f.shards[0].in <- message{question: stuck}
		go func() { <-release; <-stuck.answer }()
		synctest.Wait()
		for range intakeQueue {
			f.send(testSpan{trace: 1, id: 1})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := f.ConsumeTraces(ctx, request(testSpan{trace: 1, id: 2}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, consumererror.IsPermanent(err))
		require.EqualValues(t, intakeQueue, f.budget.spans.Load())
		close(release)
		f.wait(2 * time.Second)
		require.Equal(t, []uint64{1}, ids(f.sink.of(1)[0]))
		f.stop()
	})
}

// TestSpanWeight compares the estimate with the heap, on spans like those of an SDK.
func TestSpanWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, requests = 1000, 20
		f := start(t, func(c *Config) { c.Linger, c.MaxWait = 20*time.Second, time.Minute })
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC() // what is pooled survives once
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		for seed := range uint64(requests) {
			require.NoError(t, f.ConsumeTraces(t.Context(), sdkRequest(n/20, 20, seed)))
			synctest.Wait()
		}
		used, estimate := float64(heap()-before)/(n*requests), float64(f.budget.held.Load())/(n*requests)
		t.Logf("%.0f bytes of heap, %.0f estimated", used, estimate)
		require.InEpsilon(t, used, estimate, 0.25)
		f.stop()
	})
}
