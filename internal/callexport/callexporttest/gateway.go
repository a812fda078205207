// Package callexporttest runs exporters of calls for their tests.
package callexporttest

import (
	"context"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tracewright/tracewright/internal/callexport"
)

var storageID = component.MustNewID("file_storage")

// KeepQueue makes a queue one that is on disk, with so many consumers.
func KeepQueue(queue *callexport.Queue, consumers int) {
	config := queue.GetOrInsertDefault()
	config.StorageID, config.NumConsumers = &storageID, consumers
}

// Gateway is an exporter that runs.
type Gateway struct {
	exporter.Traces
	host      *host
	telemetry *componenttest.Telemetry
	storage   extension.Extension
	stopped   bool
}

// Start starts an exporter, whose queue is in the folder if it has one. It is stopped with the test.
func Start(t *testing.T, factory exporter.Factory, config component.Config, folder string) *Gateway {
	t.Helper()
	g := &Gateway{host: &host{Host: componenttest.NewNopHost()}, telemetry: componenttest.NewTelemetry()}
	if folder != "" {
		g.storage = startStorage(t, folder)
		g.host.extensions = map[component.ID]component.Component{storageID: g.storage}
	}
	set := exportertest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type()) // what a queue is found by again
	set.TelemetrySettings = g.telemetry.NewTelemetrySettings()
	traces, err := factory.CreateTraces(t.Context(), set, config)
	require.NoError(t, err)
	g.Traces = traces
	require.NoError(t, traces.Start(t.Context(), g.host), "the server may be in any state")
	t.Cleanup(func() { g.Stop(t) })
	return g
}

func startStorage(t *testing.T, folder string) extension.Extension {
	t.Helper()
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory, config.FSync = folder, true
	storage, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, storage.Start(t.Context(), componenttest.NewNopHost()))
	return storage
}

// Stop stops it, once.
func (g *Gateway) Stop(t *testing.T) {
	t.Helper()
	if g.stopped {
		return
	}
	g.stopped = true
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, g.Shutdown(ctx))
	if g.storage != nil {
		require.NoError(t, g.storage.Shutdown(ctx))
	}
	require.NoError(t, g.telemetry.Shutdown(ctx))
}

// Consume hands it a call, which has to be taken.
func (g *Gateway) Consume(t *testing.T, td ptrace.Traces) {
	t.Helper()
	require.NoError(t, g.ConsumeTraces(t.Context(), td))
}

// Failure is what it last reported; nil while all is well.
func (g *Gateway) Failure() error {
	g.host.mu.Lock()
	defer g.host.mu.Unlock()
	return g.host.last
}

// Number is the value of one of its metrics, by the name behind otelcol_exporter_; 0 before it has one.
func (g *Gateway) Number(t *testing.T, name string) int64 {
	t.Helper()
	m, err := g.telemetry.GetMetric("otelcol_exporter_" + name)
	if err != nil {
		return 0
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		return data.DataPoints[0].Value
	case metricdata.Gauge[int64]:
		return data.DataPoints[0].Value
	}
	t.Fatalf("%s is a %T", name, m.Data)
	return 0
}

// host is a collector that may have a storage, and remembers what is reported.
type host struct {
	component.Host
	extensions map[component.ID]component.Component

	mu   sync.Mutex // guards last
	last error      // nil while all is well
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// Report implements componentstatus.Reporter.
func (h *host) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = event.Err()
}
