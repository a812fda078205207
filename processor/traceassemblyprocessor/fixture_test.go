package traceassemblyprocessor

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor/internal/metadata"
)

// testSpan is a span in few words. Its parent is 0 for a root; start and end are nanoseconds.
type testSpan struct {
	trace      uint64
	id, parent uint64
	service    string // default "shop"
	name       string // default "work"
	kind       ptrace.SpanKind
	start, end uint64
	padding    int // bytes of an attribute
	failed     bool
	attributes string // key=value …
}

func traceID(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// request puts spans into one request, each run of one service under one resource.
func request(spans ...testSpan) ptrace.Traces {
	td := ptrace.NewTraces()
	var target ptrace.SpanSlice
	last := ""
	for i, s := range spans {
		service := s.service
		if service == "" {
			service = "shop"
		}
		if i == 0 || service != last {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", service)
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("lib")
			target, last = ss.Spans(), service
		}
		span := target.AppendEmpty()
		span.SetTraceID(traceID(s.trace))
		span.SetSpanID(spanID(s.id))
		span.SetParentSpanID(spanID(s.parent))
		span.SetName("work")
		if s.name != "" {
			span.SetName(s.name)
		}
		span.SetKind(s.kind)
		span.SetStartTimestamp(pcommon.Timestamp(s.start))
		span.SetEndTimestamp(pcommon.Timestamp(s.end))
		if s.failed {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		for _, pair := range strings.Fields(s.attributes) {
			key, value, _ := strings.Cut(pair, "=")
			span.Attributes().PutStr(key, value)
		}
		if s.padding > 0 {
			span.Attributes().PutStr("padding", string(make([]byte, s.padding)))
		}
	}
	return td
}

// sink is the next consumer. It keeps what it takes and checks the contract on every call.
type sink struct {
	t *testing.T
	// fail is asked before a call is taken, and may change the data as a consumer might.
	fail func(attempt int, td ptrace.Traces) error

	mu       sync.Mutex // guards the fields below
	attempts int
	calls    []ptrace.Traces
	releases []tracetree.Release
	at       []time.Time // of releases
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.fail != nil {
		if err := s.fail(s.attempts, td); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.calls = append(s.calls, td)
	releases := tracetree.Releases(td)
	at := releases[0].ReleasedAt
	for i := range releases {
		r := &releases[i]
		require.Equal(s.t, at, r.ReleasedAt, "one time for the whole call")
		require.NotZero(s.t, r.Version, "version of %s", r.TraceID)
		require.Contains(s.t, conventions.Outcomes, r.Outcome)
		versions := 0
		for _, span := range r.Spans {
			if _, ok := span.Attributes().Get(conventions.AttrVersion); ok {
				versions++
			}
		}
		require.Equal(s.t, 1, versions, "releases of one trace in a call")
		s.at = append(s.at, time.Now())
	}
	s.releases = append(s.releases, releases...)
	return nil
}

// of is what was released of a trace, in order.
func (s *sink) of(trace uint64) []tracetree.Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	var releases []tracetree.Release
	for _, r := range s.releases {
		if r.TraceID == traceID(trace) {
			releases = append(releases, r)
		}
	}
	return releases
}

func idOf(span tracetree.Span) uint64 {
	id := span.SpanID()
	return binary.BigEndian.Uint64(id[:])
}

func ids(r tracetree.Release) []uint64 {
	var ids []uint64
	for _, span := range r.Spans {
		ids = append(ids, idOf(span))
	}
	return ids
}

// attr is a span's attribute as text, empty where there is none.
func attr(span tracetree.Span, key string) string {
	if v, ok := span.Attributes().Get(key); ok {
		return v.AsString()
	}
	return ""
}

func spanOf(t *testing.T, r tracetree.Release, id uint64) tracetree.Span {
	for _, span := range r.Spans {
		if span.SpanID() == spanID(id) {
			return span
		}
	}
	require.Fail(t, "span is not in the release", "%d", id)
	return tracetree.Span{}
}

// fixture is a started processor and what stands around it.
type fixture struct {
	*assemblyProcessor
	t         *testing.T
	sink      *sink
	telemetry *componenttest.Telemetry
}

// start starts a processor with the default configuration but for one shard and a linger of 1s, changed by configure. It must be called in a
// synctest bubble, where stop is called at the end.
func start(t *testing.T, configure func(*Config)) *fixture {
	return startOn(t, nil, &sink{t: t}, configure)
}

// startOn starts a processor with its journal on a file system, if it has one.
func startOn(t *testing.T, fs journal.FS, s *sink, configure func(*Config)) *fixture {
	cfg := createDefaultConfig().(*Config)
	cfg.NumShards, cfg.Linger = 1, time.Second
	if configure != nil {
		configure(cfg)
	}
	require.NoError(t, cfg.Validate())
	f := &fixture{t: t, sink: s, telemetry: componenttest.NewTelemetry()}
	f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, f.sink)
	f.fs = fs
	require.NoError(t, f.Start(t.Context(), componenttest.NewNopHost()))
	return f
}

func newTestProcessor(t testing.TB, cfg *Config, telemetry *componenttest.Telemetry, next consumer.Traces) *assemblyProcessor {
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	p, err := NewFactory().CreateTraces(context.Background(), set, cfg, next)
	require.NoError(t, err)
	return p.(*assemblyProcessor)
}

func (f *fixture) send(spans ...testSpan) {
	f.t.Helper()
	require.NoError(f.t, f.ConsumeTraces(context.Background(), request(spans...)))
}

// wait lets time pass and everybody finish what is due.
func (f *fixture) wait(d time.Duration) {
	time.Sleep(d) // in a bubble: fake time
	synctest.Wait()
}

// look reads what belongs to the first shard while that is idle.
func (f *fixture) look(read func(*shard)) {
	synctest.Wait()
	read(f.shards[0])
	f.shards[0].in <- message{} // what it writes next comes after what was read
}

// stop shuts down and checks that nothing is left.
func (f *fixture) stop() {
	f.t.Helper()
	require.NoError(f.t, f.Shutdown(context.Background()))
	require.Zero(f.t, f.budget.spans.Load(), "spans in flight")
	require.Zero(f.t, f.budget.held.Load(), "bytes in flight")
	require.Zero(f.t, f.budget.open.Load(), "bytes of open traces")
	for _, s := range f.shards {
		require.Equal(f.t, s.skeletons.weight, s.skeletons.kept, "no open trace has a skeleton")
	}
	f.checkSum()
	require.NoError(f.t, f.telemetry.Shutdown(context.Background()))
}

// checkSum checks what README says of the counters.
func (f *fixture) checkSum() {
	f.t.Helper()
	received := f.sum("spans_received") + f.sum("spans_replayed")
	rest := f.sum("spans_rejected") + f.sum("spans_duplicate") + f.sum("spans_released") + f.sum("spans_dropped") + f.sum("spans_kept") +
		f.budget.spans.Load()
	require.Equal(f.t, received, rest, "received = rejected + duplicate + released + dropped + in flight")
}
