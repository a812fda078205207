package tracequeryextension

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadatatest"
)

// TestCallersTraceIsContinued: the server's span is a child of the caller's, whatever propagators the process has, and is sampled as it.
func TestCallersTraceIsContinued(t *testing.T) {
	for name, test := range map[string]struct {
		header, traceID, parent string
	}{
		"continued":  {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"},
		"no context": {"", "", "0000000000000000"},
		"nonsense":   {"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", "0000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			telemetry := componenttest.NewTelemetry()
			defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
			set := testSettings()
			set.TelemetrySettings = telemetry.NewTelemetrySettings()
			ext, url := startWith(t, newHost(&testStorage{opened: true}), set, nil)
			r := request(t, "POST", url+"/traces/search", "{}")
			r.Header.Set("Traceparent", test.header)
			r.Header.Set("Tracestate", "vendor=1")
			status, _ := send(t, r)
			require.Equal(t, http.StatusOK, status)
			require.NoError(t, ext.Shutdown(t.Context()))
			spans := telemetry.SpanRecorder.Ended()
			require.Len(t, spans, 1)
			require.Equal(t, trace.SpanKindServer, spans[0].SpanKind())
			require.Equal(t, "POST /traces/search", spans[0].Name())
			require.Equal(t, test.parent, spans[0].Parent().SpanID().String())
			if test.traceID != "" {
				require.Equal(t, test.traceID, spans[0].SpanContext().TraceID().String())
				require.Equal(t, "vendor=1", spans[0].SpanContext().TraceState().String())
			}
		})
	}
}

// TestOwnMetrics: time by operation and status, what was refused and why, and which components fail.
func TestOwnMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := testSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	ext, url := startWith(t, newHost(&testStorage{opened: true}), set, func(c *Config) {
		c.Auth = &authID
		c.Limits.RatePerClient, c.Limits.BurstPerClient = 1e-3, 2
	})
	ask := func(path, token, host string) int {
		r := request(t, "GET", url+path, "")
		r.Header.Set("Authorization", token)
		r.Host = host
		status, _ := send(t, r)
		return status
	}
	require.Equal(t, 401, ask("/traces/"+traceID, "", ""))
	require.Equal(t, 403, ask("/traces/"+traceID, "Bearer right", "evil.example"))
	require.Equal(t, 404, ask("/traces/"+traceID, "Bearer right", ""))
	require.Equal(t, 404, ask("/nowhere", "Bearer right", ""))
	require.Equal(t, 429, ask("/traces/"+traceID, "Bearer right", ""))
	require.Equal(t, 401, ask("/traces/"+traceID, "Bearer wrong", ""))

	ignore := metricdatatest.IgnoreTimestamp()
	reason := func(reason string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("reason", reason))}
	}
	metadatatest.AssertEqualExtensionTraceQueryRefusedRequests(t, telemetry,
		[]metricdata.DataPoint[int64]{reason("unauthenticated", 2), reason("host", 1), reason("rate", 1)}, ignore, metricdatatest.IgnoreExemplars())
	counts := map[string]uint64{}
	durations, err := telemetry.GetMetric("otelcol_extension_trace_query_duration")
	require.NoError(t, err)
	for _, point := range durations.Data.(metricdata.Histogram[float64]).DataPoints {
		counts[point.Attributes.Encoded(attribute.DefaultEncoder())] = point.Count
		require.Positive(t, point.Sum)
	}
	require.Equal(t, map[string]uint64{
		"operation=getTrace,status=401": 2, "operation=getTrace,status=403": 1, "operation=getTrace,status=404": 1,
		"operation=getTrace,status=429": 1, "operation=none,status=404": 1,
	}, counts)

	exporter := componentstatus.NewInstanceID(component.MustNewID("clickhouse"), component.KindExporter)
	ext.ComponentStatusChanged(componentstatus.NewInstanceID(storageID, component.KindExtension), componentstatus.NewEvent(componentstatus.StatusOK))
	for _, test := range []struct {
		event *componentstatus.Event
		want  int64
	}{
		{componentstatus.NewEvent(componentstatus.StatusOK), 0},
		{componentstatus.NewRecoverableErrorEvent(errors.New("away")), 1},
		{componentstatus.NewEvent(componentstatus.StatusOK), 0},
	} {
		ext.ComponentStatusChanged(exporter, test.event)
		metadatatest.AssertEqualExtensionTraceQueryComponentFailing(t, telemetry, []metricdata.DataPoint[int64]{
			{Value: test.want, Attributes: attribute.NewSet(attribute.String("component", "clickhouse"), attribute.String("kind", "exporter"))},
			{Attributes: attribute.NewSet(attribute.String("component", "trace_store"), attribute.String("kind", "extension"))},
		}, ignore)
	}
	require.NoError(t, ext.Shutdown(t.Context()))
}

// TestReadiness: from when the receivers have started until they stop. The probes are open where everything else wants a token.
func TestReadiness(t *testing.T) {
	ext, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.Auth = &authID })
	probe := func(path string) int {
		status, response, _ := exchange(t, request(t, "GET", url+path, ""))
		require.NotContains(t, response, "components")
		return status
	}
	require.Equal(t, 503, probe("/readyz"))
	require.NoError(t, ext.Ready())
	require.Equal(t, 200, probe("/readyz"))
	require.NoError(t, ext.NotReady())
	require.Equal(t, 503, probe("/readyz"))
	require.Equal(t, 200, probe("/healthz"))
}

// TestSafeHeadersOnEveryAnswer: also on those of the server around the handler; an operator's own come first.
func TestSafeHeadersOnEveryAnswer(t *testing.T) {
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.HTTP.ResponseHeaders.Set("X-Frame-Options", "SAMEORIGIN") })
	for _, r := range []*http.Request{
		request(t, "GET", url+"/traces/"+traceID, ""), request(t, "POST", url+"/traces/search", "{}"), request(t, "GET", url+"/", ""),
		request(t, "GET", url+"/healthz", ""), request(t, "PUT", url+"/healthz", ""), undecodable(t, url+"/traces/search"),
	} {
		response, err := new(http.Transport).RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		} {
			require.Equal(t, []string{want}, response.Header.Values(header), "%s: %s", r.URL, header)
		}
	}
}

// undecodable is a request that the server around the handler refuses.
func undecodable(t *testing.T, url string) *http.Request {
	t.Helper()
	r := request(t, "POST", url, "{}")
	r.Header.Set("Content-Encoding", "rot13")
	return r
}
