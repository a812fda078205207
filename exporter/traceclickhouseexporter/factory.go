package traceclickhouseexporter

import (
	"context"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/exporter/traceclickhouseexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/callexport"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
)

// NewFactory returns the factory of the trace_clickhouse exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	e, err := newExporter(ctx, set, config)
	if err != nil {
		return nil, err
	}
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

// newExporter makes the exporters that insert, one for each table.
func newExporter(ctx context.Context, set exporter.Settings, config *Config) (*traceExporter, error) {
	schema, err := config.schema(ctx)
	if err != nil {
		return nil, err
	}
	e := &traceExporter{config: config, telemetry: set.TelemetrySettings, schema: schema, tried: map[callID]struct{}{}}
	tables := []string{clickhousestore.Table}
	if config.Variant != clickhousestore.VariantReplicated { // replicated tables drop what they have
		tables = append(tables, clickhousestore.RepeatedTable, clickhousestore.MissingTable)
	}
	factory := clickhouseexporter.NewFactory()
	for _, table := range tables {
		inner := set
		inner.ID = component.NewIDWithName(factory.Type(), table)
		inner.Logger = zap.NewNop() // what it says is in its errors
		inner.MeterProvider, inner.TracerProvider = noop.NewMeterProvider(), tracenoop.NewTracerProvider()
		traces, err := factory.CreateTraces(ctx, inner, config.inserting(table))
		if err != nil {
			return nil, fmt.Errorf("insert into %s: %w", table, err)
		}
		e.tables = append(e.tables, traces)
	}
	return e, nil
}
