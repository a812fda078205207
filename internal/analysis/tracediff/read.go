package tracediff

import (
	"github.com/tracewright/tracewright/internal/analysis"
)

// Read is the shape of a trace. Spans outside of the tree (tracetree.Node.InTree) are left out.
func Read(r *analysis.Result) *Shape {
	shape := new(Shape)
	type visit struct{ span, above int }
	var stack []visit
	for _, root := range r.Tree.Roots {
		stack = append(stack, visit{root, Root})
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			span := &r.Spans[v.span]
			path := shape.Path(v.above, Operation{span.Service, span.Operation})
			sums := Sums{Calls: 1, SelfTime: float64(span.SelfTime), PathTime: float64(span.CriticalPathTime)}
			if span.Failed {
				sums.Errors = 1
			}
			shape.Add(path, sums)
			for _, child := range r.Tree.Children(v.span) {
				stack = append(stack, visit{child, path})
			}
		}
	}
	return shape
}
