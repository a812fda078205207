package insights

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
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
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// traffic is a stretch of visits.
type traffic struct {
	options shop.Options
	rate    float64 // visits a second
	visits  int
	// change is done to every request before it is received; nil for nothing.
	change func(td ptrace.Traces)
}

// calls are what assembly and analysis make of traffic, as a store is given them.
type calls struct {
	list []ptrace.Traces
	mu   sync.Mutex // guards list
}

func (c *calls) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	kept := ptrace.NewTraces()
	td.CopyTo(kept)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, kept)
	return nil
}

// play sends traffic through the pipeline, in virtual time, which begins at midnight on 1 January 2000, after a delay.
func play(t *testing.T, after time.Duration, stretches ...traffic) []ptrace.Traces {
	t.Helper()
	var made calls
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(after)
		sink, err := consumer.NewTraces(made.ConsumeTraces)
		require.NoError(t, err)
		analysis := start(t, traceanalysisprocessor.NewFactory(), sink)
		assembly := start(t, traceassemblyprocessor.NewFactory(), analysis)
		for i := range stretches {
			s := &stretches[i]
			plan := schedule.Build(shop.New(s.options), &schedule.Options{Seed: s.options.Seed, Rate: s.rate, BatchDelay: time.Second, Jitter: 0.1}, 0, s.visits)
			began := time.Now()
			for _, request := range plan.Waves[0].Requests {
				time.Sleep(request.Delay - time.Since(began))
				require.NoError(t, request.Send(wire.Mask{}, began.UnixNano(), func(body []byte) error {
					td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
					require.NoError(t, err)
					if s.change != nil {
						s.change(td)
					}
					return assembly.ConsumeTraces(t.Context(), td)
				}))
			}
			if rest := time.Duration(float64(s.visits)/s.rate*float64(time.Second)) - time.Since(began); rest > 0 {
				time.Sleep(rest)
			}
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.NoError(t, assembly.Shutdown(context.Background()))
		require.NoError(t, analysis.Shutdown(context.Background()))
	})
	return made.list
}

func start(t *testing.T, factory processor.Factory, next consumer.Traces) processor.Traces {
	t.Helper()
	made, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, made.Start(t.Context(), componenttest.NewNopHost()))
	return made
}

// midnight is when virtual time begins.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// stored is a store with these calls.
func stored(t *testing.T, parts ...[]ptrace.Traces) tracestore.Backend {
	t.Helper()
	store := memstore.New(24*time.Hour, func() time.Time { return midnight.Add(time.Hour) })
	for _, part := range parts {
		for _, td := range part {
			require.NoError(t, store.WriteCall(t.Context(), td))
		}
	}
	return store
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

// ask asks the API over a store, with its configuration beside storage and endpoint.
func ask(t *testing.T, store tracestore.Backend, config map[string]any, path string, query url.Values, answer any) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	factory := tracequeryextension.NewFactory()
	made := factory.CreateDefaultConfig()
	all := map[string]any{"storage": "main", "http": map[string]any{"endpoint": address}}
	for key, value := range config {
		all[key] = value
	}
	require.NoError(t, confmap.NewFromStringMap(all).Unmarshal(made))
	set := extensiontest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	ext, err := factory.Create(t.Context(), set, made)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), host{store}))
	defer func() { require.NoError(t, ext.Shutdown(context.Background())) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path+"?"+query.Encode(), http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.NoError(t, json.Unmarshal(body, answer))
}
