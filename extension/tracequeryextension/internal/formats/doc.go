// Package formats writes traces as other systems' own query APIs answer them: Jaeger's GET /api/traces/{id}, and Zipkin's GET /api/v2/trace/{id}.
// What a span is called there is decided by the collector's translators, as if it had been exported.
package formats

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// mend changes what the translators or the formats cannot say: times that are none, and, in events and links, which they write as JSON,
// numbers that JSON lacks. Attributes are not nested deeper than the caller has left them.
func mend(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				start := conventions.Nanoseconds(span.StartTimestamp())
				span.SetStartTimestamp(pcommon.Timestamp(start))
				span.SetEndTimestamp(pcommon.Timestamp(max(start, conventions.Nanoseconds(span.EndTimestamp()))))
				for _, event := range span.Events().All() {
					event.SetTimestamp(pcommon.Timestamp(conventions.Nanoseconds(event.Timestamp())))
					mendNumbers(event.Attributes())
				}
				for _, link := range span.Links().All() {
					mendNumbers(link.Attributes())
				}
			}
		}
	}
}

func mendNumbers(attributes pcommon.Map) {
	for _, value := range attributes.All() {
		mendNumber(value)
	}
}

func mendNumber(value pcommon.Value) {
	switch value.Type() {
	case pcommon.ValueTypeDouble:
		if f := value.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			value.SetStr(value.AsString())
		}
	case pcommon.ValueTypeMap:
		mendNumbers(value.Map())
	case pcommon.ValueTypeSlice:
		for _, element := range value.Slice().All() {
			mendNumber(element)
		}
	}
}
