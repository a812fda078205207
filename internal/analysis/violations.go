package analysis

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// violations are the rules that a span breaks, sorted: those that stand on it, for an earlier stage may have seen what cannot be
// seen here, and what the tree found. Nil for most spans.
func violations(n *tracetree.Node) []string {
	standing, ok := n.Attributes().Get(conventions.AttrViolations)
	if !ok && !n.Conflict {
		return nil
	}
	var names []string
	if n.Conflict {
		names = append(names, conventions.ViolationConflictingSpanID)
	}
	if ok && standing.Type() == pcommon.ValueTypeSlice {
		for _, v := range standing.Slice().All() {
			if v.Type() == pcommon.ValueTypeStr && v.Str() != "" {
				names = append(names, v.Str())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
