package tracestoreexporter

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/exporter/tracestoreexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/handback"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// recorder is a backend that records calls and answers the first ones with errors.
type recorder struct {
	tracestore.Backend

	mu     sync.Mutex
	errs   []error
	spans  []int // of each call
	stored chan struct{}
}

func (r *recorder) WriteCall(ctx context.Context, td ptrace.Traces) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, limited := ctx.Deadline(); limited {
		return errors.New("a deadline of the exporter's own")
	}
	if len(r.errs) > 0 {
		err := r.errs[0]
		r.errs = r.errs[1:]
		return err
	}
	r.spans = append(r.spans, td.SpanCount())
	r.stored <- struct{}{}
	return nil
}

// provider is a trace_store extension with one backend.
type provider struct {
	component.StartFunc
	component.ShutdownFunc
	backend tracestore.Backend
	err     error
}

func (p *provider) HasBackend(name string) bool                { return name == "main" }
func (p *provider) BackendNames() []string                     { return []string{"main"} }
func (p *provider) Backend(string) (tracestore.Backend, error) { return p.backend, p.err }

type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

func hostWith(p *provider) host {
	return host{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("trace_store"): p}}
}

func started(t *testing.T, config *Config, backend tracestore.Backend) exporter.Traces {
	t.Helper()
	exp, err := NewFactory().CreateTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), config)
	require.NoError(t, err)
	require.False(t, exp.Capabilities().MutatesData)
	require.NoError(t, exp.Start(t.Context(), hostWith(&provider{backend: backend})))
	t.Cleanup(func() { require.NoError(t, exp.Shutdown(context.WithoutCancel(t.Context()))) })
	return exp
}

func configured() *Config {
	config := createDefaultConfig().(*Config)
	config.Storage = "main"
	return config
}

func call(spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range spans {
		list.AppendEmpty().SetTraceID(pcommon.TraceID{15: 1})
	}
	return td
}

func TestSynchronous(t *testing.T) {
	full := errors.New("disk full")
	backend := &recorder{errs: []error{full, consumererror.NewPermanent(errors.New("too large"))}, stored: make(chan struct{}, 10)}
	exp := started(t, configured(), backend)

	err := exp.ConsumeTraces(t.Context(), call(1))
	require.ErrorIs(t, err, full)
	require.False(t, consumererror.IsPermanent(err))
	require.True(t, consumererror.IsPermanent(exp.ConsumeTraces(t.Context(), call(2))))
	require.NoError(t, exp.ConsumeTraces(t.Context(), call(3)))
	require.NoError(t, exp.ConsumeTraces(t.Context(), call(20_000)))
	require.Equal(t, []int{3, 20_000}, backend.spans)
}

// TestHandsBack: what is stored is given back to who made it, and nothing else is.
func TestHandsBack(t *testing.T) {
	backend := &recorder{errs: []error{errors.New("disk full")}, stored: make(chan struct{}, 10)}
	exp := started(t, configured(), backend)
	td := call(3)
	for _, stored := range []bool{false, true} {
		ctx, offer := handback.New(t.Context(), td)
		require.Equal(t, stored, exp.ConsumeTraces(ctx, td) == nil)
		require.Equal(t, stored, offer.Returned())
	}
}

// TestQueue: calls behind a queue stay as they are and are repeated until the storage takes them.
func TestQueue(t *testing.T) {
	config := configured()
	config.Queue.GetOrInsertDefault().NumConsumers = 1
	config.Retry.Enabled = true
	config.Retry.InitialInterval = time.Millisecond
	require.NoError(t, config.Validate())
	backend := &recorder{errs: []error{errors.New("disk full"), errors.New("disk full")}, stored: make(chan struct{}, 10)}
	exp := started(t, config, backend)
	for _, spans := range []int{1, 9_000, 2} {
		require.NoError(t, exp.ConsumeTraces(t.Context(), call(spans)))
	}
	for range 3 {
		<-backend.stored
	}
	require.Equal(t, []int{1, 9_000, 2}, backend.spans)
}

// TestReadOnly: a storage that is not written here is no place for an exporter.
func TestReadOnly(t *testing.T) {
	exp, err := NewFactory().CreateTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), configured())
	require.NoError(t, err)
	readOnly := struct{ tracestore.Backend }{}
	err = exp.Start(t.Context(), hostWith(&provider{backend: readOnly}))
	require.ErrorContains(t, err, `storage "main" is only read here; a ClickHouse is written by the trace_clickhouse exporter`)
	require.NoError(t, exp.Shutdown(t.Context()))
}

func TestStartErrors(t *testing.T) {
	start := func(storage string, host component.Host) error {
		config := configured()
		config.Storage = storage
		set := exportertest.NewNopSettings(metadata.Type)
		set.ID = component.MustNewIDWithName("trace_store", "second")
		exp, err := NewFactory().CreateTraces(t.Context(), set, config)
		require.NoError(t, err)
		err = exp.Start(t.Context(), host)
		require.NoError(t, exp.Shutdown(t.Context()))
		return err
	}
	require.EqualError(t, start("other", hostWith(&provider{})),
		`exporters::trace_store/second::storage: unknown storage "other"; the trace_store extension has: main`)
	require.EqualError(t, start("main", componenttest.NewNopHost()),
		`exporters::trace_store/second::storage: unknown storage "main": no trace_store extension is enabled; configure one and add it to service::extensions`)
	require.ErrorIs(t, start("main", hostWith(&provider{err: tracestore.ErrClosed})), tracestore.ErrClosed)
}
