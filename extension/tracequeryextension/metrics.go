package tracequeryextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/health"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
)

// newTelemetry makes the extension's metrics; the components' health is read whenever metrics are collected.
func newTelemetry(set component.TelemetrySettings, watch *health.Watch) (*metadata.TelemetryBuilder, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	err = builder.RegisterExtensionTraceQueryComponentFailingCallback(func(_ context.Context, o metric.Int64Observer) error {
		observeHealth(o, watch.Report())
		return nil
	})
	if err != nil {
		builder.Shutdown()
		return nil, err
	}
	return builder, nil
}

// observeHealth says of each component whether any of its instances fails.
func observeHealth(o metric.Int64Observer, report health.Report) {
	type key struct{ component, kind string }
	failing := make(map[key]int64)
	for _, c := range report.Components {
		at := key{c.ID.String(), c.Kind}
		failing[at] += 0
		if c.Failing() {
			failing[at] = 1
		}
	}
	for at, value := range failing {
		o.Observe(value, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("component", at.component), attribute.String("kind", at.kind))))
	}
}
