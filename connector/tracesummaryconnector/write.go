package tracesummaryconnector

import (
	"cmp"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/tracewright/tracewright/internal/conventions"
)

// attrOverflow marks what counts beyond a limit of series, as the SDKs' own does.
const attrOverflow = "otel.metric.overflow"

// interval is the time that data points are about.
type interval struct{ start, end pcommon.Timestamp }

// write makes metrics of a table: a resource for each tenant, each instrument once in it. Everything is in the order of names.
func (s *source) write(t *table, over interval, temporality pmetric.AggregationTemporality) pmetric.Metrics {
	md := pmetric.NewMetrics()
	var (
		last    key
		metrics pmetric.MetricSlice
		points  writer
	)
	for i, k := range slices.SortedFunc(maps.Keys(t.rows), compareKeys) {
		newResource := i == 0 || k.tenant != last.tenant || (k.overflow == manyTenantsToo) != (last.overflow == manyTenantsToo)
		if newResource {
			rm := md.ResourceMetrics().AppendEmpty()
			s.describe(rm.Resource(), k.tenant)
			if k.overflow == manyTenantsToo {
				rm.Resource().Attributes().PutBool(attrOverflow, true)
			}
			sm := rm.ScopeMetrics().AppendEmpty()
			s.scope(sm.Scope())
			metrics = sm.Metrics()
		}
		if newResource || k.instrument != last.instrument {
			points = newWriter(metrics.AppendEmpty(), k.instrument, over, temporality)
		}
		points.write(&k, t.rows[k])
		last = k
	}
	return md
}

func compareKeys(a, b key) int {
	return cmp.Or(
		compareBool(a.overflow == manyTenantsToo, b.overflow == manyTenantsToo), cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.instrument, b.instrument),
		cmp.Compare(a.overflow, b.overflow), cmp.Compare(a.environment, b.environment), compareOperations(a.entry, b.entry),
		compareOperations(a.operation, b.operation), cmp.Compare(a.fingerprint, b.fingerprint), cmp.Compare(a.outcome, b.outcome))
}

func compareOperations(a, b operation) int {
	return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.operation, b.operation))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// writer writes the data points of an instrument.
type writer struct {
	definition *definition
	over       interval
	sums       pmetric.NumberDataPointSlice
	histograms pmetric.ExponentialHistogramDataPointSlice
}

func newWriter(m pmetric.Metric, which instrument, over interval, temporality pmetric.AggregationTemporality) writer {
	w := writer{definition: &definitions[which], over: over}
	m.SetName(w.definition.name)
	m.SetDescription(w.definition.description)
	m.SetUnit(w.definition.unit)
	if w.definition.histogram {
		histogram := m.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(temporality)
		w.histograms = histogram.DataPoints()
		return w
	}
	sum := m.SetEmptySum()
	sum.SetAggregationTemporality(temporality)
	sum.SetIsMonotonic(true)
	w.sums = sum.DataPoints()
	return w
}

func (w *writer) write(k *key, r *row) {
	if w.definition.histogram {
		w.writeHistogram(k, r)
		return
	}
	point := w.sums.AppendEmpty()
	point.SetStartTimestamp(w.over.start)
	point.SetTimestamp(w.over.end)
	if w.definition.per == 1 {
		point.SetIntValue(count(r.value))
	} else {
		point.SetDoubleValue(r.value / w.definition.per)
	}
	k.write(point.Attributes())
	w.writeExemplar(point.Exemplars(), &r.exemplar)
}

// count is a number of things as an integer, however large a stranger made it.
func count(value float64) int64 { return int64(min(value, 1<<62)) }

func (w *writer) writeHistogram(k *key, r *row) {
	point := w.histograms.AppendEmpty()
	point.SetStartTimestamp(w.over.start)
	point.SetTimestamp(w.over.end)
	h := r.histogram
	point.SetCount(h.Count())
	point.SetSum(h.Sum())
	point.SetMin(h.Min())
	point.SetMax(h.Max())
	point.SetZeroCount(h.ZeroCount())
	point.SetScale(h.Scale())
	buckets := h.Positive() // durations are not negative
	point.Positive().SetOffset(buckets.Offset())
	counts := point.Positive().BucketCounts()
	counts.EnsureCapacity(int(buckets.Len()))
	for i := range buckets.Len() {
		counts.Append(buckets.At(i))
	}
	k.write(point.Attributes())
	w.writeExemplar(point.Exemplars(), &r.exemplar)
}

func (w *writer) writeExemplar(list pmetric.ExemplarSlice, e *exemplar) {
	if e.at == 0 {
		return
	}
	x := list.AppendEmpty()
	x.SetTimestamp(e.at)
	x.SetTraceID(e.trace)
	x.SetSpanID(e.span)
	if w.definition.per == 1 {
		x.SetIntValue(count(e.value))
	} else {
		x.SetDoubleValue(e.value / w.definition.per)
	}
}

// write writes what the key names; its tenant stands on the resource.
func (k *key) write(attrs pcommon.Map) {
	if k.overflow != noOverflow {
		attrs.PutBool(attrOverflow, true)
		return
	}
	for _, a := range []struct{ name, value string }{
		{"deployment.environment.name", k.environment},
		{conventions.AttrEntryService, k.entry.service},
		{conventions.AttrEntryOperation, k.entry.operation},
		{conventions.AttrService, k.operation.service},
		{conventions.AttrOperation, k.operation.operation},
		{conventions.AttrErrorFingerprint, k.fingerprint},
		{conventions.AttrOutcome, k.outcome},
	} {
		if a.value != "" {
			attrs.PutStr(a.name, a.value)
		}
	}
}
