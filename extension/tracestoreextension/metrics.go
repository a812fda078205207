package tracestoreextension

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/extension/tracestoreextension/internal/metadata"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

// observer reports what the stores count whenever metrics are collected.
type observer struct {
	builder      *metadata.TelemetryBuilder
	registration metric.Registration
}

// observe starts reporting. One callback for all metrics: asking a store is not for free.
func (e *storeExtension) observe(stores map[string]store, health *health) (*observer, error) {
	b, err := metadata.NewTelemetryBuilder(e.telemetry)
	if err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	registration, err := metadata.Meter(e.telemetry).RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for name, store := range stores {
			backend := metric.WithAttributeSet(attribute.NewSet(attribute.String("backend", name)))
			if embedded, ok := store.(*pebblestore.Store); ok {
				observeStats(o, b, embedded.Stats(), backend)
			}
			o.ObserveInt64(b.ExtensionTraceStoreWriteFailing, health.failures(name), backend)
		}
		return nil
	}, b.ExtensionTraceStoreCalls, b.ExtensionTraceStoreRepeatedCalls, b.ExtensionTraceStoreReleases,
		b.ExtensionTraceStoreJoinedReleases, b.ExtensionTraceStoreSpans, b.ExtensionTraceStoreSpanBytes,
		b.ExtensionTraceStoreCorruptValues, b.ExtensionTraceStoreTruncatedSearches, b.ExtensionTraceStoreDroppedPartitions, b.ExtensionTraceStoreThinnedSpans, b.ExtensionTraceStoreRewrittenBlocks,
		b.ExtensionTraceStoreDiskUsage, b.ExtensionTraceStoreCompactionDebt,
		b.ExtensionTraceStoreWriteFailing)
	if err != nil {
		b.Shutdown()
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &observer{b, registration}, nil
}

func observeStats(o metric.Observer, b *metadata.TelemetryBuilder, stats pebblestore.Stats, backend metric.MeasurementOption) {
	for _, m := range []struct {
		metric metric.Int64Observable
		value  int64
	}{
		{b.ExtensionTraceStoreCalls, stats.Calls},
		{b.ExtensionTraceStoreRepeatedCalls, stats.RepeatedCalls},
		{b.ExtensionTraceStoreReleases, stats.Releases},
		{b.ExtensionTraceStoreJoinedReleases, stats.JoinedReleases},
		{b.ExtensionTraceStoreSpans, stats.Spans},
		{b.ExtensionTraceStoreSpanBytes, stats.SpanBytes},
		{b.ExtensionTraceStoreCorruptValues, stats.CorruptValues},
		{b.ExtensionTraceStoreTruncatedSearches, stats.TruncatedSearches},
		{b.ExtensionTraceStoreDroppedPartitions, stats.DroppedPartitions},
		{b.ExtensionTraceStoreThinnedSpans, stats.ThinnedSpans},
		{b.ExtensionTraceStoreRewrittenBlocks, stats.RewrittenBlocks},
		{b.ExtensionTraceStoreDiskUsage, stats.DiskBytes},
		{b.ExtensionTraceStoreCompactionDebt, stats.CompactionDebtBytes},
	} {
		o.ObserveInt64(m.metric, m.value, backend)
	}
}

// stop ends reporting.
func (o *observer) stop() error {
	err := o.registration.Unregister()
	o.builder.Shutdown()
	return err
}
