package servicemapexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracewright/tracewright/exporter/servicemapexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/callexport"
)

// NewFactory returns the factory of the service_map exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	e := &mapExporter{config: config, telemetry: set.TelemetrySettings}
	set.Logger = callexport.Quiet(set.Logger)
	traces, err := exporterhelper.NewTraces(ctx, set, cfg, e.consume,
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		exporterhelper.WithTimeout(config.Timeout),
		exporterhelper.WithQueue(config.Queue),
		exporterhelper.WithRetry(config.Retry),
	)
	if err != nil {
		return nil, err
	}
	return callexport.Once(traces), nil
}
