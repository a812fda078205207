package tracestore_test

import (
	"regexp"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// benchTrace is a trace of 20 spans with 14 attributes each, in five services.
func benchTrace() []tracetree.Span {
	td := ptrace.NewTraces()
	for s := range byte(5) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", string('a'+rune(s)))
		for range 8 {
			rs.Resource().Attributes().PutStr("k8s.attribute."+string('a'+rune(rs.Resource().Attributes().Len())), "value")
		}
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range byte(4) {
			span := spans.AppendEmpty()
			span.SetTraceID(pcommon.TraceID{1})
			span.SetSpanID(pcommon.SpanID{7: 4*s + i + 1})
			if 4*s+i > 0 {
				span.SetParentSpanID(pcommon.SpanID{7: (4*s + i + 1) / 2})
			}
			span.SetName("GET /resource")
			span.SetStartTimestamp(pcommon.Timestamp(1e18 + int64(4*s+i)))
			span.SetEndTimestamp(pcommon.Timestamp(1e18 + 1000*int64(4*s+i)))
			for range 12 {
				span.Attributes().PutStr("attribute."+string('a'+rune(span.Attributes().Len())), "some value")
			}
			span.Attributes().PutInt("http.response.status_code", 200)
			span.Attributes().PutStr("user.id", "user-17")
		}
	}
	return tracetree.Releases(td)[0].Spans
}

// BenchmarkFilterMatch is what a candidate of a search costs once its spans are there; none of these matches.
func BenchmarkFilterMatch(b *testing.B) {
	attribute := func(c tracestore.AttributeCondition) tracestore.Conditions {
		return tracestore.Conditions{Span: tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{c}}}
	}
	spans := benchTrace()
	for name, where := range map[string]tracestore.Conditions{
		"service, operation, duration and attribute": {Span: tracestore.SpanConditions{
			Service: "b", Operation: "GET /resource", MinDuration: time.Nanosecond,
			Attributes: []tracestore.AttributeCondition{{Key: "user.id", Op: tracestore.OpEqual, Text: "user-18"}},
		}},
		"equal":   attribute(tracestore.AttributeCondition{Key: "user.id", Op: tracestore.OpEqual, Text: "user-18"}),
		"greater": attribute(tracestore.AttributeCondition{Key: "http.response.status_code", Op: tracestore.OpGreater, Number: 499}),
		"regex":   attribute(tracestore.AttributeCondition{Key: "user.id", Op: tracestore.OpRegex, Regex: regexp.MustCompile("^admin-[0-9]+$")}),
		"resource": attribute(tracestore.AttributeCondition{
			Scope: tracestore.ScopeResource, Key: "k8s.attribute.h", Op: tracestore.OpEqual, Text: "other",
		}),
		"descendant": {Structure: []tracestore.Structure{{
			Above: tracestore.SpanConditions{Service: "e"}, Relation: tracestore.RelationDescendant, Below: tracestore.SpanConditions{Service: "a"},
		}}},
	} {
		b.Run(name, func(b *testing.B) {
			filter := tracestore.NewFilter(&where)
			row := &tracestore.Summary{}
			b.ReportAllocs()
			for b.Loop() {
				if filter.Match(row, spans) {
					b.Fatal("nothing matches")
				}
			}
		})
	}
}
