package shoptest

import (
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// age is how long before its release a visit of a call began.
const age = 5 * time.Second

// Call is the visits' traces in one call, each whole, as trace_assembly and trace_analysis hand it on.
func Call(s *shop.Shop, releasedAt time.Time, visits ...*shop.Visit) (ptrace.Traces, error) {
	td, err := spans(s, releasedAt.Add(-age).UnixNano(), visits...)
	if err != nil {
		return td, err
	}
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	}
	for _, release := range tracetree.Releases(td) {
		root := release.Spans[0].Attributes()
		for _, span := range release.Spans {
			if span.ParentSpanID().IsEmpty() {
				root = span.Attributes()
				break
			}
		}
		root.PutInt(conventions.AttrVersion, 1)
		root.PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
	}
	releases := tracetree.Releases(td) // with what was just written
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td, nil
}
