package tracesummaryconnector

import (
	"strings"

	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// instrument is one of the metrics.
type instrument uint8

const (
	ofPathTime instrument = iota
	ofRootDuration
	ofErrors
	ofReleases
	ofSpans
	ofMissingParents
	instruments
)

// definition describes an instrument.
type definition struct {
	name, description, unit string
	per                     float64 // by this a value is divided when it is handed over
	histogram               bool
}

const nanoseconds = 1e9

var definitions = [instruments]definition{
	ofPathTime: {
		name: conventions.MetricPathTime, unit: "s", per: nanoseconds,
		description: "Time for which spans of the operation hold the critical path of whole traces of the entry.",
	},
	ofRootDuration: {
		name: conventions.MetricRootDuration, unit: "s", per: nanoseconds, histogram: true,
		description: "Duration of the entry root of whole traces, which the path times of a trace add up to.",
	},
	ofErrors: {
		name: conventions.MetricErrors, unit: "{errors}", per: 1,
		description: "Spans at which a failure began.",
	},
	ofReleases: {
		name: conventions.MetricReleases, unit: "{releases}", per: 1,
		description: "Releases of traces, by the reason for which they were made.",
	},
	ofSpans: {
		name: conventions.MetricSpans, unit: "{spans}", per: 1,
		description: "Spans of the releases, by the reason for which these were made.",
	},
	ofMissingParents: {
		name: conventions.MetricMissingParents, unit: "{spans}", per: 1,
		description: "Parents that spans of the releases name and that were released nowhere.",
	},
}

// key is what tells series apart. Members that an instrument does not have are empty.
type key struct {
	instrument  instrument
	overflow    overflow
	tenant      string
	environment string
	entry       operation
	operation   operation
	fingerprint string
	outcome     string
}

type overflow uint8

const (
	noOverflow     overflow = iota
	manySeries              // the series counts what has no series of its own any more
	manyTenantsToo          // and does so for all tenants together
)

// row is a series.
type row struct {
	value     float64 // of a sum
	histogram *structure.Histogram[float64]
	exemplar  exemplar
}

// exemplar is the largest value of the interval; of equal ones the first.
type exemplar struct {
	value float64
	trace pcommon.TraceID
	span  pcommon.SpanID
	at    pcommon.Timestamp
}

// table adds measurements up by series: at most limit of those that have attributes, and as many of tenants without; what comes beyond has
// one for each instrument.
type table struct {
	limit      int
	maxBuckets int32
	rows       map[key]*row
	overflowed int64 // measurements, since they were asked for
}

func newTable(limit int, maxBuckets int32) *table {
	return &table{limit: limit, maxBuckets: maxBuckets, rows: make(map[key]*row)}
}

func (t *table) add(k *key, e exemplar) {
	r := t.row(k)
	if d := &definitions[k.instrument]; d.histogram {
		r.histogram.Update(e.value / d.per)
	} else {
		r.value += e.value
	}
	if r.exemplar.at == 0 || e.value > r.exemplar.value {
		r.exemplar = e
	}
}

func (t *table) row(k *key) *row {
	if r, ok := t.rows[*k]; ok {
		return r
	}
	if len(t.rows) < t.limit {
		return t.open(*k)
	}
	t.overflowed++
	other := key{instrument: k.instrument, overflow: manySeries, tenant: k.tenant}
	if r, ok := t.rows[other]; ok {
		return r
	}
	if len(t.rows) < 2*t.limit {
		return t.open(other)
	}
	other = key{instrument: k.instrument, overflow: manyTenantsToo}
	if r, ok := t.rows[other]; ok {
		return r
	}
	return t.open(other)
}

// open makes a row. Its names outlive the call that they stand in: they are copied, so that they do not keep it.
func (t *table) open(k key) *row {
	for _, name := range []*string{
		&k.tenant, &k.environment, &k.entry.service, &k.entry.operation, &k.operation.service, &k.operation.operation, &k.fingerprint, &k.outcome,
	} {
		*name = strings.Clone(*name)
	}
	r := &row{}
	if definitions[k.instrument].histogram {
		r.histogram = new(structure.Histogram[float64])
		r.histogram.Init(structure.NewConfig(structure.WithMaxSize(t.maxBuckets)))
	}
	t.rows[k] = r
	return r
}

// takeOverflowed says how many measurements were counted without their attributes since it was asked last.
func (t *table) takeOverflowed() int64 {
	n := t.overflowed
	t.overflowed = 0
	return n
}

// next begins the next interval: with nothing, or with what was counted so far and without its exemplars.
func (t *table) next(cumulative bool) {
	if !cumulative {
		clear(t.rows)
		return
	}
	for _, r := range t.rows {
		r.exemplar = exemplar{}
	}
}
