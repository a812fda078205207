package tracesummaryconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"github.com/tracewright/tracewright/connector/tracesummaryconnector/internal/metadata"
	"github.com/tracewright/tracewright/internal/callexport"
)

// NewFactory makes the factory of tracesummary.
func NewFactory() connector.Factory {
	return connector.NewFactory(metadata.Type, createDefaultConfig,
		connector.WithTracesToLogs(createTracesToLogs, metadata.TracesToLogsStability),
		connector.WithTracesToMetrics(createTracesToMetrics, metadata.TracesToMetricsStability))
}

func createDefaultConfig() component.Config {
	return &Config{Metrics: MetricsConfig{
		FlushInterval: defaultFlushInterval,
		Temporality:   TemporalityDelta,
		MaxSeries:     defaultMaxSeries,
		MaxBuckets:    defaultMaxBuckets,
	}}
}

func createTracesToLogs(_ context.Context, set connector.Settings, _ component.Config, next consumer.Logs) (connector.Traces, error) {
	source, err := newSource(set)
	if err != nil {
		return nil, err
	}
	return &logsConnector{source: source, next: next}, nil
}

func createTracesToMetrics(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (
	connector.Traces, error,
) {
	source, err := newSource(set)
	if err != nil {
		return nil, err
	}
	// A pipeline's call comes again and again while one of its consumers refuses it, the connector for logs, say.
	return callexport.Once(newMetricsConnector(source, cfg.(*Config).Metrics, next)), nil
}
