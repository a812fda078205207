package traceassemblyprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor/internal/metadatatest"
)

// points are the values of a counter by the value of its one attribute; of a histogram, the counts.
func (f *fixture) points(name string) map[string]int64 {
	f.t.Helper()
	points := make(map[string]int64)
	m, err := f.telemetry.GetMetric("otelcol_processor_trace_assembly_" + name)
	if err != nil {
		return points // never written
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			label := ""
			if p.Attributes.Len() > 0 {
				kv, _ := p.Attributes.Get(0)
				label = kv.Value.AsString()
			}
			points[label] += p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			points[""] += int64(p.Count)
		}
	}
	return points
}

func (f *fixture) sum(name string) int64 {
	f.t.Helper()
	sum := int64(0)
	for _, n := range f.points(name) {
		sum += n
	}
	return sum
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.MaxSpanBytes = 1000 })
		// Trace 1 is complete; of its five spans one is a duplicate and one conflicts. Three more cannot be assembled.
		f.send(
			testSpan{trace: 1, id: 1, end: 9},
			testSpan{trace: 1, id: 2, parent: 1, end: 9},
			testSpan{trace: 1, id: 2, parent: 1, end: 9},
			testSpan{trace: 1, id: 2, parent: 1, end: 8},
			testSpan{trace: 1, id: 3, parent: 1, end: 9},
			testSpan{trace: 0, id: 1},
			testSpan{trace: 1, id: 0},
			testSpan{trace: 1, id: 4, padding: 2000},
		)
		synctest.Wait()
		require.EqualValues(t, 1, f.sum("traces_open"))
		require.EqualValues(t, 4, f.sum("spans_in_flight"))
		require.Positive(t, f.sum("bytes_in_flight"))
		f.checkSum()

		f.wait(2 * time.Second)
		f.send(testSpan{trace: 1, id: 5, parent: 3}) // late, by less than a second
		f.send(testSpan{trace: 1, id: 1, end: 9})    // a duplicate of what was released
		f.send(testSpan{trace: 2, id: 1, parent: 7}) // never complete
		f.wait(20 * time.Second)

		require.EqualValues(t, 11, f.sum("spans_received"))
		require.Equal(t, map[string]int64{"zero_trace_id": 1, "zero_span_id": 1, "too_large": 1}, f.points("spans_rejected"))
		require.EqualValues(t, 2, f.sum("spans_duplicate"))
		require.EqualValues(t, 1, f.sum("spans_conflicting"))
		require.EqualValues(t, 6, f.sum("spans_released"))
		require.EqualValues(t, 1, f.sum("spans_late"))
		require.EqualValues(t, 3, f.sum("calls_handed_on"))
		require.EqualValues(t, 3, f.sum("release_delay"))
		require.EqualValues(t, 3, f.sum("release_hold"))
		require.Zero(t, f.sum("traces_open"))
		require.Zero(t, f.sum("spans_in_flight"))
		require.Zero(t, f.sum("bytes_in_flight"))
		require.Equal(t, map[string]int64{
			conventions.OutcomeComplete: 1, conventions.OutcomeLate: 1, conventions.OutcomeQuiet: 1,
		}, f.points("releases"))
		f.stop()
	})
}

// TestReleaseTimes: a child comes at 0 s and its root at 3 s; linger is 1 s, and the call is closed 50 ms after that. Requests
// are counted by their bytes.
func TestReleaseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		child, root := testSpan{trace: 1, id: 2, parent: 1}, testSpan{trace: 1, id: 1}
		size := int64(0)
		for _, span := range []testSpan{child, root} {
			encoded, err := encodeTraces(request(span))
			require.NoError(t, err)
			size += int64(len(encoded))
		}
		f.send(child)
		f.wait(3 * time.Second)
		f.send(root)
		f.wait(2 * time.Second)
		took := func(seconds float64, bucket int) []metricdata.HistogramDataPoint[float64] {
			bounds := []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60}
			counts := make([]uint64, len(bounds)+1)
			counts[bucket] = 1
			return []metricdata.HistogramDataPoint[float64]{{
				Count: 1, Sum: seconds, Min: metricdata.NewExtrema(seconds), Max: metricdata.NewExtrema(seconds), Bounds: bounds, BucketCounts: counts,
			}}
		}
		metadatatest.AssertEqualProcessorTraceAssemblyReleaseDelay(t, f.telemetry, took(1.05, 6), metricdatatest.IgnoreTimestamp())
		metadatatest.AssertEqualProcessorTraceAssemblyReleaseHold(t, f.telemetry, took(4.05, 9), metricdatatest.IgnoreTimestamp())
		metadatatest.AssertEqualProcessorTraceAssemblyBytesReceived(t, f.telemetry, []metricdata.DataPoint[int64]{{Value: size}},
			metricdatatest.IgnoreTimestamp())
		f.stop()
	})
}
