package traceassemblyprocessor

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/tracetree"
)

func withJournal(c *Config) {
	c.Journal = configoptional.Some(JournalConfig{Directory: "journal", Sync: SyncAlways, SyncInterval: time.Second, MaxBytes: 1 << 30})
}

// world is a sink of ours over all lives of a processor: a call that comes again has no effect, and must be what it was.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	dead     bool // the processor crashed; what it still does does not happen
	calls    map[tracetree.CallID][]byte
	repeated int
	releases []tracetree.Release
}

func newWorld(t *testing.T, rng *rand.Rand) *world {
	return &world{t: t, rng: rng, calls: make(map[tracetree.CallID][]byte)}
}

// take is the fail function of a life's sink, under whose lock it runs.
func (w *world) take(refuse bool) func(int, ptrace.Traces) error {
	return func(_ int, td ptrace.Traces) error {
		if w.dead || refuse && w.rng.IntN(3) == 0 {
			return errors.New("not now")
		}
		releases := tracetree.Releases(td)
		id := tracetree.NewCallID(releases)
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(w.t, err)
		if before, ok := w.calls[id]; ok {
			require.Equal(w.t, before, data, "a repeated call is the same to the last byte")
			w.repeated++
			return nil
		}
		w.calls[id] = data
		w.releases = append(w.releases, releases...)
		return nil
	}
}

// check compares what was released with what was acknowledged: every span once, and of every trace versions from 1 on.
func (w *world) check(sent map[string]bool) {
	w.t.Helper()
	released := make(map[string]int)
	firsts := make(map[string]int)
	for _, r := range w.releases {
		if r.Version == 1 && r.Part == 0 {
			firsts[r.TraceID.String()]++
		}
		require.Positive(w.t, r.Version)
		for _, s := range readRelease(r).spans {
			released[r.TraceID.String()+" "+s]++
		}
	}
	for span := range sent {
		require.Equal(w.t, 1, released[span], span)
		delete(released, span)
	}
	require.Empty(w.t, released, "never sent")
	for trace, n := range firsts {
		require.Equal(w.t, 1, n, "trace %s begins once", trace)
	}
}

// TestCrashes sends random traces, with duplicates and late spans, through lives of a processor that end in a loss of power. Senders
// repeat what was not acknowledged. Some lives begin again right after their start, in the middle of a replay.
func TestCrashes(t *testing.T) {
	repeated := 0
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { repeated += runCrashes(t, rand.New(rand.NewPCG(seed, 11))) })
		})
	}
	require.Positive(t, repeated, "the test makes no crash between a call and its mark")
}

func runCrashes(t *testing.T, rng *rand.Rand) int {
	shards, spans := rng.IntN(3), rng.IntN(100)
	configure := func(c *Config) {
		withJournal(c)
		c.NumShards = 1 + shards
		c.Linger, c.MaxWait = modelLinger, modelMaxWait
		c.Quiet = QuietConfig{Min: modelQuiet, Max: modelQuiet}
		c.ReleaseBatch.MaxSpans = 1 + spans
		c.ShutdownTimeout = 10 * time.Millisecond // of lives that are over
		c.LateWindow = time.Hour
	}
	w := newWorld(t, rand.New(rand.NewPCG(rng.Uint64(), 1))) // its own: workers ask it
	var all []arrived
	for trace := uint64(1); trace <= 40; trace++ {
		all = append(all, randomTrace(rng, trace)...)
	}
	slices.SortStableFunc(all, func(a, b arrived) int { return cmp.Compare(a.at, b.at) })
	sent := make(map[string]bool)
	fs := vfs.NewCrashableMem()
	refuse := rng.IntN(2) == 0
	f := startOn(t, fs, &sink{t: t, fail: w.take(refuse)}, configure)
	synctest.Wait()
	begin := time.Now()
	for len(all) > 0 {
		n := min(1+rng.IntN(20), len(all))
		time.Sleep(all[n-1].at - time.Since(begin))
		spans := make([]testSpan, n)
		for i, a := range all[:n] {
			spans[i] = a.span
		}
		if f.ConsumeTraces(t.Context(), request(spans...)) == nil {
			for _, s := range spans {
				sent[traceID(s.trace).String()+" "+identity(s.id, s.kind, s.start, s.end)] = true
			}
			all = all[n:]
		}
		if rng.IntN(12) > 0 {
			continue
		}
		if rng.IntN(2) == 0 { // while calls are on their way
			time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond)
		}
		f.sink.mu.Lock()
		w.dead = true
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		f.sink.mu.Unlock()
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.telemetry.Shutdown(t.Context()))
		fs, w.dead = clone, false
		f = startOn(t, fs, &sink{t: t, fail: w.take(refuse)}, configure)
		if rng.IntN(3) > 0 {
			synctest.Wait()
		}
	}
	f.wait(time.Minute)
	f.stop()
	w.check(sent)
	return w.repeated
}

// TestCallIsRepeated crashes while a call is with the next consumer, and again after it was repeated but before its mark could be
// written: the call comes three times, the same each time.
func TestCallIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
		var clone *vfs.MemFS
		crash := func(attempt int, td ptrace.Traces) error {
			err := w.take(false)(attempt, td)
			if !w.dead {
				clone, w.dead = fs.CrashClone(vfs.CrashCloneCfg{}), true
			}
			return err
		}
		f := startOn(t, fs, &sink{t: t, fail: crash}, withJournal)
		synctest.Wait()
		f.send(
			testSpan{trace: 1, id: 1, service: "web"}, testSpan{trace: 2, id: 1}, testSpan{trace: 1, id: 2, parent: 1, service: "shop"},
			testSpan{trace: 1, id: 2, parent: 1, service: "shop", end: 9}, testSpan{trace: 2, id: 1},
		)
		for life := range 2 {
			f.wait(30 * time.Second)
			require.True(t, w.dead)
			require.Equal(t, life, w.repeated)
			require.NoError(t, f.Shutdown(t.Context()))
			require.NoError(t, f.telemetry.Shutdown(t.Context()))
			fs, w.dead = clone, false
			f = startOn(t, fs, &sink{t: t, fail: crash}, withJournal)
		}
		f.wait(30 * time.Second)
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.telemetry.Shutdown(t.Context()))
		require.Equal(t, 2, w.repeated)
		require.Len(t, w.calls, 1)
		require.Len(t, w.releases, 2)
		for _, r := range w.releases {
			if r.TraceID == traceID(1) {
				require.Equal(t, []uint64{1, 2, 2}, ids(r))
				require.Contains(t, attr(r.Spans[2], conventions.AttrViolations), "conflicting_span_id")
			}
		}
	})
}

// TestSkeletonsOutliveTheProcess releases a trace, stops in good order, and sends what is late to the next life: it gets its entry
// and its parent, and a span that comes again is dropped.
func TestSkeletonsOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		root := testSpan{trace: 1, id: 1, service: "web", name: "GET /", kind: ptrace.SpanKindServer}
		f.send(root, testSpan{trace: 1, id: 2, parent: 1, service: "web", name: "POST", kind: ptrace.SpanKindClient})
		f.wait(20 * time.Second)
		require.Len(t, f.sink.of(1), 1)
		f.stop()

		f = startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		f.send(root, testSpan{trace: 1, id: 3, parent: 2, service: "shop", name: "order", kind: ptrace.SpanKindServer})
		f.wait(20 * time.Second)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		late := f.sink.of(1)[0]
		require.Equal(t, tracetree.Assembly{Outcome: "late", Version: 2}, late.Assembly)
		require.Equal(t, map[string]string{
			"entry.service": "web", "entry.operation": "GET /", "parent.service": "web", "parent.operation": "POST",
		}, links(late.Spans[0]))
		f.stop()

		f = startOn(t, fs, &sink{t: t}, withJournal)
		f.wait(2 * time.Minute)
		f.send(root)
		f.wait(20 * time.Second)
		require.Equal(t, 1, f.sink.of(1)[0].Version, "late_window has passed")
		f.stop()
		names, err := fs.List("journal/arrivals")
		require.NoError(t, err)
		for _, name := range names {
			require.NotContains(t, name, ".log", "nothing is held: nothing is kept")
		}
	})
}

// TestFullJournal refuses what does not fit, and takes it once what is held was handed on.
func TestFullJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startOn(t, vfs.NewCrashableMem(), &sink{t: t}, func(c *Config) {
			withJournal(c)
			c.Journal.Get().MaxBytes = 4 << 20
		})
		synctest.Wait()
		rng := rand.New(rand.NewPCG(1, 1))
		big := func(trace uint64) ptrace.Traces {
			noise := make([]byte, 1<<20) // nothing to compress
			for i := range noise {
				noise[i] = byte(rng.Uint32())
			}
			return change(request(testSpan{trace: trace, id: 1}), func(_, _ pcommon.Map, span ptrace.Span) {
				span.Attributes().PutEmptyBytes("noise").FromRaw(noise)
			})
		}
		n := uint64(0)
		var err error
		for err == nil && n < 10 {
			n++
			err = f.ConsumeTraces(t.Context(), big(n))
		}
		require.EqualValues(t, 4, n, "three of 1 MiB and a little fit")
		require.ErrorContains(t, err, "journal is full")
		require.Equal(t, map[string]int64{"journal": 1}, f.points("requests_refused"))
		f.wait(time.Minute)
		require.NoError(t, f.ConsumeTraces(t.Context(), big(n)))
		f.wait(time.Minute)
		require.Len(t, f.sink.releases, 4)
		f.stop()
	})
}

// TestJournalOfCallsIsBounded has a next consumer that refuses one call for ever and takes all others. Its spans keep their segment, and
// with it all that says what was handed on; so max_bytes is reached in the end, and not passed.
func TestJournalOfCallsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := true // under the sink's lock
		s := &sink{t: t, fail: func(_ int, td ptrace.Traces) error {
			if refuses && td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID() == traceID(1) {
				return errors.New("not this one")
			}
			return nil
		}}
		const limit = 1 << 20
		f := startOn(t, vfs.NewCrashableMem(), s, func(c *Config) {
			withJournal(c)
			c.NumShards, c.Linger = 2, 0
			c.ReleaseBatch.MaxSpans = 100
			c.Journal.Get().MaxBytes = limit
		})
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1})
		f.wait(time.Second)
		var err error
		n := uint64(0)
		for ; err == nil && n < 1000; n++ {
			spans := make([]testSpan, 100)
			for i := range spans {
				spans[i] = testSpan{trace: 1000*n + uint64(i) + 10, id: 1}
			}
			err = f.ConsumeTraces(t.Context(), request(spans...))
			f.wait(time.Second)
			require.LessOrEqual(t, f.ledger.bytes(), int64(limit+limit/8))
		}
		require.ErrorContains(t, err, "journal is full")
		s.mu.Lock()
		refuses = false
		s.mu.Unlock()
		f.wait(2 * time.Minute)
		f.send(testSpan{trace: 2, id: 1})
		f.wait(time.Minute)
		require.Less(t, f.ledger.bytes(), int64(limit/4), "what is settled is removed")
		f.stop()
	})
}

// TestLateWindowOutgrowsTheJournal remembers for longer than max_bytes has room for: the oldest is forgotten, and nothing is refused. What is
// remembered in memory stays.
func TestLateWindowOutgrowsTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		core, lines := observer.New(zap.WarnLevel)
		cfg := createDefaultConfig().(*Config)
		withJournal(cfg)
		cfg.NumShards, cfg.Linger, cfg.LateWindow = 1, 0, time.Hour
		cfg.Journal.Get().MaxBytes = limit
		f := &fixture{t: t, sink: &sink{t: t}, telemetry: componenttest.NewTelemetry()}
		f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, f.sink)
		f.fs, f.logger = vfs.NewCrashableMem(), zap.New(core)
		require.NoError(t, f.Start(t.Context(), componenttest.NewNopHost()))
		synctest.Wait()
		for n := range uint64(1000) {
			spans := make([]testSpan, 100)
			for i := range spans {
				spans[i] = testSpan{trace: 1000*n + uint64(i) + 1, id: 1}
			}
			f.send(spans...)
			f.wait(time.Second)
		}
		require.LessOrEqual(t, f.ledger.bytes(), int64(limit))
		require.Greater(t, f.ledger.calls.Bytes(), int64(limit/2))
		require.Equal(t, 1, lines.FilterMessageSnippet("late_window").Len())
		f.send(testSpan{trace: 1, id: 1})
		f.wait(time.Minute)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		f.stop()
	})
}

// TestUnreadableSegment starts while a segment of the journal cannot be opened, as where a process has no file descriptors left: what is
// held in it is taken up once it can be, and requests are taken in between. Where that lasts it is not thrown away, and a start that can
// read it takes it up.
func TestUnreadableSegment(t *testing.T) {
	const segment = "journal/arrivals/0000000001"
	for name, test := range map[string]struct {
		times    int           // that it cannot be opened
		stop     time.Duration // after which there is another start
		released bool          // before that
		aside    bool
	}{
		"for a moment":   {3, time.Minute, true, false},
		"until the stop": {math.MaxInt, time.Minute, false, false},
		"for good":       {math.MaxInt, 20 * time.Minute, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := vfs.NewCrashableMem()
				f := startOn(t, mem, &sink{t: t, fail: func(int, ptrace.Traces) error { return errors.New("down") }}, withJournal)
				synctest.Wait()
				f.send(testSpan{trace: 1, id: 1})
				f.wait(2 * time.Second)
				require.NoError(t, f.Shutdown(t.Context()))
				require.NoError(t, f.telemetry.Shutdown(t.Context()))

				failed := 0
				f = startOn(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind == errorfs.OpOpen && op.Path == segment+".log" && failed < test.times {
						failed++
						return syscall.EMFILE
					}
					return nil
				})), &sink{t: t}, withJournal)
				synctest.Wait()
				require.Empty(t, f.sink.of(1))
				f.send(testSpan{trace: 2, id: 1})
				f.wait(test.stop)
				require.Equal(t, test.released, len(f.sink.of(1)) == 1)
				require.Len(t, f.sink.of(2), 1)
				require.EqualValues(t, 1, f.sum("journal_failures"))
				names, err := mem.List("journal/arrivals")
				require.NoError(t, err)
				require.Equal(t, test.released || test.aside, !slices.Contains(names, "0000000001.log"), "it is in nobody's way")
				f.stop()

				if test.aside {
					require.NoError(t, mem.Rename(segment+".unreadable", segment+".log"))
				}
				f = startOn(t, mem, &sink{t: t}, withJournal)
				f.wait(time.Minute)
				require.Equal(t, !test.released, len(f.sink.of(1)) == 1)
				f.stop()
			})
		})
	}
}

// TestUnreadableSegments starts while two of three segments cannot be opened: what is in the third does not wait for them, nor they for one
// another. One that is gone is not waited for at all.
func TestUnreadableSegments(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		aside time.Duration // after which they are
	}{
		"no descriptors left": {syscall.EMFILE, openPatience + time.Minute},
		"removed":             {syscall.ENOENT, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := vfs.NewCrashableMem()
				for trace := range 3 {
					f := startOn(t, mem, &sink{t: t, fail: func(int, ptrace.Traces) error { return errors.New("down") }}, withJournal)
					synctest.Wait()
					f.send(testSpan{trace: uint64(trace + 1), id: 1})
					f.wait(2 * time.Second)
					mem = f.crash(mem)
				}
				names, err := mem.List("journal/arrivals")
				require.NoError(t, err)
				slices.Sort(names)
				require.Len(t, slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".log") }), 3)
				unopened := names[:2]
				f := startOn(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind == errorfs.OpOpen && slices.Contains(unopened, strings.TrimPrefix(op.Path, "journal/arrivals/")) {
						return test.err
					}
					return nil
				})), &sink{t: t}, withJournal)
				f.wait(5 * time.Second)
				require.Len(t, f.sink.of(3), 1)
				f.wait(test.aside)
				require.EqualValues(t, 2, f.sum("journal_failures"))
				names, err = mem.List("journal/arrivals")
				require.NoError(t, err)
				for _, name := range unopened {
					require.NotContains(t, names, name)
				}
				f.stop()
			})
		})
	}
}

// TestUnreadableCalls starts while what says which spans were handed on cannot be read. As long as its file cannot be opened no request is
// taken, and nothing comes twice. What a disk has lost for good comes twice, and is there for whoever looks into it.
func TestUnreadableCalls(t *testing.T) {
	for name, test := range map[string]struct {
		kind  errorfs.OpKind
		err   error
		times int
		twice bool
	}{
		"for a moment": {errorfs.OpOpen, syscall.EMFILE, 3, false},
		"for good":     {errorfs.OpFileReadAt, syscall.EIO, math.MaxInt, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := vfs.NewCrashableMem()
				f := startOn(t, fs, &sink{t: t}, withJournal)
				synctest.Wait()
				f.send(testSpan{trace: 1, id: 1})
				f.wait(5 * time.Second)
				f.send(testSpan{trace: 2, id: 1, parent: 7}) // is held, and keeps the segment
				require.Len(t, f.sink.of(1), 1)
				fs = f.crash(fs)

				failed := 0
				f = startOn(t, errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind == test.kind && op.Path == "journal/calls/0000000001.log" && failed < test.times {
						failed++
						return test.err
					}
					return nil
				})), &sink{t: t}, withJournal)
				synctest.Wait()
				require.Equal(t, test.twice, f.gate.opened())
				f.wait(2 * time.Minute)
				require.EqualValues(t, 1, f.sum("journal_failures"))
				require.Equal(t, test.twice, len(f.sink.of(1)) > 0)
				require.Len(t, f.sink.of(2), 1)
				f.stop()
				names, err := fs.List("journal/calls")
				require.NoError(t, err)
				require.Equal(t, test.twice, slices.Contains(names, "0000000001.unreadable"))
			})
		})
	}
}

// TestStopWithUnreadableCalls shuts down while a start waits for what it cannot read.
func TestStopWithUnreadableCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1})
		f.wait(5 * time.Second)
		fs = f.crash(fs)
		f = startOn(t, errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpOpen && op.Path == "journal/calls/0000000001.log" {
				return syscall.EACCES
			}
			return nil
		})), &sink{t: t}, withJournal)
		f.wait(time.Minute)
		require.ErrorIs(t, f.ConsumeTraces(t.Context(), request(testSpan{trace: 2, id: 1})), errStopped)
		before := time.Now()
		f.stop()
		require.Less(t, time.Since(before), time.Second)
		f = startOn(t, fs, &sink{t: t}, withJournal)
		f.wait(time.Second)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(time.Second)
		require.EqualValues(t, 1, f.sum("spans_duplicate"), "what was handed on is known")
		f.stop()
	})
}

// TestNextConsumerNeverReturns shuts down while the next consumer hangs and does not heed its context. The next life, in the same process
// as after a reload, finds the journal free and hands on what that one had.
func TestNextConsumerNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		hang := make(chan struct{})
		f := startOn(t, fs, &sink{t: t, fail: func(int, ptrace.Traces) error {
			<-hang
			return errors.New("too late")
		}}, withJournal)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1})
		f.wait(2 * time.Second)
		require.ErrorContains(t, f.Shutdown(t.Context()), "does not return")

		again := startOn(t, fs, &sink{t: t}, withJournal)
		again.wait(time.Minute)
		require.Len(t, again.sink.of(1), 1)
		again.stop()
		close(hang)
		synctest.Wait()
		require.NoError(t, f.telemetry.Shutdown(t.Context()))
	})
}

// TestClockWentBack releases while the clock is a year ahead. Once it is right again nothing is remembered, nor kept on disk, for a year.
func TestClockWentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		c := testCall()
		c.releasedAt = time.Now().Add(365 * 24 * time.Hour).UnixNano()
		require.NoError(t, f.ledger.intend(t.Context(), c))
		require.NoError(t, f.ledger.calls.Write(t.Context(), encodeMark(c.intent)))
		f.stop()

		f = startOn(t, fs, &sink{t: t}, withJournal)
		f.wait(2 * time.Minute)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(time.Minute)
		require.Equal(t, 1, f.sink.of(1)[0].Version, "late_window has passed")
		f.stop()
		names, err := fs.List("journal/calls")
		require.NoError(t, err)
		require.NotContains(t, names, "0000000001.log")
	})
}

// TestOpenTraceIsRemembered crashes while a trace is open whose interim release is longer ago than late_window: what it has besides is
// no trace of its own, which would count its entry twice.
func TestOpenTraceIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		configure := func(c *Config) {
			withJournal(c)
			c.InterimInterval, c.MaxWait, c.LateWindow = 5*time.Minute, time.Hour, 30*time.Second
			c.Quiet = QuietConfig{Min: time.Hour, Max: time.Hour}
		}
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, configure)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 3}) // 3 is to come
		f.wait(6 * time.Minute)
		require.Len(t, f.sink.of(1), 1)
		f.send(testSpan{trace: 1, id: 4, parent: 3})
		f.wait(time.Minute)
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.telemetry.Shutdown(t.Context()))

		f = startOn(t, clone, &sink{t: t}, configure)
		f.wait(time.Hour)
		require.Len(t, f.sink.of(1), 1)
		require.Equal(t, 2, f.sink.of(1)[0].Version)
		require.Equal(t, []uint64{4}, ids(f.sink.of(1)[0]))
		f.stop()
	})
}

// TestIntentTwice has the intent of one call twice on the disk, as when it was written though the first write answered with an error:
// before its mark the call is repeated once, and after it nothing is; neither is reported as lost.
func TestIntentTwice(t *testing.T) {
	for _, marked := range []bool{false, true} {
		t.Run(fmt.Sprint(marked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := vfs.NewCrashableMem()
				f := startOn(t, fs, &sink{t: t}, withJournal)
				synctest.Wait()
				clone := (*vfs.MemFS)(nil)
				f.sink.fail = func(attempt int, _ ptrace.Traces) error {
					if attempt > 1 {
						return errors.New("dead")
					}
					var intent []byte
					_, err := f.ledger.calls.Read(1, func(_ journal.Position, record []byte) error {
						intent = slices.Clone(record)
						return nil
					})
					require.NoError(t, err)
					_, err = f.ledger.calls.Append(t.Context(), intent)
					require.NoError(t, err)
					clone = fs.CrashClone(vfs.CrashCloneCfg{})
					return nil
				}
				f.send(testSpan{trace: 2, id: 1, parent: 7}) // keeps the segment
				f.send(testSpan{trace: 1, id: 1})
				f.wait(3 * time.Second)
				if marked {
					clone = fs.CrashClone(vfs.CrashCloneCfg{})
				}
				require.NoError(t, f.Shutdown(t.Context()))
				require.NoError(t, f.telemetry.Shutdown(t.Context()))

				core, lines := observer.New(zap.InfoLevel)
				f = &fixture{t: t, sink: &sink{t: t}, telemetry: componenttest.NewTelemetry()}
				cfg := createDefaultConfig().(*Config)
				withJournal(cfg)
				f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, f.sink)
				f.fs, f.logger = clone, zap.New(core)
				require.NoError(t, f.Start(t.Context(), componenttest.NewNopHost()))
				f.wait(time.Minute)
				require.Len(t, f.sink.of(2), 1)
				repeated := 1
				if marked {
					repeated = 0
				}
				require.Len(t, f.sink.of(1), repeated)
				took := lines.FilterMessageSnippet("taken up").All()
				require.Len(t, took, 1)
				require.Equal(t, zap.InfoLevel, took[0].Level)
				require.EqualValues(t, repeated, took[0].ContextMap()["calls_repeated"])
				f.stop()
			})
		})
	}
}

// TestShutdownKeepsWhatIsNotTaken stops while the next consumer takes nothing. The next life hands it on.
func TestShutdownKeepsWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t, fail: func(int, ptrace.Traces) error { return errors.New("down") }}, withJournal)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1}, testSpan{trace: 2, id: 1, parent: 7})
		f.wait(2 * time.Second)
		require.NoError(t, f.Shutdown(t.Context()))
		require.EqualValues(t, 2, f.sum("spans_kept"))
		require.Zero(t, f.sum("spans_dropped"))
		f.checkSum()
		require.NoError(t, f.telemetry.Shutdown(t.Context()))

		f = startOn(t, fs, &sink{t: t}, withJournal)
		f.wait(time.Minute)
		require.EqualValues(t, 2, f.sum("spans_replayed"))
		require.Len(t, f.sink.releases, 2)
		f.stop()
	})
}

// TestRepeatedCallsNeedNoRoom starts with less memory than the calls that were on their way take.
func TestRepeatedCallsNeedNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t, fail: func(int, ptrace.Traces) error { return errors.New("down") }}, func(c *Config) {
			withJournal(c)
			c.NumShards, c.ReleaseBatch.MaxSpans = 1, 1000
		})
		synctest.Wait()
		for n := range uint64(15) { // one call of 1.5 MB
			f.send(testSpan{trace: 1 + n, id: 1, padding: 100_000})
		}
		f.wait(5 * time.Second)
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.telemetry.Shutdown(t.Context()))

		f = startOn(t, fs, &sink{t: t}, func(c *Config) { withJournal(c); small(c) })
		f.wait(time.Minute)
		require.Len(t, f.sink.releases, 15)
		require.Len(t, f.sink.calls, 1, "as it was")
		f.send(testSpan{trace: 100, id: 1})
		f.wait(time.Minute)
		f.stop()
	})
}

// TestDuplicatesStayDropped crashes long after a duplicate was dropped, when nobody remembers its trace any more but the journal still has
// the request: it does not come back as a span of its own.
func TestDuplicatesStayDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
		configure := func(c *Config) {
			withJournal(c)
			c.LateWindow = 5 * time.Second
			c.MaxWait, c.Quiet = time.Hour, QuietConfig{Min: time.Hour, Max: time.Hour}
		}
		f := startOn(t, fs, &sink{t: t, fail: w.take(false)}, configure)
		synctest.Wait()
		f.send(testSpan{trace: 2, id: 1, parent: 7}) // is held, and keeps the segment
		f.send(testSpan{trace: 1, id: 1})
		f.wait(3 * time.Second)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(time.Minute)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		w.dead = true
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.telemetry.Shutdown(t.Context()))

		w.dead = false
		f = startOn(t, clone, &sink{t: t, fail: w.take(false)}, configure)
		f.wait(2 * time.Hour)
		f.stop()
		at := func(n uint64) string { return traceID(n).String() + " " + identity(1, 0, 0, 0) }
		w.check(map[string]bool{at(1): true, at(2): true})
	})
}

// crash cuts the power and returns what the disk has for sure. The process that was there goes on for nobody.
func (f *fixture) crash(fs *vfs.MemFS) *vfs.MemFS {
	synctest.Wait()
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	require.NoError(f.t, f.Shutdown(f.t.Context()))
	require.NoError(f.t, f.telemetry.Shutdown(f.t.Context()))
	return after
}

// TestDuplicatesAfterALongStop crashes after spans that came twice were handed on once. The journal still has both when the next life
// begins, long after late_window, and does not know that one was dropped.
func TestDuplicatesAfterALongStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1})
		f.wait(10 * time.Second)
		f.send(testSpan{trace: 1, id: 1})
		synctest.Wait() // that it was dropped is written, and not synced yet
		require.Len(t, f.sink.releases, 1)
		fs = f.crash(fs)

		time.Sleep(time.Hour)
		f = startOn(t, fs, &sink{t: t}, withJournal)
		f.wait(2 * time.Minute)
		require.Empty(t, f.sink.releases)
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		f.look(func(s *shard) {
			require.Empty(t, s.skeletons.byTrace, "what was remembered for the replay is forgotten")
		})
		f.stop()
	})
}

// TestRepeatedAfterALongStop crashes before senders know that their request was taken: one whose trace was released, and one whose trace
// is open. Both repeat them when the process is back, long after late_window, after another crash too.
func TestRepeatedAfterALongStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		f := startOn(t, fs, &sink{t: t}, withJournal)
		synctest.Wait()
		f.send(testSpan{trace: 1, id: 1})
		f.wait(10 * time.Second)
		f.send(testSpan{trace: 2, id: 2})
		require.Len(t, f.sink.releases, 1)
		fs = f.crash(fs)

		for range 2 {
			time.Sleep(time.Hour)
			f = startOn(t, fs, &sink{t: t}, withJournal)
			f.wait(50 * time.Second)
			f.send(testSpan{trace: 1, id: 1})
			f.send(testSpan{trace: 2, id: 2})
			f.wait(5 * time.Second)
			require.EqualValues(t, 2, f.sum("spans_duplicate"))
			fs = f.crash(fs)
		}
		require.Empty(t, f.sink.releases, "the trace that was open was released once")
	})
}

// TestJournalShrinks sends enough for several segments, then nothing: once late_window has passed nearly nothing is left on disk.
func TestJournalShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startOn(t, vfs.NewCrashableMem(), &sink{t: t}, func(c *Config) {
			withJournal(c)
			c.Journal.Get().MaxBytes = 64 << 20 // segments of 8 MiB
		})
		synctest.Wait()
		for trace := range uint64(600) {
			spans := make([]testSpan, 400)
			for i := range spans {
				spans[i] = testSpan{trace: 1 + trace, id: uint64(i) + 1, parent: uint64(i)}
			}
			f.send(spans...)
			f.wait(10 * time.Millisecond)
		}
		require.Greater(t, f.ledger.bytes(), int64(4<<20))
		f.wait(3 * time.Minute)
		require.Less(t, f.ledger.bytes(), int64(1<<20))
		f.send(testSpan{trace: 1000, id: 1}) // and it goes on
		f.wait(20 * time.Second)
		require.Equal(t, 1, f.sink.of(1000)[0].Version)
		f.stop()
	})
}
