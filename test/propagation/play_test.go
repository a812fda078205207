package propagation

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/extension/tracequeryextension"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// edge is what the API says of one.
type edge struct {
	Parent, Child    string
	ContextAccuracy  *float64 `json:"context_accuracy"`
	UnansweredReason string   `json:"unanswered_reason"`
}

// play sends the traffic through the pipeline, in virtual time, and asks for the edges between services.
func play(t *testing.T, s *scenario) map[pair]*edge {
	plan := schedule.Build(s.shop(t), &schedule.Options{Seed: seed, Rate: rate, BatchDelay: time.Second, Jitter: 0.1, Late: s.late}, 0, visits)
	store := memstore.New(24*time.Hour, time.Now)
	synctest.Test(t, func(t *testing.T) {
		sink, err := consumer.NewTraces(store.WriteCall)
		require.NoError(t, err)
		analysis := start(t, traceanalysisprocessor.NewFactory(), sink)
		assembly := start(t, traceassemblyprocessor.NewFactory(), analysis)
		began := time.Now()
		for _, request := range plan.Waves[0].Requests {
			time.Sleep(request.Delay - time.Since(began))
			require.NoError(t, request.Send(wire.Mask{}, began.UnixNano(), func(body []byte) error {
				td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
				require.NoError(t, err)
				s.filter(td)
				return assembly.ConsumeTraces(t.Context(), td)
			}))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.NoError(t, assembly.Shutdown(context.Background()))
		require.NoError(t, analysis.Shutdown(context.Background()))
	})
	edges := make(map[pair]*edge)
	for _, e := range ask(t, store) {
		if e.ContextAccuracy != nil {
			edges[pair{e.Parent, e.Child}] = e
		}
	}
	return edges
}

func start(t *testing.T, factory processor.Factory, next consumer.Traces) processor.Traces {
	made, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, made.Start(t.Context(), componenttest.NewNopHost()))
	return made
}

// filter takes the missing spans out.
func (s *scenario) filter(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		service := conventions.ServiceName(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool { return s.drops(service, span.TraceID()) })
		}
	}
}

// host has a trace_store extension whose backend is the store.
type host struct{ store tracestore.Backend }

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("trace_store"): &provider{store: h.store}}
}

type provider struct {
	component.StartFunc
	component.ShutdownFunc
	store tracestore.Backend
}

func (*provider) HasBackend(string) bool                       { return true }
func (*provider) BackendNames() []string                       { return []string{"main"} }
func (p *provider) Backend(string) (tracestore.Backend, error) { return p.store, nil }

// ask asks the API for the edges of the whole run, whose time is that of the virtual clock.
func ask(t *testing.T, store tracestore.Backend) []*edge {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	factory := tracequeryextension.NewFactory()
	config := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"storage": "main", "http": map[string]any{"endpoint": address},
	}).Unmarshal(config))
	set := extensiontest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	ext, err := factory.Create(t.Context(), set, config)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), host{store}))
	defer func() { require.NoError(t, ext.Shutdown(context.Background())) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+address+"/traces/services?start=1999-12-31T00:00:00Z&end=2000-01-02T00:00:00Z", http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var answer struct{ Edges []*edge }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer.Edges
}
