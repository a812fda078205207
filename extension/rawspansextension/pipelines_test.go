package rawspansextension

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.yaml.in/yaml/v3"
)

const receivers = `
receivers:
  otlp: {protocols: {grpc: {middlewares: [{id: other}, {id: raw_spans}]}, http: {endpoint: "localhost:1"}}}
  otlp/http: {protocols: {http: {middlewares: [{id: raw_spans}]}}}
  otlp/plain: {protocols: {grpc: {middlewares: [{id: raw_spans/2}]}, http: null}}
  otlp/paths: {protocols: {http: {middlewares: [{id: raw_spans}], traces_url_path: /spans, metrics_url_path: /of/traces, logs_url_path: /logs}}}
  otlp/good: {protocols: {http: {middlewares: [{id: raw_spans}], traces_url_path: /tenant/v1/traces, metrics_url_path: /tenant/metrics}}}
  jaeger: null
processors: {memory_limiter: {check_interval: 1s}}
service:
  pipelines:
`

func TestPipelines(t *testing.T) {
	for name, test := range map[string]struct {
		pipelines string
		faults    []string
	}{
		"right": {`
    traces: {receivers: [otlp, otlp/http, jaeger], processors: [memory_limiter, trace_assembly/a, batch], exporters: [nop]}
    traces/two: {receivers: [otlp], processors: [trace_assembly]}
    traces/plain: {receivers: [otlp/plain, jaeger]}
    metrics: {receivers: [otlp]}`, nil},
		"no processor": {`
    traces: {receivers: [jaeger, otlp]}`, []string{"traces: receiver otlp has"}},
		"another one first": {`
    traces/x: {receivers: [otlp/http], processors: [memory_limiter, attributes, trace_assembly]}`, []string{"traces/x: receiver otlp/http"}},
		"a second pipeline": {`
    traces: {receivers: [otlp], processors: [trace_assembly]}
    traces/copy: {receivers: [otlp, otlp/http], processors: [memory_limiter, batch]}`, []string{"traces/copy: receiver otlp ", "traces/copy: receiver otlp/http"}},
	} {
		t.Run(name, func(t *testing.T) {
			var values map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(receivers+test.pipelines), &values))
			extension := &rawSpans{id: component.MustNewID("raw_spans")}
			delete(values["receivers"].(map[string]any), "otlp/paths") // has a test of its own
			err := extension.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(confmap.NewFromStringMap(values), nil))
			if len(test.faults) == 0 {
				require.NoError(t, err)
			}
			for _, fault := range test.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}

// Requests with metrics must not be taken for traces, nor traces be passed over.
func TestPaths(t *testing.T) {
	var values map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(receivers+"    traces: {receivers: [jaeger]}"), &values))
	extension := &rawSpans{id: component.MustNewID("raw_spans")}
	err := extension.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(confmap.NewFromStringMap(values), nil))
	require.ErrorContains(t, err, `receivers::otlp/paths::protocols::http::traces_url_path is "/spans"`)
	require.ErrorContains(t, err, `receivers::otlp/paths::protocols::http::metrics_url_path is "/of/traces"`)
	require.NotContains(t, err.Error(), "otlp/good")
	require.NotContains(t, err.Error(), "logs_url_path")
}
