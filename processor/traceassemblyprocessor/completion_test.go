package traceassemblyprocessor

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// The trace of these tests: web's root calls shop, whose SERVER span may come later.
func webRoot(trace uint64) testSpan {
	return testSpan{trace: trace, id: 1, service: "web", name: "page", kind: ptrace.SpanKindServer}
}

func webClient(trace uint64) testSpan {
	return testSpan{trace: trace, id: 2, parent: 1, service: "web", name: "GET /cart", kind: ptrace.SpanKindClient}
}

func shopServer(trace uint64) testSpan {
	return testSpan{trace: trace, id: 3, parent: 2, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer}
}

func quickly(c *Config) { c.Linger = 200 * time.Millisecond }

// first is the first release of a trace, and how long after begin it reached the sink but for the 50ms for which its call was open.
func (f *fixture) first(trace uint64, begin time.Time) (outcome string, spans int, after time.Duration) {
	f.t.Helper()
	for i, r := range f.sink.releases {
		if r.TraceID == traceID(trace) {
			return r.Outcome, len(r.Spans), f.sink.at[i].Sub(begin) - 50*time.Millisecond
		}
	}
	require.Fail(f.t, "trace is not released", "%d", trace)
	return "", 0, 0
}

// teach sends traces n times, one after the other, with a gap before the rest of each.
func (f *fixture) teach(from uint64, n int, gap time.Duration, spans, rest func(trace uint64) []testSpan) {
	f.t.Helper()
	for i := range uint64(n) {
		f.send(spans(from + i)...)
		f.wait(gap)
		if later := rest(from + i); len(later) > 0 {
			f.send(later...)
		}
		f.wait(20 * time.Second) // long enough for every rule
	}
}

func nothing(uint64) []testSpan { return nil }

func callers(trace uint64) []testSpan { return []testSpan{webRoot(trace), webClient(trace)} }

func servers(trace uint64) []testSpan { return []testSpan{shopServer(trace)} }

func TestExpectedChildIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		f.teach(1, 20, 3*time.Second, callers, servers)
		begin := time.Now()
		f.send(callers(100)...)
		f.wait(3 * time.Second)
		f.send(servers(100)...)
		f.wait(20 * time.Second)
		outcome, spans, after := f.first(100, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 3, spans)
		require.Equal(t, 3200*time.Millisecond, after)
		require.EqualValues(t, 21, f.sum("traces_held_for_child"))
		require.Zero(t, f.points("releases")[conventions.OutcomeLate])
		f.stop()
	})
}

// TestNeverLongerThanTheQuietPeriod loses the child that always comes.
func TestNeverLongerThanTheQuietPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { quickly(c); c.Quiet.Max = 5 * time.Second })
		f.teach(1, 20, 3*time.Second, callers, servers)
		begin := time.Now()
		f.send(callers(100)...)
		f.wait(20 * time.Second)
		outcome, spans, after := f.first(100, begin)
		require.Equal(t, conventions.OutcomeQuiet, outcome)
		require.Equal(t, 2, spans)
		require.Equal(t, 5*time.Second, after)
		f.stop()
	})
}

// TestChildlessClientIsLearned waits for the child of an unknown client until it has met eight, and again once a child was late.
func TestChildlessClientIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		f.teach(1, 8, 0, callers, nothing)
		for trace := uint64(1); trace <= 8; trace++ {
			require.Equal(t, conventions.OutcomeQuiet, f.sink.of(trace)[0].Outcome)
		}
		begin := time.Now()
		f.send(callers(100)...)
		f.wait(2 * time.Second)
		outcome, spans, after := f.first(100, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 2, spans)
		require.Equal(t, 200*time.Millisecond, after)

		f.send(servers(100)...) // 2s after its client: the next one waits for up to 2562.890625ms and a half more
		f.wait(20 * time.Second)
		begin = time.Now()
		f.send(callers(101)...)
		f.wait(2 * time.Second)
		f.send(servers(101)...)
		f.wait(20 * time.Second)
		outcome, spans, after = f.first(101, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 3, spans)
		require.Equal(t, 2200*time.Millisecond, after)

		begin = time.Now()
		f.send(callers(102)...)
		f.wait(20 * time.Second)
		outcome, _, after = f.first(102, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome, "waiting longer would not pay")
		require.Equal(t, 3844335937*time.Nanosecond, after)
		f.stop()
	})
}

// TestDatabaseIsChildless waits for no child of a client that names a database, not even the first time.
func TestDatabaseIsChildless(t *testing.T) {
	for _, key := range []string{"db.system.name", "db.system"} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, quickly)
			begin := time.Now()
			td := request(callers(1)...)
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).Attributes().PutStr(key, "postgresql")
			require.NoError(t, f.ConsumeTraces(t.Context(), td))
			f.wait(time.Minute)
			outcome, _, after := f.first(1, begin)
			require.Equal(t, conventions.OutcomeComplete, outcome)
			require.Equal(t, 200*time.Millisecond, after)
			f.stop()
		})
	}
}

// TestFailedClientsAreLearnedApart has calls that fail before they reach anybody beside those that succeed.
func TestFailedClientsAreLearnedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		fail := func(trace uint64) {
			td := request(callers(trace)...)
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).Status().SetCode(ptrace.StatusCodeError)
			require.NoError(t, f.ConsumeTraces(t.Context(), td))
			f.wait(20 * time.Second)
		}
		f.teach(1, 20, time.Second, callers, servers)
		for trace := range uint64(8) {
			fail(100 + trace)
		}
		begin := time.Now()
		fail(200)
		outcome, _, after := f.first(200, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 200*time.Millisecond, after)

		begin = time.Now()
		f.teach(300, 1, time.Second, callers, servers)
		_, spans, after := f.first(300, begin)
		require.Equal(t, 3, spans, "those that succeed are still awaited")
		require.Equal(t, 1200*time.Millisecond, after)
		f.stop()
	})
}

// TestWhatCountsAsChild sends a client, what follows and asks whether the trace is complete with it.
func TestWhatCountsAsChild(t *testing.T) {
	client := webClient(1)
	below := func(service string, kind ptrace.SpanKind) testSpan {
		return testSpan{trace: 1, id: 3, parent: 2, service: service, kind: kind}
	}
	tests := map[string]struct {
		rest     []testSpan
		complete bool
	}{
		"a server":                  {[]testSpan{below("shop", ptrace.SpanKindServer)}, true},
		"a server of the same name": {[]testSpan{below("web", ptrace.SpanKindServer)}, true},
		"a consumer":                {[]testSpan{below("shop", ptrace.SpanKindConsumer)}, true},
		"another service":           {[]testSpan{below("shop", ptrace.SpanKindInternal)}, true},
		"the same service":          {[]testSpan{below("web", ptrace.SpanKindInternal)}, false},
		"a server that shares its id": {
			[]testSpan{{trace: 1, id: 2, parent: 1, service: "shop", kind: ptrace.SpanKindServer, end: 1}}, true,
		},
		"a producer needs none": {
			[]testSpan{
				below("shop", ptrace.SpanKindServer),
				{trace: 1, id: 4, parent: 1, service: "web", kind: ptrace.SpanKindProducer},
			}, true,
		},
		"two of its own and another": {
			[]testSpan{
				below("web", ptrace.SpanKindInternal),
				{trace: 1, id: 4, parent: 2, service: "web", kind: ptrace.SpanKindInternal, start: 1},
				{trace: 1, id: 5, parent: 2, service: "shop", kind: ptrace.SpanKindInternal, start: 1},
			}, true,
		},
	}
	for name, test := range tests {
		for _, order := range []string{"after", "before"} {
			t.Run(name+" "+order, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := start(t, quickly)
					spans := append([]testSpan{webRoot(1), client}, test.rest...)
					if order == "before" {
						spans = append(test.rest, client, webRoot(1))
					}
					begin := time.Now()
					f.send(spans...)
					f.wait(time.Minute)
					outcome, _, after := f.first(1, begin)
					if test.complete {
						require.Equal(t, conventions.OutcomeComplete, outcome)
						require.Equal(t, 200*time.Millisecond, after)
					} else {
						require.Equal(t, conventions.OutcomeQuiet, outcome)
					}
					f.stop()
				})
			})
		}
	}
}

// TestUnknownClientWaitsAsLongAsOthers has children that come within a second: an unknown client waits little longer.
func TestUnknownClientWaitsAsLongAsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		f.teach(1, childrenYoung, time.Second, callers, servers)
		begin := time.Now()
		f.send(webRoot(1000), testSpan{trace: 1000, id: 2, parent: 1, service: "web", name: "GET rates", kind: ptrace.SpanKindClient})
		f.wait(20 * time.Second)
		outcome, _, after := f.first(1000, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 1708593750*time.Nanosecond, after) // the bucket above the one up to 1.139s
		f.stop()
	})
}

// TestLocalRootIsLearned sends an entry span whose caller never sends, then one that comes late.
func TestLocalRootIsLearned(t *testing.T) {
	entry := func(trace uint64) []testSpan {
		return []testSpan{{trace: trace, id: 2, parent: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer}}
	}
	caller := func(trace uint64) []testSpan {
		return []testSpan{{trace: trace, id: 1, service: "mobile", name: "tap", kind: ptrace.SpanKindInternal}}
	}
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		f.teach(1, 8, 0, entry, nothing)
		for trace := uint64(1); trace <= 8; trace++ {
			require.Equal(t, conventions.OutcomeQuiet, f.sink.of(trace)[0].Outcome)
		}
		begin := time.Now()
		f.teach(100, 1, 0, entry, nothing)
		outcome, _, after := f.first(100, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 200*time.Millisecond, after)

		f.teach(200, 1, time.Second, entry, caller) // late
		begin = time.Now()
		f.teach(300, 1, time.Second, entry, caller)
		outcome, spans, after := f.first(300, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 2, spans, "awaited again")
		require.Equal(t, 1200*time.Millisecond, after)
		f.stop()
	})
}

// TestSlowParentIsNoLocalRoot has a root that comes later than anybody waits: its children are not complete without it.
func TestSlowParentIsNoLocalRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		for trace := range uint64(30) {
			f.send(testSpan{trace: 1 + trace, id: 2, parent: 1, name: "step"})
			f.wait(30 * time.Second)
			f.send(testSpan{trace: 1 + trace, id: 1, name: "job"})
			f.wait(20 * time.Second)
			require.Equal(t, conventions.OutcomeQuiet, f.sink.of(1 + trace)[0].Outcome)
		}
		f.stop()
	})
}

// TestAsynchronousConsumersHoldNothing sends what a consumer does while the trace is open: neither the child of its client nor a
// parent that is a CONSUMER is awaited, and late spans of consumers do not widen the quiet period.
func TestAsynchronousConsumersHoldNothing(t *testing.T) {
	producer := testSpan{trace: 1, id: 2, parent: 1, service: "web", kind: ptrace.SpanKindProducer}
	consumer := testSpan{trace: 1, id: 3, parent: 2, service: "mail", kind: ptrace.SpanKindConsumer}
	client := testSpan{trace: 1, id: 4, parent: 3, service: "mail", name: "POST smtp", kind: ptrace.SpanKindClient}
	for name, spans := range map[string][]testSpan{
		"producer alone":        {webRoot(1), producer},
		"with its consumer":     {webRoot(1), producer, consumer, client},
		"client before parents": {client, consumer, producer, webRoot(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, quickly)
				begin := time.Now()
				f.send(spans...)
				f.wait(time.Minute)
				outcome, _, after := f.first(1, begin)
				require.Equal(t, conventions.OutcomeComplete, outcome)
				require.Equal(t, 200*time.Millisecond, after)
				f.stop()
			})
		})
	}
	// A trace that begins with a consumer is one like any other.
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		consumer.parent = 0
		f.send(consumer, client)
		f.wait(time.Minute)
		require.Equal(t, conventions.OutcomeQuiet, f.sink.of(1)[0].Outcome, "the unknown client is awaited")
		f.stop()
	})
}

// TestQuietPeriodWidens has traces whose root comes 1.5s after the rest, and then some whose parent takes 2s.
func TestQuietPeriodWidens(t *testing.T) {
	consumer := func(trace uint64) testSpan {
		return testSpan{trace: trace, id: 9, parent: 2, service: "mail", kind: ptrace.SpanKindConsumer}
	}
	lacking := func(trace uint64) []testSpan { // of a name each, lest it is learned that they have no parent
		return []testSpan{webRoot(trace), {trace: trace, id: 2, parent: 5, service: "web", name: fmt.Sprintf("page %c%c", 'a'+trace%26, 'a'+trace/26%26)}}
	}
	for name, late := range map[string]func(trace uint64) []testSpan{
		"parent":   func(trace uint64) []testSpan { return []testSpan{{trace: trace, id: 5, parent: 1, service: "web"}} },
		"consumer": func(trace uint64) []testSpan { return []testSpan{consumer(trace)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) { quickly(c); c.LateWindow = 10 * time.Second })
				for trace := range uint64(2 * quietYoung) {
					f.send(testSpan{trace: 1 + trace, id: 2, parent: 1, service: "web"})
				}
				f.wait(1500 * time.Millisecond)
				for trace := range uint64(2 * quietYoung) {
					f.send(webRoot(1 + trace))
				}
				f.wait(10 * time.Second)
				var before, after time.Duration
				entry := operation{"web", "page"}
				f.look(func(s *shard) { before = s.quiet.period(entry, s.now()) })
				require.InEpsilon(t, 1500*time.Millisecond, before, quietAccuracy)
				for range 2 {
					for trace := range uint64(widenAfter) {
						f.send(lacking(1000 + trace)...)
					}
					f.wait(2 * time.Second)
					for trace := range uint64(widenAfter) {
						f.send(late(1000 + trace)...)
					}
					f.wait(15 * time.Second) // nothing is remembered of these traces
				}
				require.Equal(t, conventions.OutcomeQuiet, f.sink.of(1000)[0].Outcome)
				outcomes := f.points("releases")
				f.look(func(s *shard) { after = s.quiet.period(entry, s.now()) })
				if name == "consumer" {
					require.EqualValues(t, 2*widenAfter, outcomes[conventions.OutcomeQuiet])
					require.InEpsilon(t, before, after, quietAccuracy)
				} else {
					require.EqualValues(t, widenAfter, outcomes[conventions.OutcomeQuiet], "the second time the parents are awaited")
					require.Greater(t, after, 2*time.Second)
				}
				f.stop()
			})
		})
	}
}

// TestLearningIsBounded floods a shard with operation names and entries.
func TestLearningIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickly)
		f.look(func(s *shard) { s.learned.limit, s.quiet.limit = 50, 20 })
		for trace := range uint64(500) {
			f.send(
				testSpan{trace: 1 + trace, id: 1, name: fmt.Sprint("entry", trace)},
				testSpan{trace: 1 + trace, id: 2, parent: 1, name: fmt.Sprint("call", trace), kind: ptrace.SpanKindClient},
				testSpan{trace: 1 + trace, id: 3, parent: 77, name: fmt.Sprint("orphan", trace)},
			)
		}
		f.wait(time.Minute)
		require.EqualValues(t, 50, f.sum("operations_learned"))
		require.EqualValues(t, 20, f.sum("entry_operations_learned"))
		f.look(func(s *shard) {
			require.Len(t, s.learned.byName, 50)
			require.Len(t, s.quiet.entries, 20)
		})
		f.stop()
	})
}
