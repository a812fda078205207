package tracesummaryconnector

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/connector/tracesummaryconnector/internal/metadatatest"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// TestGoldenMetrics: testdata/metrics.yaml is worked out by hand from the drawing of shop: of tenant acme a whole trace, which came twice with
// half of its times the second time, a late fragment in which a failure began, and a release that nobody analysed.
func TestGoldenMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, _ := settings(t)
		sink := new(consumertest.MetricsSink)
		c := startMetrics(t, set, sink, nil)
		for _, td := range []ptrace.Traces{
			call(t, shop, released{outcome: "complete", version: 1, tenant: "acme", trace: 1}),
			call(t, "shop 1 - server 100 150 name=POST_/checkout\nshop 2 1 client 110 135 name=call", released{
				outcome: "quiet", version: 1, tenant: "acme", trace: 2,
			}),
			call(t, "shop 7 9 internal 130 140 error name=late", released{outcome: "late", version: 2, tenant: "acme", trace: 2, missingParents: 1}),
			treetest.Traces(t, shop),
		} {
			require.NoError(t, c.ConsumeTraces(t.Context(), td))
		}
		require.NoError(t, c.Shutdown(t.Context()))
		require.Len(t, sink.AllMetrics(), 1)
		got := sink.AllMetrics()[0]
		file := filepath.Join("testdata", "metrics.yaml")
		want, err := golden.ReadMetrics(file)
		require.NoError(t, err)
		require.NoError(t, pmetrictest.CompareMetrics(want, got, pmetrictest.IgnoreStartTimestamp(), pmetrictest.IgnoreTimestamp(),
			pmetrictest.IgnoreMetricDataPointsOrder())) // TestTemporality looks at times
	})
}

// point finds the only data point of a metric.
func point(t *testing.T, md pmetric.Metrics, name string) pmetric.NumberDataPoint {
	t.Helper()
	for _, rm := range md.ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if m.Name() == name {
				require.Equal(t, 1, m.Sum().DataPoints().Len())
				return m.Sum().DataPoints().At(0)
			}
		}
	}
	t.Fatalf("no %s", name)
	return pmetric.NumberDataPoint{}
}

const ping = "shop 1 - server 100 150 name=ping"

func ofTrace(t *testing.T, trace byte) ptrace.Traces {
	t.Helper()
	return call(t, ping, released{outcome: "complete", version: 1, trace: trace})
}

func TestTemporality(t *testing.T) {
	for temporality, want := range map[Temporality][]int64{
		TemporalityDelta:      {2, 1},
		TemporalityCumulative: {2, 3},
	} {
		t.Run(string(temporality), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				set, _ := settings(t)
				sink := new(consumertest.MetricsSink)
				c := startMetrics(t, set, sink, func(m *MetricsConfig) { m.Temporality = temporality })
				require.NoError(t, c.ConsumeTraces(t.Context(), join(ofTrace(t, 1), ofTrace(t, 2))))
				time.Sleep(20 * time.Second) // one flush
				require.NoError(t, c.ConsumeTraces(t.Context(), ofTrace(t, 3)))
				time.Sleep(15 * time.Second)
				require.NoError(t, c.Shutdown(t.Context()))
				all := sink.AllMetrics()
				require.GreaterOrEqual(t, len(all), 2)
				for i, value := range want {
					p := point(t, all[i], "tracewright.releases")
					require.Equal(t, value, p.IntValue())
					require.Equal(t, begin.Add(time.Duration(i+1)*15*time.Second), p.Timestamp().AsTime().Local())
					start := begin
					if temporality == TemporalityDelta {
						start = begin.Add(time.Duration(i) * 15 * time.Second)
					}
					require.Equal(t, start, p.StartTimestamp().AsTime().Local(), "intervals touch")
					require.Equal(t, 1, p.Exemplars().Len())
					require.Equal(t, pcommon.TraceID{15: []byte{1, 3}[i]}, p.Exemplars().At(0).TraceID(), "an exemplar is of its interval")
				}
				if temporality == TemporalityDelta {
					require.Len(t, all, 2, "nothing is not handed on")
				}
			})
		})
	}
}

// metricsRefused takes after its errors are used up.
type metricsRefused struct {
	refusing
	consumertest.MetricsSink
}

func (r *metricsRefused) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if err := r.next(); err != nil {
		md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true }) // as one may who is given it
		return err
	}
	return r.MetricsSink.ConsumeMetrics(ctx, md)
}

func (r *metricsRefused) releases(t *testing.T) (values []int64) {
	t.Helper()
	for _, md := range r.AllMetrics() {
		values = append(values, point(t, md, "tracewright.releases").IntValue())
	}
	return values
}

// What is refused comes again, before what was counted since; what is refused for good, or at the end, is counted as lost.
func TestRefusedMetrics(t *testing.T) {
	full, broken := errors.New("full"), consumererror.NewPermanent(errors.New("broken"))
	for name, test := range map[string]struct {
		errs     []error
		want     []int64
		failures int64
		lost     int64 // points: a trace has releases, spans, path time and root duration
	}{
		"for a while":      {[]error{full}, []int64{1, 1, 1}, 1, 0},
		"for good":         {[]error{broken}, []int64{1, 1}, 1, 4},
		"until the end":    {[]error{full, full, full, full}, nil, 3, 8},
		"only at the end":  {[]error{nil, nil, full}, []int64{1, 1}, 1, 4},
		"taken at the end": {[]error{full, full, nil}, []int64{1, 2}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set, telemetry := settings(t)
				next := &metricsRefused{refusing: refusing{errs: test.errs}}
				c := startMetrics(t, set, next, nil)
				for i := range 3 {
					require.NoError(t, c.ConsumeTraces(t.Context(), ofTrace(t, byte(i+1))))
					if i < 2 {
						time.Sleep(15*time.Second + time.Millisecond)
					}
				}
				require.NoError(t, c.Shutdown(t.Context()))
				require.NoError(t, c.Shutdown(t.Context()))
				require.Equal(t, test.want, next.releases(t))
				metadatatest.AssertEqualConnectorTracesummaryFlushFailures(t, telemetry,
					[]metricdata.DataPoint[int64]{{Value: test.failures}}, metricdatatest.IgnoreTimestamp())
				if test.lost > 0 {
					metadatatest.AssertEqualConnectorTracesummaryPointsDropped(t, telemetry,
						[]metricdata.DataPoint[int64]{{Value: test.lost}}, metricdatatest.IgnoreTimestamp())
				} else {
					_, err := telemetry.GetMetric("otelcol_connector_tracesummary_points_dropped")
					require.Error(t, err)
				}
			})
		})
	}
}

// While another consumer of its pipeline refuses a call, it comes again and again, and counts once.
func TestRepeatedCallCountsOnce(t *testing.T) {
	set, _ := settings(t)
	next := &metricsRefused{}
	c := startMetrics(t, set, next, nil)
	td := ofTrace(t, 1)
	for range 3 {
		require.NoError(t, c.ConsumeTraces(t.Context(), td))
	}
	require.NoError(t, c.ConsumeTraces(t.Context(), ofTrace(t, 2)))
	require.NoError(t, c.Shutdown(t.Context()))
	require.Equal(t, []int64{2}, next.releases(t))
}

// A consumer that hangs holds the shutdown up no longer than its context allows.
func TestShutdownDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, _ := settings(t)
		hold := make(chan struct{})
		c := startMetrics(t, set, hanging{hold: hold}, nil)
		require.NoError(t, c.ConsumeTraces(t.Context(), ofTrace(t, 1)))
		time.Sleep(16 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Shutdown(ctx), context.DeadlineExceeded)
		close(hold)
	})
}

type hanging struct {
	consumertest.Consumer
	hold chan struct{}
}

func (h hanging) ConsumeMetrics(context.Context, pmetric.Metrics) error {
	<-h.hold
	return nil
}

// Calls come from several goroutines while sums are flushed: every release is counted once.
func TestConcurrentCalls(t *testing.T) {
	set, _ := settings(t)
	sink := new(consumertest.MetricsSink)
	c := startMetrics(t, set, sink, func(m *MetricsConfig) { m.FlushInterval = time.Millisecond })
	var wg sync.WaitGroup
	for from := range 4 {
		calls := make([]ptrace.Traces, 50)
		for i := range calls {
			calls[i] = call(t, shop, released{outcome: "complete", version: 1, trace: byte(50*from + i + 1)})
		}
		wg.Go(func() {
			for _, td := range calls {
				if err := c.ConsumeTraces(context.Background(), td); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Shutdown(t.Context()))
	total := int64(0)
	for _, md := range sink.AllMetrics() {
		total += point(t, md, "tracewright.releases").IntValue()
	}
	require.EqualValues(t, 200, total)
}
