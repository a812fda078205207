package tracesourcesreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

// metrics is the only place that touches instruments.
type metrics struct{ builder *metadata.TelemetryBuilder }

func newMetrics(set component.TelemetrySettings) (*metrics, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &metrics{builder}, nil
}

// observe has sources counted by their health until shutdown.
func (m *metrics) observe(count func() map[tracesources.Health]int64) error {
	return m.builder.RegisterReceiverTraceSourcesSourcesCallback(func(_ context.Context, o metric.Int64Observer) error {
		counts := count()
		for _, health := range []tracesources.Health{tracesources.Running, tracesources.Degraded, tracesources.Failed, tracesources.Paused} {
			o.Observe(counts[health], metric.WithAttributes(attribute.String("health", string(health))))
		}
		return nil
	})
}

func (m *metrics) shutdown() { m.builder.Shutdown() }

func (m *metrics) changed(result string) {
	m.builder.ReceiverTraceSourcesChanges.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", result)))
}

func (m *metrics) pollFailed() {
	m.builder.ReceiverTraceSourcesPollFailures.Add(context.Background(), 1)
}

func (m *metrics) refused(ctx context.Context, reason tracesources.Reason, spans int) {
	m.builder.ReceiverTraceSourcesSpansRefused.Add(ctx, int64(spans), metric.WithAttributes(attribute.String("reason", string(reason))))
}
