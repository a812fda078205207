package tracestoreexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracewright/tracewright/exporter/tracestoreexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/callexport"
)

// NewFactory returns the factory of the trace_store exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	set.Logger = callexport.Quiet(set.Logger)
	e := &storeExporter{key: "exporters::" + set.ID.String() + "::storage", storage: config.Storage}
	return exporterhelper.NewTraces(ctx, set, cfg, e.consume,
		exporterhelper.WithStart(e.start),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The storage itself says when it cannot write. Giving up on a slow disk would only make the call come again.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithQueue(config.Queue),
		exporterhelper.WithRetry(config.Retry),
	)
}
