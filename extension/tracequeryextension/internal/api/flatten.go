package api

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// flattenTraces makes text of what lies deeper than maxDepth in any attribute.
func flattenTraces(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		flatten(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			flatten(ss.Scope().Attributes())
			for _, span := range ss.Spans().All() {
				flatten(span.Attributes())
				for _, event := range span.Events().All() {
					flatten(event.Attributes())
				}
				for _, link := range span.Links().All() {
					flatten(link.Attributes())
				}
			}
		}
	}
}

func flatten(attributes pcommon.Map) {
	for _, value := range attributes.All() {
		if t := value.Type(); t != pcommon.ValueTypeMap && t != pcommon.ValueTypeSlice {
			continue
		}
		if conventions.ExtentOf(value).Depth > maxDepth {
			flattenValue(value, 1)
		}
	}
}

// flattenValue makes text of a value that stands in maxDepth arrays and maps, and looks into one that does not.
func flattenValue(value pcommon.Value, depth int) {
	t := value.Type()
	switch {
	case t != pcommon.ValueTypeMap && t != pcommon.ValueTypeSlice:
	case depth > maxDepth:
		value.SetStr(nestedText(value))
	case t == pcommon.ValueTypeMap:
		for _, element := range value.Map().All() {
			flattenValue(element, depth+1)
		}
	default:
		for _, element := range value.Slice().All() {
			flattenValue(element, depth+1)
		}
	}
}
