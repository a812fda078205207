package analysis

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// blocks says whether a parent waits for its child. All do but the producer of a message, which does not wait for its consumer.
func blocks(parent, child *tracetree.Node) bool {
	return child.Kind() != ptrace.SpanKindConsumer || parent.Kind() != ptrace.SpanKindProducer
}

// selfTime is the span's duration minus the union of its blocking children, each cut to the span.
func selfTime(tree *tracetree.Tree, span int) int64 {
	n := &tree.Nodes[span]
	self, covered := int64(0), n.Start // covered: up to where the time is accounted for
	for _, c := range tree.Children(span) {
		child := &tree.Nodes[c]
		if child.Start >= n.End {
			break // children stand in start order
		}
		if child.End <= covered || !blocks(n, child) {
			continue
		}
		self += max(0, child.Start-covered)
		covered = min(child.End, n.End)
	}
	return self + n.End - covered
}
