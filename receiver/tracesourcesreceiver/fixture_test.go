package tracesourcesreceiver

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/jaegerreceiver"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/zipkinreceiver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tracewright/tracewright/internal/freeport"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

// testHost is a collector with receivers, a storage and an API.
type testHost struct {
	component.Host
	storage   testStorage
	registry  *testRegistry
	factories map[string]receiver.Factory
}

func newTestHost(backend tracestore.Backend, more ...receiver.Factory) *testHost {
	h := &testHost{
		Host: componenttest.NewNopHost(), storage: testStorage{backend: backend}, registry: &testRegistry{},
		factories: make(map[string]receiver.Factory),
	}
	for _, f := range append([]receiver.Factory{
		otlpreceiver.NewFactory(), zipkinreceiver.NewFactory(), jaegerreceiver.NewFactory(), NewFactory(),
	}, more...) {
		h.factories[f.Type().String()] = f
	}
	return h
}

func (h *testHost) GetFactory(kind component.Kind, typ component.Type) component.Factory {
	if f, ok := h.factories[typ.String()]; ok && kind == component.KindReceiver {
		return f
	}
	return nil
}

func (h *testHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{
		component.MustNewID("trace_store"): h.storage,
		component.MustNewID("trace_query"): h.registry,
	}
}

type testStorage struct {
	component.StartFunc
	component.ShutdownFunc
	backend tracestore.Backend
}

func (s testStorage) HasBackend(name string) bool                { return name == "main" }
func (s testStorage) BackendNames() []string                     { return []string{"main"} }
func (s testStorage) Backend(string) (tracestore.Backend, error) { return s.backend, nil }

type testRegistry struct {
	component.StartFunc
	component.ShutdownFunc
	manager tracesources.Manager
}

func (r *testRegistry) RegisterSources(m tracesources.Manager) (func(), error) {
	if r.manager != nil {
		return nil, errors.New("there is another one")
	}
	r.manager = m
	return func() { r.manager = nil }, nil
}

// failingStore fails while err is set.
type failingStore struct {
	*memstore.Store
	err error
}

func (s *failingStore) PutSource(ctx context.Context, record tracestore.SourceRecord) error {
	if s.err != nil {
		return s.err
	}
	return s.Store.PutSource(ctx, record)
}

func (s *failingStore) Sources(ctx context.Context) ([]tracestore.SourceRecord, error) {
	if s.err != nil && errors.Is(s.err, errRead) {
		return nil, s.err
	}
	return s.Store.Sources(ctx)
}

var errRead = errors.New("the disk is gone")

func newStore() *memstore.Store { return memstore.New(time.Hour, time.Now) }

// start starts a receiver that polls only when a test says so.
func start(t *testing.T, host *testHost, next consumer.Traces, change func(*Config)) *sourcesReceiver {
	t.Helper()
	return startWith(t, receivertest.NewNopSettings(metadata.Type), host, next, change)
}

func startWith(t *testing.T, set receiver.Settings, host *testHost, next consumer.Traces, change func(*Config)) *sourcesReceiver {
	t.Helper()
	config := createDefaultConfig().(*Config)
	config.Storage = "main"
	config.PollInterval = time.Hour
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	set.ID = component.NewID(metadata.Type)
	set.Resource.Attributes().PutStr("service.instance.id", t.Name()+time.Now().String())
	r, err := NewFactory().CreateTraces(t.Context(), set, config, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return r.(*sourcesReceiver)
}

func freePort(t *testing.T) string {
	t.Helper()
	ports, err := freeport.Take(t.Context(), 1)
	require.NoError(t, err)
	return net.JoinHostPort("localhost", strconv.Itoa(ports[0]))
}

func otlp(name, endpoint string) tracesources.Source {
	return tracesources.Source{Name: name, Type: "otlp", Enabled: true, Configuration: map[string]any{
		"protocols": map[string]any{"grpc": map[string]any{"endpoint": endpoint}},
	}}
}

func zipkin(name, endpoint string) tracesources.Source {
	return tracesources.Source{Name: name, Type: "zipkin", Enabled: true, Configuration: map[string]any{"endpoint": endpoint}}
}

// spans is a request of a service.
func spans(service string, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	rs.Resource().Attributes().PutStr("telemetry.sdk.name", "opentelemetry")
	rs.Resource().Attributes().PutStr("telemetry.sdk.language", "go")
	rs.Resource().Attributes().PutStr("telemetry.sdk.version", "1.2.3")
	ss := rs.ScopeSpans().AppendEmpty()
	for range n {
		ss.Spans().AppendEmpty().SetName("work")
	}
	return td
}

// send sends a request over OTLP.
func send(t *testing.T, endpoint string, td ptrace.Traces) error {
	t.Helper()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
	return err
}

// put makes a change that has to succeed.
func put(t *testing.T, r *sourcesReceiver, source tracesources.Source, after int64) tracesources.Stored {
	t.Helper()
	stored, err := r.Put(t.Context(), source, after, false)
	require.NoError(t, err)
	require.Equal(t, after+1, stored.Version)
	return stored
}

// refused makes a change that must not succeed.
func refused(t *testing.T, r *sourcesReceiver, source tracesources.Source, after int64) *tracesources.Refusal {
	t.Helper()
	_, err := r.Put(t.Context(), source, after, false)
	require.Error(t, err)
	var refusal *tracesources.Refusal
	require.ErrorAs(t, err, &refusal)
	require.NotEmpty(t, refusal.Detail)
	return refusal
}

// here is how the only source does on this instance.
func here(t *testing.T, r *sourcesReceiver) tracesources.Instance {
	t.Helper()
	list, err := r.Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Len(t, list[0].Instances, 1)
	return list[0].Instances[0]
}
