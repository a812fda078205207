package tracesourcesreceiver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadatatest"
)

func point(key, value string, n int64) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String(key, value))}
}

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	store := &failingStore{Store: newStore()}
	r := startWith(t, set, newTestHost(store), new(consumertest.TracesSink), nil)
	at := freePort(t)
	source := otlp("shop", at)
	source.Limits.SpansPerSecond = 1
	put(t, r, source, 0)
	paused := otlp("paused", at)
	paused.Enabled = false
	put(t, r, paused, 0)
	require.NotNil(t, refused(t, r, otlp("shop", at), 0))
	store.err = errRead
	_, err := r.Put(t.Context(), otlp("other", freePort(t)), 0, false)
	require.ErrorIs(t, err, errRead)
	r.poll(t.Context())
	require.NoError(t, send(t, at, spans("cart", 9)))
	require.Error(t, send(t, at, spans("cart", 4)))

	same := []metricdatatest.Option{metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars()}
	metadatatest.AssertEqualReceiverTraceSourcesSources(t, telemetry, []metricdata.DataPoint[int64]{
		point("health", "running", 1), point("health", "degraded", 0), point("health", "failed", 0), point("health", "paused", 1),
	}, same...)
	metadatatest.AssertEqualReceiverTraceSourcesChanges(t, telemetry, []metricdata.DataPoint[int64]{
		point("result", "done", 2), point("result", "refused", 1), point("result", "failed", 1),
	}, same...)
	metadatatest.AssertEqualReceiverTraceSourcesSpansRefused(t, telemetry, []metricdata.DataPoint[int64]{point("reason", "limit", 4)}, same...)
	metadatatest.AssertEqualReceiverTraceSourcesPollFailures(t, telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, same...)
}
