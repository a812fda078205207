package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/exporter/tracestoreexporter"
	"github.com/tracewright/tracewright/extension/tracequeryextension"
	"github.com/tracewright/tracewright/extension/tracestoreextension"
	"github.com/tracewright/tracewright/internal/rawspans"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

const (
	retention = 168 * time.Hour
	timeout   = 2 * time.Minute // for what takes a moment on a busy machine
	tenant    = "x-tracewright-tenant"
)

// host hands out the extensions.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// pipeline is trace_assembly → trace_analysis → trace_store and trace_query over it, made by their factories.
type pipeline struct {
	t         testing.TB
	telemetry *componenttest.Telemetry
	entry     consumer.Traces
	url       string
	client    *http.Client
}

// startPipeline starts a pipeline that releases soon, over a store of its own. It is stopped with the test.
func startPipeline(t testing.TB, configure func(*traceassemblyprocessor.Config)) *pipeline {
	t.Helper()
	p := &pipeline{t: t, telemetry: componenttest.NewTelemetry(), client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		require.NoError(t, p.telemetry.Shutdown(context.Background()))
	})
	settings := p.telemetry.NewTelemetrySettings()
	extensions := make(host)

	storeFactory := tracestoreextension.NewFactory()
	storeConfig := &tracestoreextension.Config{Backends: map[string]tracestoreextension.BackendConfig{
		"main": {Pebble: &tracestoreextension.PebbleConfig{Path: t.TempDir(), Retention: tracestoreextension.RetentionConfig{Age: retention}}},
	}}
	storeID := component.NewID(storeFactory.Type())
	store, err := storeFactory.Create(t.Context(), extensionSettings(storeID, settings), storeConfig)
	require.NoError(t, err)
	extensions[storeID] = store

	p.startQuery(extensions, settings)
	start(t, store, extensions)

	exporterFactory := tracestoreexporter.NewFactory()
	exporterConfig := exporterFactory.CreateDefaultConfig().(*tracestoreexporter.Config)
	exporterConfig.Storage = "main"
	exporterSettings := exportertest.NewNopSettings(exporterFactory.Type())
	exporterSettings.TelemetrySettings = settings
	sink, err := exporterFactory.CreateTraces(t.Context(), exporterSettings, exporterConfig)
	require.NoError(t, err)
	start(t, sink, extensions)

	analysis := p.processor(traceanalysisprocessor.NewFactory(), nil, settings, sink)
	start(t, analysis, extensions)
	assemblyFactory := traceassemblyprocessor.NewFactory()
	config := assemblyFactory.CreateDefaultConfig().(*traceassemblyprocessor.Config)
	config.Linger = 20 * time.Millisecond
	config.Quiet.Min, config.Quiet.Max = 50*time.Millisecond, 50*time.Millisecond
	config.ReleaseBatch.MaxDelay = 5 * time.Millisecond
	if configure != nil {
		configure(config)
	}
	require.NoError(t, config.Validate())
	assembly := p.processor(assemblyFactory, config, settings, analysis)
	start(t, assembly, extensions)
	p.entry = assembly
	return p
}

// in is the pipeline as a subtest or one input of a fuzz target uses it.
func (p *pipeline) in(t testing.TB) *pipeline {
	sub := *p
	sub.t = t
	return &sub
}

func extensionSettings(id component.ID, telemetry component.TelemetrySettings) extension.Settings {
	set := extensiontest.NewNopSettings(id.Type())
	set.ID, set.TelemetrySettings = id, telemetry
	return set
}

// startQuery starts trace_query on a free port.
func (p *pipeline) startQuery(extensions host, settings component.TelemetrySettings) {
	factory := tracequeryextension.NewFactory()
	config := factory.CreateDefaultConfig().(*tracequeryextension.Config)
	config.Storage, config.HTTP.NetAddr.Endpoint = "main", "localhost:0"
	core, logs := observer.New(zapcore.InfoLevel)
	settings.Logger = zap.New(core)
	id := component.NewID(factory.Type())
	query, err := factory.Create(p.t.Context(), extensionSettings(id, settings), config)
	require.NoError(p.t, err)
	extensions[id] = query
	start(p.t, query, extensions)
	p.t.Cleanup(func() {
		require.Empty(p.t, logs.FilterLevelExact(zapcore.ErrorLevel).All(), "a query failed or panicked")
	})
	endpoint := logs.FilterMessage("queries are answered").All()[0].ContextMap()["endpoint"]
	p.url = fmt.Sprintf("http://%s", endpoint)
}

func (p *pipeline) processor(
	factory processor.Factory, config component.Config, telemetry component.TelemetrySettings, next consumer.Traces,
) processor.Traces {
	if config == nil {
		config = factory.CreateDefaultConfig()
	}
	set := processortest.NewNopSettings(factory.Type())
	set.TelemetrySettings = telemetry
	made, err := factory.CreateTraces(p.t.Context(), set, config, next)
	require.NoError(p.t, err)
	return made
}

// start starts a component, and stops it with the test: those started last first.
func start(t testing.TB, c component.Component, h component.Host) {
	t.Helper()
	require.NoError(t, c.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
}

// asItCame is what the OTLP receiver makes of a body with raw_spans, as config/tracewright.yaml has it.
func asItCame(body []byte) (ptrace.Traces, error) {
	request := ptraceotlp.NewExportRequest()
	err := request.UnmarshalProto(rawspans.Replace(body))
	return request.Traces(), err
}

// decode is what the OTLP receiver makes of a body.
func decode(body []byte) (ptrace.Traces, error) {
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return ptrace.Traces{}, err
	}
	return request.Traces(), nil
}

// encode is what a sender makes of spans.
func encode(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	return body
}

// withTenant is a request's context; the default tenant is empty.
func withTenant(ctx context.Context, name string) context.Context {
	if name == "" {
		return ctx
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{tenant: {name}})})
}

// send hands a body on as the receiver would.
func (p *pipeline) send(body []byte) {
	p.t.Helper()
	td, err := asItCame(body)
	require.NoError(p.t, err)
	require.NoError(p.t, p.entry.ConsumeTraces(p.t.Context(), td))
}

// settle waits until nothing is held any more: whatever was sent is stored, or was rejected.
func (p *pipeline) settle() {
	p.t.Helper()
	deadline := time.Now().Add(timeout)
	for wait := time.Millisecond; p.count("spans_in_flight") != 0; wait = min(2*wait, 20*time.Millisecond) {
		require.True(p.t, time.Now().Before(deadline), "spans are stuck: %v", p.counters())
		timer := time.NewTimer(wait)
		<-timer.C
	}
}

// counters are what trace_assembly counts and is about what it was sent: by name, or name and value of its attribute.
func (p *pipeline) counters() map[string]int64 {
	p.t.Helper()
	counts := make(map[string]int64)
	for _, name := range []string{
		"spans_received", "spans_rejected", "spans_duplicate", "spans_conflicting", "spans_released", "spans_dropped",
		"requests_refused", "releases", "calls_dropped",
	} {
		m, err := p.telemetry.GetMetric("otelcol_processor_trace_assembly_" + name)
		if err != nil {
			continue // nothing was counted yet
		}
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			label := name
			if point.Attributes.Len() > 0 {
				kv, _ := point.Attributes.Get(0)
				label += "/" + kv.Value.AsString()
			}
			counts[label] += point.Value
		}
	}
	return counts
}

// count is a counter or gauge without an attribute.
func (p *pipeline) count(name string) int64 {
	p.t.Helper()
	m, err := p.telemetry.GetMetric("otelcol_processor_trace_assembly_" + name)
	require.NoError(p.t, err)
	points := m.Data.(metricdata.Sum[int64]).DataPoints
	require.Len(p.t, points, 1)
	return points[0].Value
}

// since is what was counted since before.
func (p *pipeline) since(before map[string]int64) map[string]int64 {
	counts := p.counters()
	for name, n := range before {
		counts[name] -= n
	}
	maps.DeleteFunc(counts, func(_ string, n int64) bool { return n == 0 })
	return counts
}

// ask sends a request to the API.
func (p *pipeline) ask(method, path, tenantName, body string) (status int, content []byte, header http.Header) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader([]byte(body)))
	require.NoError(p.t, err)
	if tenantName != "" {
		request.Header.Set(tenant, tenantName)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := p.client.Do(request)
	require.NoError(p.t, err)
	content, err = io.ReadAll(response.Body)
	require.NoError(p.t, err, "the answer was cut off")
	require.NoError(p.t, response.Body.Close())
	return response.StatusCode, content, response.Header
}

// get asks for JSON that is there.
func (p *pipeline) get(path, tenantName string, answer any) []byte {
	p.t.Helper()
	status, content, _ := p.ask(http.MethodGet, path, tenantName, "")
	require.Equal(p.t, http.StatusOK, status, "%.500s", content)
	require.NoError(p.t, json.Unmarshal(content, answer))
	return content
}

// search asks for all traces there are, page by page, newest first. Those that began before retention stand at its edge.
func (p *pipeline) search(tenantName string, conditions map[string]any) []summary {
	p.t.Helper()
	asked := map[string]any{"start": "-169h", "end": time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339), "limit": 1000}
	maps.Copy(asked, conditions)
	var all []summary
	for {
		body, err := json.Marshal(asked)
		require.NoError(p.t, err)
		status, content, _ := p.ask(http.MethodPost, "/traces/search", tenantName, string(body))
		require.Equal(p.t, http.StatusOK, status, "%.500s", content)
		var page struct {
			Traces     []summary `json:"traces"`
			NextCursor string    `json:"next_cursor"`
			Truncated  bool      `json:"truncated"`
		}
		require.NoError(p.t, json.Unmarshal(content, &page))
		require.False(p.t, page.Truncated)
		all = append(all, page.Traces...)
		if page.NextCursor == "" {
			return all
		}
		asked["cursor"] = page.NextCursor
	}
}
