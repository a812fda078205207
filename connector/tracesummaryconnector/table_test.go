package tracesummaryconnector

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/connector/tracesummaryconnector/internal/metadatatest"
	"github.com/tracewright/tracewright/internal/conventions"
)

// What has no series of its own is counted without its attributes, for its tenant and then for all: nothing is lost, and the table is bounded
// whatever names and tenants come.
func TestOverflow(t *testing.T) {
	set, telemetry := settings(t)
	sink := new(consumertest.MetricsSink)
	c := startMetrics(t, set, sink, func(m *MetricsConfig) { m.MaxSeries = 10 })
	const traces = 200
	for i := range traces {
		text := fmt.Sprintf("shop 1 - server 100 150 name=entry%c%c", 'a'+i%26, 'a'+i/26)
		require.NoError(t, c.ConsumeTraces(t.Context(), call(t, text, released{
			outcome: "complete", version: 1, trace: byte(i + 1), tenant: fmt.Sprintf("tenant%d", i),
		})))
	}
	require.NoError(t, c.Shutdown(t.Context()))
	md := sink.AllMetrics()[0]
	// 10 with attributes: of tenants 0 and 1 all four, of tenant 2 releases and spans. 10 without: of tenants 2 to 4 two, four and four. 4 for all.
	require.Equal(t, 24, md.DataPointCount())
	spans, pathTime, count := int64(0), 0.0, uint64(0)
	for i, rm := range md.ResourceMetrics().All() {
		_, all := rm.Resource().Attributes().Get("otel.metric.overflow")
		require.Equal(t, i == md.ResourceMetrics().Len()-1, all, "the tenants that are together come last")
		_, tenant := rm.Resource().Attributes().Get(conventions.AttrTenant)
		require.NotEqual(t, all, tenant)
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			switch m.Name() {
			case conventions.MetricSpans:
				spans += m.Sum().DataPoints().At(0).IntValue()
			case conventions.MetricPathTime:
				pathTime += m.Sum().DataPoints().At(0).DoubleValue()
			case conventions.MetricRootDuration:
				point := m.ExponentialHistogram().DataPoints().At(0)
				count += point.Count()
				if all {
					require.Equal(t, map[string]any{"otel.metric.overflow": true}, point.Attributes().AsRaw())
				}
			}
		}
	}
	require.EqualValues(t, traces, spans)
	require.EqualValues(t, traces, count)
	require.InEpsilon(t, traces*50e-9, pathTime, 1e-12)
	metadatatest.AssertEqualConnectorTracesummaryOverflowed(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 4*traces - 10}}, metricdatatest.IgnoreTimestamp())
}

// The largest value is the exemplar, and of equal ones the first.
func TestExemplar(t *testing.T) {
	table := newTable(10, 160)
	k := key{instrument: ofPathTime}
	for i, value := range []float64{3, 7, 7, 5} {
		table.add(&k, exemplar{value: value, trace: pcommon.TraceID{15: byte(i)}, at: 1})
	}
	r := table.rows[k]
	require.InEpsilon(t, 22, r.value, 1e-12)
	require.Equal(t, exemplar{value: 7, trace: pcommon.TraceID{15: 1}, at: 1}, r.exemplar)
	table.next(true)
	require.Equal(t, exemplar{}, r.exemplar)
	require.InEpsilon(t, 22, r.value, 1e-12)
	table.next(false)
	require.Empty(t, table.rows)
}
