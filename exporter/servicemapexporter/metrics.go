package servicemapexporter

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/exporter/servicemapexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
)

// observer reports what the writer counts whenever metrics are collected.
type observer struct {
	builder      *metadata.TelemetryBuilder
	registration metric.Registration
}

func observe(telemetry component.TelemetrySettings, writer *neo4jmap.Writer) (*observer, error) {
	b, err := metadata.NewTelemetryBuilder(telemetry)
	if err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	registration, err := metadata.Meter(telemetry).RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := writer.Stats()
		o.ObserveInt64(b.ExporterServiceMapCalls, stats.Calls)
		o.ObserveInt64(b.ExporterServiceMapRepeatedCalls, stats.RepeatedCalls)
		o.ObserveInt64(b.ExporterServiceMapUpdates, stats.Updates)
		o.ObserveInt64(b.ExporterServiceMapOtherPeers, stats.OtherPeers)
		return nil
	}, b.ExporterServiceMapCalls, b.ExporterServiceMapRepeatedCalls, b.ExporterServiceMapUpdates, b.ExporterServiceMapOtherPeers)
	if err != nil {
		b.Shutdown()
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &observer{b, registration}, nil
}

func (o *observer) stop() error {
	err := o.registration.Unregister()
	o.builder.Shutdown()
	return err
}
