package traceassemblyprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// maxNesting is how deep the values of a span are nested at most. Nobody writes such values, but everything that reads spans
// from bytes, copies or prints them takes some stack for each level, and a stack that is full ends the process.
const maxNesting = 10_000

// sight is what a look at attributes finds. Most have nothing of it, and reading is much cheaper than RemoveIf.
type sight struct {
	annotated bool // there are annotations among them
	deep      bool // a value is nested above maxNesting
	nested    int  // values within values
}

func (s *sight) look(attrs pcommon.Map) {
	for key, value := range attrs.All() {
		s.annotated = s.annotated || strings.HasPrefix(key, conventions.Prefix)
		if t := value.Type(); t == pcommon.ValueTypeMap || t == pcommon.ValueTypeSlice {
			extent := conventions.ExtentOf(value)
			s.deep = s.deep || extent.Depth > maxNesting
			s.nested += extent.Values
		}
	}
}

// inspect looks at a span and removes annotations from it, unless they are trusted. weight is the memory of what it holds,
// without its bytes.
func inspect(span ptrace.Span, trusted bool) (weight int, deep bool) {
	weight, deep = inspectAttributes(span.Attributes(), trusted)
	if events := span.Events(); events.Len() > 0 {
		for i := range events.Len() {
			w, d := inspectAttributes(events.At(i).Attributes(), trusted)
			weight, deep = weight+nestedWeight+w, deep || d
		}
	}
	if links := span.Links(); links.Len() > 0 {
		for i := range links.Len() {
			w, d := inspectAttributes(links.At(i).Attributes(), trusted)
			weight, deep = weight+nestedWeight+w, deep || d
		}
	}
	return weight, deep
}

func inspectAttributes(attrs pcommon.Map, trusted bool) (weight int, deep bool) {
	if attrs.Len() == 0 {
		return 0, false
	}
	var s sight
	s.look(attrs)
	if s.annotated && !trusted {
		removeAnnotations(attrs)
	}
	return attributeWeight * (attrs.Len() + s.nested), s.deep
}
