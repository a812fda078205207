package tracesummaryconnector

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// addSummary counts a release, unless nobody analysed it.
func (t *table) addSummary(s *summary, now pcommon.Timestamp) {
	if !s.analysed {
		return
	}
	point := func(at int, value float64) exemplar {
		e := exemplar{value: value, trace: s.TraceID, at: now}
		if at >= 0 {
			e.span = s.Spans[at].SpanID()
		}
		return e
	}
	environment := func(at int) string { return text(conventions.Environment(s.Spans[at].Resource)) }
	k := key{tenant: s.Tenant, outcome: s.Outcome}
	for _, count := range [...]struct {
		instrument instrument
		value      int
	}{{ofReleases, 1}, {ofSpans, s.spans}, {ofMissingParents, s.missingParents}} {
		if count.value == 0 {
			continue
		}
		k.instrument = count.instrument
		t.add(&k, point(s.root, float64(count.value)))
	}
	for i := range s.origins {
		o := &s.origins[i]
		t.add(&key{
			instrument: ofErrors, tenant: s.Tenant, environment: environment(o.at), entry: s.entry, operation: o.operation, fingerprint: o.fingerprint,
		}, point(o.at, 1))
	}
	if !s.Whole() {
		return
	}
	k = key{instrument: ofRootDuration, tenant: s.Tenant, entry: s.entry}
	if s.root >= 0 {
		k.environment = environment(s.root)
	}
	t.add(&k, point(s.root, float64(s.pathTime)))
	for i := range s.onPath {
		p := &s.onPath[i]
		t.add(&key{
			instrument: ofPathTime, tenant: s.Tenant, environment: environment(p.at), entry: s.entry, operation: p.operation,
		}, point(p.at, float64(p.time)))
	}
}
