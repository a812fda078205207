package late

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// span is one that a test sends. Its parent is 0 for a root, its time in milliseconds.
type span struct {
	trace      byte
	id, parent byte
	service    string
	env        string // deployment.environment.name
	name       string
	kind       ptrace.SpanKind
	start, end int
	failed     bool
	attributes string // key=value …
}

const (
	server   = ptrace.SpanKindServer
	client   = ptrace.SpanKindClient
	producer = ptrace.SpanKindProducer
	consume  = ptrace.SpanKindConsumer
	internal = ptrace.SpanKindInternal
)

func request(spans ...span) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, s := range spans {
		rs := td.ResourceSpans().AppendEmpty()
		if s.service == unnamed {
			rs.Resource().Attributes().PutStr("service.name", "unknown_service:java")
			rs.Resource().Attributes().PutStr("k8s.replicaset.name", s.service+"-6d4b75cb6d")
		} else {
			rs.Resource().Attributes().PutStr("service.name", s.service)
		}
		if s.env != "" {
			rs.Resource().Attributes().PutStr("deployment.environment.name", s.env)
		}
		to := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		to.SetTraceID(pcommon.TraceID{0: 1, 15: s.trace})
		to.SetSpanID(pcommon.SpanID{7: s.id})
		to.SetParentSpanID(pcommon.SpanID{7: s.parent})
		to.SetName(s.name)
		to.SetKind(s.kind)
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		to.SetStartTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(s.start) * time.Millisecond)))
		to.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(s.end) * time.Millisecond)))
		if s.failed {
			to.Status().SetCode(ptrace.StatusCodeError)
		}
		for _, pair := range strings.Fields(s.attributes) {
			key, value, _ := strings.Cut(pair, "=")
			to.Attributes().PutStr(key, value)
		}
	}
	return td
}

// pipeline is trace_assembly → trace_analysis → a store in memory.
type pipeline struct {
	t     *testing.T
	entry consumer.Traces
	store *memstore.Store
	parts []component.Component
}

func start(t *testing.T, configure func(*traceassemblyprocessor.Config)) *pipeline {
	p := &pipeline{t: t, store: memstore.New(time.Hour, time.Now)}
	sink, err := consumer.NewTraces(p.store.WriteCall)
	require.NoError(t, err)
	analysis := p.processor(traceanalysisprocessor.NewFactory(), nil, sink)
	factory := traceassemblyprocessor.NewFactory()
	config := factory.CreateDefaultConfig().(*traceassemblyprocessor.Config)
	if configure != nil {
		configure(config)
	}
	p.entry = p.processor(factory, config, analysis)
	return p
}

func (p *pipeline) processor(factory processor.Factory, config component.Config, next consumer.Traces) processor.Traces {
	if config == nil {
		config = factory.CreateDefaultConfig()
	}
	made, err := factory.CreateTraces(p.t.Context(), processortest.NewNopSettings(factory.Type()), config, next)
	require.NoError(p.t, err)
	require.NoError(p.t, made.Start(p.t.Context(), componenttest.NewNopHost()))
	p.parts = append(p.parts, made)
	return made
}

func (p *pipeline) stop() {
	for i := range p.parts {
		require.NoError(p.t, p.parts[len(p.parts)-1-i].Shutdown(context.Background()))
	}
}

// send sends spans and waits until they are released, as quiet at the latest.
func (p *pipeline) send(spans ...span) {
	require.NoError(p.t, p.entry.ConsumeTraces(p.t.Context(), request(spans...)))
	time.Sleep(11 * time.Second)
	synctest.Wait()
}

// edge is the calls of a service to another one, or to a virtual peer.
type edge struct{ parent, child, kind, protocol string }

type counts struct{ calls, errors int64 }

type operation struct{ service, name, kind string }

// sums are what the store adds up over all releases.
type sums struct {
	edges map[edge]counts
	// durations of the edges to services: count, and the sum of some quantiles.
	durations  map[edge][2]float64
	operations map[operation]counts
	entries    map[tracestore.Operation]counts
	unrepaired int64
}

func everything(environment *string) *tracestore.AggregateQuery {
	return &tracestore.AggregateQuery{Start: time.Unix(0, 0), End: time.Now().Add(time.Hour), Environment: environment}
}

func (p *pipeline) sums() sums {
	s := sums{
		edges: make(map[edge]counts), durations: make(map[edge][2]float64), operations: make(map[operation]counts),
		entries: make(map[tracestore.Operation]counts),
	}
	query := everything(nil)
	for e, err := range p.store.Edges(p.t.Context(), "", query) {
		require.NoError(p.t, err)
		key := edge{e.Parent, e.Child, e.ChildKind, e.Protocol}
		s.edges[key] = counts{e.Calls, e.Errors}
		if e.ChildKind == "service" {
			quantiles, err := e.Durations.GetValuesAtQuantiles([]float64{0, 0.5, 1})
			require.NoError(p.t, err)
			s.durations[key] = [2]float64{e.Durations.GetCount(), math.Round(quantiles[0] + quantiles[1] + quantiles[2])}
		}
	}
	for o, err := range p.store.Operations(p.t.Context(), "", query) {
		require.NoError(p.t, err)
		s.operations[operation{o.Service, o.Operation.Operation, o.Kind}] = counts{o.Calls, o.Errors}
	}
	for e, err := range p.store.Entries(p.t.Context(), "", query) {
		require.NoError(p.t, err)
		s.entries[e.Operation] = counts{e.Traces, e.Errors}
	}
	done, err := p.store.Completeness(p.t.Context(), "", query)
	require.NoError(p.t, err)
	s.unrepaired = done.Unrepaired
	return s
}
