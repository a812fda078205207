package tracestoreextension

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/extension/tracestoreextension/internal/metadata"
	"github.com/tracewright/tracewright/extension/tracestoreextension/internal/metadatatest"
	"github.com/tracewright/tracewright/internal/componenthealth"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

func settings(telemetry component.TelemetrySettings) extension.Settings {
	return extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: telemetry}
}

func oneBackend(path string) *Config {
	return &Config{Backends: map[string]BackendConfig{"main": {Pebble: &PebbleConfig{Path: path, Retention: RetentionConfig{Age: time.Hour}}}}}
}

func oneTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{15: 1})
	span.SetSpanID(pcommon.SpanID{7: 1})
	return td
}

func TestProvider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "by", "start")
	config := oneBackend(path)
	config.Backends["archive"] = BackendConfig{Pebble: &PebbleConfig{Path: t.TempDir()}}
	ext := newExtension(config, settings(componenttest.NewNopTelemetrySettings()))
	require.True(t, ext.HasBackend("main"))
	require.False(t, ext.HasBackend("other"))
	require.Equal(t, []string{"archive", "main"}, ext.BackendNames())
	_, err := ext.Backend("main")
	require.ErrorIs(t, err, tracestore.ErrClosed)
	_, err = ext.Backend("other")
	require.EqualError(t, err, `unknown storage "other"`)

	for range 2 { // and what was written is there after a restart
		require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
		backend, err := ext.Backend("main")
		require.NoError(t, err)
		writer := backend.(tracestore.Writer)
		require.NoError(t, writer.WriteCall(t.Context(), oneTrace()))
		n := 0
		for _, err := range backend.Trace(t.Context(), "", pcommon.TraceID{15: 1}) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 1, n)
		require.NoError(t, ext.Shutdown(t.Context()))
		require.NoError(t, ext.Shutdown(t.Context()))
		require.ErrorIs(t, writer.WriteCall(t.Context(), oneTrace()), tracestore.ErrClosed)
	}
}

// TestServiceMaps: storages of traces have a map in their rollups; a map alone is no storage of traces. Neo4j may be down.
func TestServiceMaps(t *testing.T) {
	config := oneBackend(t.TempDir())
	neo4j := neo4jmap.NewDefaultClientConfig()
	neo4j.URI, neo4j.ConnectTimeout = "bolt://127.0.0.1:1", 100*time.Millisecond
	config.Backends["graph"] = BackendConfig{Neo4j: &neo4j}
	ext := newExtension(config, settings(componenttest.NewNopTelemetrySettings()))
	require.Equal(t, []string{"main"}, ext.BackendNames())
	require.False(t, ext.HasBackend("graph"))
	require.Equal(t, []string{"graph", "main"}, ext.ServiceMapNames())
	_, err := ext.ServiceMap("graph")
	require.ErrorIs(t, err, servicemap.ErrClosed)
	_, err = ext.ServiceMap("other")
	require.EqualError(t, err, `unknown service map "other"`)

	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	_, err = ext.Backend("graph")
	require.EqualError(t, err, `unknown storage "graph"`)
	window := &servicemap.Window{Start: time.Unix(0, 0), End: time.Now().Add(time.Hour)}
	rollups, err := ext.ServiceMap("main")
	require.NoError(t, err)
	backend, err := ext.Backend("main")
	require.NoError(t, err)
	require.NoError(t, backend.(tracestore.Writer).WriteCall(t.Context(), oneTrace()))
	m, err := rollups.Map(t.Context(), "", window)
	require.NoError(t, err)
	require.Equal(t, []servicemap.Service{{Name: "unknown_service"}}, m.Services)
	graph, err := ext.ServiceMap("graph")
	require.NoError(t, err)
	_, err = graph.Map(t.Context(), "", window)
	require.ErrorIs(t, err, servicemap.ErrUnavailable)
	require.NoError(t, ext.Shutdown(t.Context()))
	_, err = ext.ServiceMap("graph")
	require.ErrorIs(t, err, servicemap.ErrClosed)
}

func TestStartErrors(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	taken := filepath.Join(folder, "taken")
	first := newExtension(oneBackend(taken), settings(componenttest.NewNopTelemetrySettings()))
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, first.Shutdown(t.Context())) }()

	for path, want := range map[string]string{
		file:  `backends::main::pebble::path: "` + file + `" is a file, not a folder; name a folder`,
		taken: `backends::main::pebble::path: folder "` + taken + `" is in use`,
	} {
		ext := newExtension(oneBackend(path), settings(componenttest.NewNopTelemetrySettings()))
		err := ext.Start(t.Context(), componenttest.NewNopHost())
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.NoError(t, ext.Shutdown(t.Context()))
	}

	// The backends that were opened before the one that fails are closed again.
	config := oneBackend(file)
	config.Backends["a"] = BackendConfig{Pebble: &PebbleConfig{Path: filepath.Join(folder, "a")}}
	require.Error(t, newExtension(config, settings(componenttest.NewNopTelemetrySettings())).Start(t.Context(), componenttest.NewNopHost()))
	again := newExtension(oneBackend(filepath.Join(folder, "a")), settings(componenttest.NewNopTelemetrySettings()))
	require.NoError(t, again.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, again.Shutdown(t.Context()))
}

// TestShutdownDeadline: Shutdown returns at its deadline though a reader is not done.
func TestShutdownDeadline(t *testing.T) {
	ext := newExtension(oneBackend(t.TempDir()), settings(componenttest.NewNopTelemetrySettings()))
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	backend, err := ext.Backend("main")
	require.NoError(t, err)
	require.NoError(t, backend.(tracestore.Writer).WriteCall(t.Context(), oneTrace()))
	for _, err := range backend.Trace(t.Context(), "", pcommon.TraceID{15: 1}) {
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, ext.Shutdown(ctx), context.DeadlineExceeded)
		cancel()
	}
	ext.closing.Wait() // now it can end
}

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	ext := newExtension(oneBackend(t.TempDir()), settings(telemetry.NewTelemetrySettings()))
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	backend, err := ext.Backend("main")
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, backend.(tracestore.Writer).WriteCall(t.Context(), oneTrace()))
	}
	one := []metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("backend", "main"))}}
	two := []metricdata.DataPoint[int64]{{Value: 2, Attributes: attribute.NewSet(attribute.String("backend", "main"))}}
	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualExtensionTraceStoreCalls(t, telemetry, one, ignore)
	metadatatest.AssertEqualExtensionTraceStoreRepeatedCalls(t, telemetry, two, ignore)
	metadatatest.AssertEqualExtensionTraceStoreReleases(t, telemetry, one, ignore)
	metadatatest.AssertEqualExtensionTraceStoreSpans(t, telemetry, one, ignore)
	metadatatest.AssertEqualExtensionTraceStoreWriteFailing(t, telemetry,
		[]metricdata.DataPoint[int64]{{Attributes: attribute.NewSet(attribute.String("backend", "main"))}}, ignore)
	disk, err := telemetry.GetMetric("otelcol_extension_trace_store_disk_usage")
	require.NoError(t, err)
	require.Positive(t, disk.Data.(metricdata.Gauge[int64]).DataPoints[0].Value)
	require.NoError(t, ext.Shutdown(t.Context()))
	require.NoError(t, telemetry.Shutdown(t.Context()))
}

// statusHost records what a component reports.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func TestHealth(t *testing.T) {
	host := &statusHost{Host: componenttest.NewNopHost()}
	h := &health{host: host, failing: make(map[string]error)}
	h.report("main", os.ErrPermission)
	h.report("archive", os.ErrDeadlineExceeded)
	require.EqualValues(t, 1, h.failures("main"))
	h.report("main", nil)
	require.EqualValues(t, 0, h.failures("main"))
	require.EqualValues(t, 1, h.failures("archive"))
	h.report("archive", nil)
	var got []componentstatus.Status
	for _, event := range host.events {
		got = append(got, event.Status())
	}
	failing := componentstatus.StatusRecoverableError
	require.Equal(t, []componentstatus.Status{failing, failing, failing, componentstatus.StatusOK}, got)
	require.EqualError(t, host.events[0].Err(), "backends::main: permission denied")
	require.ErrorIs(t, host.events[2].Err(), os.ErrDeadlineExceeded)
	require.NotErrorIs(t, host.events[2].Err(), os.ErrPermission)
}

// A store that writes no more asks for a restart, and nothing is reported after that.
func TestHealthOfAFailedStore(t *testing.T) {
	host := &statusHost{Host: componenttest.NewNopHost()}
	h := &health{host: host, failing: make(map[string]error)}
	h.report("archive", os.ErrPermission)
	require.False(t, componenthealth.RestartHelps(host.events[0]))
	h.report("main", fmt.Errorf("%w: disk broken", pebblestore.ErrFailed))
	require.Equal(t, componentstatus.StatusPermanentError, host.events[1].Status())
	require.True(t, componenthealth.RestartHelps(host.events[1]))
	require.ErrorIs(t, host.events[1].Err(), pebblestore.ErrFailed)
	require.ErrorIs(t, host.events[1].Err(), os.ErrPermission)
	h.report("archive", nil)
	require.Len(t, host.events, 2)
	require.EqualValues(t, 1, h.failures("main"))
	require.EqualValues(t, 0, h.failures("archive"))
}
