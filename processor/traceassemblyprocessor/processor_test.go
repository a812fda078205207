package traceassemblyprocessor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// TestOutcomes says when a trace is released, and why. The defaults: linger 1s, quiet up to 10s, max_wait 60s; a call is
// closed 50ms after its first release.
func TestOutcomes(t *testing.T) {
	type sent struct {
		at    time.Duration
		spans []testSpan
	}
	root := testSpan{trace: 1, id: 1}
	child := testSpan{trace: 1, id: 2, parent: 1}
	orphan := testSpan{trace: 1, id: 3, parent: 99}
	var every5s []sent // for longer than max_wait, never complete
	for i := range 20 {
		every5s = append(every5s, sent{time.Duration(i) * 5 * time.Second, []testSpan{{trace: 1, id: uint64(100 + i), parent: 99}}})
	}
	tests := map[string]struct {
		sent    []sent
		at      time.Duration
		outcome string
		spans   int
	}{
		"complete in one request": {[]sent{{0, []testSpan{root, child}}}, time.Second, conventions.OutcomeComplete, 2},
		"root last":               {[]sent{{0, []testSpan{child}}, {3 * time.Second, []testSpan{root}}}, 4 * time.Second, conventions.OutcomeComplete, 2},
		"linger begins anew":      {[]sent{{0, []testSpan{root}}, {500 * time.Millisecond, []testSpan{child}}}, 1500 * time.Millisecond, conventions.OutcomeComplete, 2},
		"incomplete again":        {[]sent{{0, []testSpan{root}}, {500 * time.Millisecond, []testSpan{orphan}}}, 10500 * time.Millisecond, conventions.OutcomeQuiet, 2},
		"no root":                 {[]sent{{0, []testSpan{child}}}, 10 * time.Second, conventions.OutcomeQuiet, 1},
		"own parent":              {[]sent{{0, []testSpan{{trace: 1, id: 4, parent: 4}}}}, 10 * time.Second, conventions.OutcomeQuiet, 1},
		"never quiet":             {every5s, time.Minute, conventions.OutcomeTimeout, 12},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, nil)
				begin := time.Now()
				for _, s := range test.sent {
					time.Sleep(s.at - time.Since(begin))
					f.send(s.spans...)
					synctest.Wait()
				}
				f.wait(time.Minute)
				releases := f.sink.of(1)
				require.NotEmpty(t, releases)
				require.Equal(t, test.outcome, releases[0].Outcome)
				require.Len(t, releases[0].Spans, test.spans)
				require.Equal(t, 1, releases[0].Version)
				require.Equal(t, test.at+50*time.Millisecond, f.sink.at[0].Sub(begin))
				f.stop()
			})
		})
	}
}

func TestReleaseAnnotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		f.send(
			testSpan{trace: 1, id: 2, parent: 1, start: 5},
			testSpan{trace: 1, id: 9, start: 3}, // the later root
			testSpan{trace: 1, id: 1, start: 2}, // the entry root
			testSpan{trace: 1, id: 8, start: 2}, // as early, larger id
		)
		f.send(
			testSpan{trace: 2, id: 1, parent: 77, start: 5},
			testSpan{trace: 2, id: 2, parent: 78, start: 4}, // the earliest span whose parent is missing
			testSpan{trace: 2, id: 3, parent: 2, start: 1},
		)
		f.wait(11 * time.Second)
		whole := f.sink.of(1)[0]
		require.Equal(t, "complete", attr(spanOf(t, whole, 1), conventions.AttrOutcome))
		require.Equal(t, "1", attr(spanOf(t, whole, 1), conventions.AttrVersion))
		require.Empty(t, attr(spanOf(t, whole, 1), conventions.AttrPart))
		for _, id := range []uint64{2, 8, 9} {
			require.Zero(t, spanOf(t, whole, id).Attributes().Len())
		}
		require.Equal(t, "quiet", attr(spanOf(t, f.sink.of(2)[0], 2), conventions.AttrOutcome))
		require.Equal(t, "shop", whole.Spans[0].Service())
		require.Equal(t, "lib", whole.Spans[0].Scope.Name())
		require.NotZero(t, whole.ReleasedAt)
		f.stop()
	})
}

func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		client := testSpan{trace: 1, id: 1, kind: ptrace.SpanKindClient, start: 1, end: 4}
		server := testSpan{trace: 1, id: 1, kind: ptrace.SpanKindServer, start: 2, end: 3} // shares the id, as in Zipkin
		other := server
		other.end = 9
		f.send(client, server, client)
		f.send(server, other, other)
		f.wait(2 * time.Second)
		r := f.sink.of(1)[0]
		require.Equal(t, []uint64{1, 1, 1}, ids(r))
		require.EqualValues(t, 3, f.sum("spans_duplicate"))
		require.Empty(t, attr(r.Spans[0], conventions.AttrViolations))
		require.Empty(t, attr(r.Spans[1], conventions.AttrViolations))
		require.JSONEq(t, `["conflicting_span_id"]`, attr(r.Spans[2], conventions.AttrViolations))
		f.stop()
	})
}

func TestManySpansUseTheSameResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		for i := range uint64(100) {
			f.send(testSpan{trace: 1 + i, id: 1, service: "a"}, testSpan{trace: 1 + i, id: 2, parent: 1, service: "b"})
		}
		f.look(func(s *shard) { require.Len(t, s.origins.resources, 2) })
		f.wait(2 * time.Second)
		require.Len(t, f.sink.calls, 1)
		require.Equal(t, 2, f.sink.calls[0].ResourceSpans().Len())
		require.Equal(t, 1, f.sink.calls[0].ResourceSpans().At(0).ScopeSpans().Len())
		f.stop()
		require.Empty(t, f.shards[0].origins.resources)
	})
}

// TestOriginsApart sends spans whose resources and scopes differ in one thing each; none may be lost.
func TestOriginsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		change := []func(ptrace.ResourceSpans){
			func(ptrace.ResourceSpans) {},
			func(rs ptrace.ResourceSpans) { rs.SetSchemaUrl("x") },
			func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutInt("a", 1) },
			func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutStr("a", "1") },
			func(rs ptrace.ResourceSpans) { rs.Resource().SetDroppedAttributesCount(1) },
			func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).SetSchemaUrl("x") },
			func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetVersion("1") },
			func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().Attributes().PutBool("a", true) },
			func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetDroppedAttributesCount(2) },
		}
		want := make(map[uint64]ptrace.ResourceSpans)
		for i, c := range change {
			td := request(testSpan{trace: 1, id: uint64(i + 1)})
			c(td.ResourceSpans().At(0))
			want[uint64(i+1)] = ptrace.NewResourceSpans()
			td.ResourceSpans().At(0).CopyTo(want[uint64(i+1)])
			require.NoError(t, f.ConsumeTraces(t.Context(), td))
		}
		f.wait(2 * time.Second)
		r := f.sink.of(1)[0]
		require.Len(t, r.Spans, len(change))
		for id, rs := range want {
			span := spanOf(t, r, id)
			require.Equal(t, rs.SchemaUrl(), span.SchemaURL)
			attrs := span.Resource.Attributes().AsRaw()
			delete(attrs, conventions.AttrReleasedAt)
			require.Equal(t, rs.Resource().Attributes().AsRaw(), attrs)
			require.Equal(t, rs.Resource().DroppedAttributesCount(), span.Resource.DroppedAttributesCount())
			require.Equal(t, rs.ScopeSpans().At(0).Scope().Version(), span.Scope.Version())
			require.Equal(t, rs.ScopeSpans().At(0).Scope().Attributes().AsRaw(), span.Scope.Attributes().AsRaw())
			require.Equal(t, rs.ScopeSpans().At(0).Scope().DroppedAttributesCount(), span.Scope.DroppedAttributesCount())
		}
		f.stop()
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.NumShards = 4 })
		for i := range uint64(50) {
			f.send(testSpan{trace: 1 + i, id: 1}, testSpan{trace: 1 + i, id: 2, parent: 9})
		}
		f.stop()
		require.Len(t, f.sink.releases, 50)
		for _, r := range f.sink.releases {
			require.Equal(t, conventions.OutcomeShutdown, r.Outcome)
		}
		require.NoError(t, f.Shutdown(t.Context()))
		err := f.ConsumeTraces(t.Context(), request(testSpan{trace: 1, id: 1}))
		require.ErrorIs(t, err, errStopped)
		require.False(t, consumererror.IsPermanent(err))
	})
}

func TestConsumeBeforeStart(t *testing.T) {
	tel := componenttest.NewTelemetry()
	p := newTestProcessor(t, createDefaultConfig().(*Config), tel, consumertest.NewNop())
	require.ErrorIs(t, p.ConsumeTraces(t.Context(), request(testSpan{trace: 1, id: 1})), errStopped)
	require.NoError(t, p.Shutdown(t.Context()))
	require.NoError(t, tel.Shutdown(t.Context()))
}

// registry is an extension that answers queries.
type registry struct {
	component.StartFunc
	component.ShutdownFunc
	inFlight     tracestore.InFlight
	unregistered int
}

func (r *registry) RegisterInFlight(f tracestore.InFlight) func() {
	r.inFlight = f
	return func() { r.unregistered++ }
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// TestInFlightUntilTaken asks from within the next consumer, which refuses once, and while the call waits to be repeated.
func TestInFlightUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		held := func() bool { return f.inFlight(t.Context(), "", traceID(1)) }
		var asked []bool
		f.sink.fail = func(attempt int, _ ptrace.Traces) error {
			asked = append(asked, held())
			if attempt == 1 {
				return errors.New("busy")
			}
			time.Sleep(time.Second)
			asked = append(asked, held())
			return nil
		}
		f.send(testSpan{trace: 1, id: 1})
		f.wait(1051 * time.Millisecond) // linger and max_delay
		require.Equal(t, []bool{true}, asked)
		require.True(t, held(), "refused, and repeated in 50 ms at least")
		f.wait(10 * time.Second)
		require.Equal(t, []bool{true, true, true}, asked)
		require.False(t, held(), "taken")
		f.stop()
	})
}

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		ok := make(chan struct{})
		blocked := &sink{t: t, fail: func(int, ptrace.Traces) error { <-ok; return nil }}
		cfg := createDefaultConfig().(*Config)
		p := newTestProcessor(t, cfg, tel, blocked)
		r := &registry{}
		require.NoError(t, p.Start(t.Context(), host{component.MustNewID("trace_query"): r, component.MustNewID("other"): nil}))
		ask := func(tenant string, id pcommon.TraceID) bool { return r.inFlight(t.Context(), tenant, id) }

		require.False(t, ask("", traceID(1)))
		require.NoError(t, p.ConsumeTraces(t.Context(), request(testSpan{trace: 1, id: 1})))
		require.True(t, ask("", traceID(1)), "in its shard")
		require.False(t, ask("other", traceID(1)), "of another tenant")
		require.False(t, ask("", traceID(2)))
		time.Sleep(1010 * time.Millisecond)
		require.True(t, ask("", traceID(1)), "in the open call")
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, ask("", traceID(1)), "being handed on")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		r.inFlight(ended, "", traceID(1)) // returns
		close(ok)
		synctest.Wait()
		require.False(t, ask("", traceID(1)), "taken")
		require.NoError(t, p.Shutdown(t.Context()))
		require.Equal(t, 1, r.unregistered)
		require.False(t, ask("", traceID(1)), "stopped")
		require.NoError(t, tel.Shutdown(t.Context()))
	})
}
