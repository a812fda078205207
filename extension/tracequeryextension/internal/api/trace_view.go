package api

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracetree"
)

const (
	defaultSpanLimit = 1000
	maxSpanLimit     = 10_000
	maxSpanDepth     = 100_000
	maxSpanOffset    = 1_000_000_000
	// maxBriefList is how many roots, segments of the critical path and origins of failures are in an answer that is bounded.
	maxBriefList = 100
)

// traceView says which part of a trace an answer is about. The zero value is all of it.
type traceView struct {
	// summary leaves out spans and their resources.
	summary bool
	// windowed answers limit spans from offset on, of those below span, down to depth below it.
	windowed      bool
	span          *pcommon.SpanID // nil for all roots
	depth         *int            // nil for any
	offset, limit int
}

// brief says whether the answer is bounded, however large the trace is.
func (v *traceView) brief() bool { return v.summary || v.windowed }

// view reads the parameters that cut something out of a trace.
func (p *requestParser) view(r *openapi.GetTraceParams) (v traceView) {
	v.windowed = r.SpanID != nil || r.Depth != nil || r.SpanOffset != nil || r.SpanLimit != nil
	if r.Fields != nil {
		v.summary = oneOf(p, "fields", r.Fields, []string{"summary"}) != ""
		if v.windowed {
			p.fault("fields", "a summary has no spans: leave out span_id, depth, span_offset and span_limit")
		}
	}
	if r.Format != nil && v.brief() {
		p.fault("format", "stands alone: other formats hold the whole trace")
	}
	if r.SpanID != nil {
		if id, err := parseSpanID(*r.SpanID); err != nil {
			p.fault("span_id", "%s", err)
		} else {
			v.span = &id
		}
	}
	if r.Depth != nil {
		p.between("depth", *r.Depth, 0, maxSpanDepth)
		v.depth = r.Depth
	}
	if r.SpanOffset != nil {
		v.offset = p.between("span_offset", *r.SpanOffset, 0, maxSpanOffset)
	}
	v.limit = defaultSpanLimit
	if r.SpanLimit != nil {
		v.limit = p.between("span_limit", *r.SpanLimit, 1, maxSpanLimit)
	}
	return v
}

func (p *requestParser) between(field string, value, least, most int) int {
	if value < least || value > most {
		p.fault(field, "must be between %d and %d", least, most)
	}
	return value
}

// spans lists the spans of the view (node indexes) by start, parents before their children; found is false where it is of a span that the
// trace has not. total is how many there are before offset and limit.
func (v *traceView) spans(trace *query.Trace) (order []int, total int, found bool) {
	tree := trace.Analysis.Tree
	switch {
	case v.summary:
		return nil, 0, true
	case v.span == nil && v.depth == nil:
		order = trace.StartOrder()
	default:
		roots := tree.Roots
		if v.span != nil {
			if roots = spansOf(tree, *v.span); len(roots) == 0 {
				return nil, 0, false
			}
		}
		order = below(tree, roots, v.depth)
		query.SortByStart(tree, order)
	}
	total = len(order)
	if v.windowed {
		order = order[min(v.offset, total):]
		order = order[:min(v.limit, len(order))]
	}
	return order, total, true
}

// spansOf are the spans of an id: both halves of a call may share it, and so may spans in conflict.
func spansOf(tree *tracetree.Tree, id pcommon.SpanID) (nodes []int) {
	for i := range tree.Nodes {
		if tree.Nodes[i].SpanID() == id {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// below lists spans and what is below them, down to depth (nil for all), parents before their children.
func below(tree *tracetree.Tree, roots []int, depth *int) (order []int) {
	type visit struct{ span, depth int }
	reached := make([]bool, len(tree.Nodes))
	// By depth, so that a span which is also below another root is reached by its shorter way.
	queue := make([]visit, 0, len(roots))
	for _, root := range roots {
		queue = append(queue, visit{root, 0})
	}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		if reached[v.span] {
			continue
		}
		reached[v.span] = true
		order = append(order, v.span)
		if depth != nil && v.depth == *depth {
			continue
		}
		for _, child := range tree.Children(v.span) {
			queue = append(queue, visit{child, v.depth + 1})
		}
	}
	return order
}
