package analysis

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Segment is a stretch of time in which one span, and none of its children, held up the request.
type Segment struct {
	Span       int   // index of the node
	Start, End int64 // Unix nanoseconds after skew correction, Start < End
}

// criticalPath finds the chain of spans that determined how long the entry root took, walked back from the root's end as in CRISP
// (Zhang et al., USENIX ATC 2022) and in Google's critical path tracing (ACM Queue 20(1), 2022):
//
//	root  |--------------------|     At cursor t, first the span's end, the next child is the one with the latest
//	a      |-----|                   end ≤ t (of equals the earlier start, then the smaller span id). The time from
//	b         |-----|                that end to t is the span's own; t becomes the child's start. Here c, then b: a
//	c                 |-----|        ends after b starts, so b did not wait for it.
//	path  rrrrbbbbbbbrcccccccrrr
//
// Children are cut to their parent's interval, which is itself the cut one, so that the segments are disjoint and add up to
// the root's duration exactly. Children with no time left are skipped, and so is one that its parent does not wait for (blocks).
func (a *Analyzer) criticalPath(tree *tracetree.Tree) {
	r := &a.result
	if tree.Entry < 0 {
		return
	}
	w := &a.walker
	w.tree, w.path = tree, r.Path
	w.walk(tree.Entry)
	r.Path = w.path
	slices.Reverse(r.Path)
	for _, s := range r.Path {
		r.Spans[s.Span].CriticalPathTime += s.End - s.Start
	}
	a.findBottleneck(tree)
	w.tree, w.path = nil, nil
}

// pathWalker walks with a stack of its own. A span is taken once at most, so the children of all spans on the stack fit into
// one slice.
type pathWalker struct {
	tree     *tracetree.Tree
	path     []Segment // backwards
	stack    []pathFrame
	children []pathChild
}

// pathFrame is a span on the way: what lies before cursor is not yet on the path.
type pathFrame struct {
	span          int
	start, cursor int64
	next, end     int // its children that are left: children[next:end]
}

// pathChild is a child, cut to its parent.
type pathChild struct {
	span       int
	start, end int64
}

func (w *pathWalker) walk(root int) {
	w.stack, w.children = w.stack[:0], w.children[:0]
	w.enter(root, w.tree.Nodes[root].Start, w.tree.Nodes[root].End)
	for len(w.stack) > 0 {
		f := &w.stack[len(w.stack)-1]
		for f.next < f.end && w.children[f.next].end > f.cursor {
			f.next++
		}
		if f.next == f.end {
			w.emit(f.span, f.start, f.cursor)
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		child := w.children[f.next]
		f.next++
		w.emit(f.span, child.end, f.cursor)
		f.cursor = child.start
		w.enter(child.span, child.start, child.end) // f is not valid any more
	}
}

// enter puts a span with its cut interval onto the stack, its children in the order in which the cursor meets them.
func (w *pathWalker) enter(span int, start, end int64) {
	n := &w.tree.Nodes[span]
	from := len(w.children)
	for _, c := range w.tree.Children(span) {
		child := &w.tree.Nodes[c]
		cut := pathChild{c, max(child.Start, start), min(child.End, end)}
		if cut.start < cut.end && blocks(n, child) {
			w.children = append(w.children, cut)
		}
	}
	if len(w.children)-from > 1 {
		slices.SortFunc(w.children[from:], w.compare)
	}
	w.stack = append(w.stack, pathFrame{span, start, end, from, len(w.children)})
}

func (w *pathWalker) compare(a, b pathChild) int {
	if c := cmp.Compare(b.end, a.end); c != 0 {
		return c
	}
	if c := cmp.Compare(a.start, b.start); c != 0 {
		return c
	}
	return compareIdentity(&w.tree.Nodes[a.span], &w.tree.Nodes[b.span])
}

func (w *pathWalker) emit(span int, start, end int64) {
	if start < end {
		w.path = append(w.path, Segment{span, start, end})
	}
}

// findBottleneck takes the span with the most time on the path; of equals the earlier start, then the smaller span id.
func (a *Analyzer) findBottleneck(tree *tracetree.Tree) {
	r := &a.result
	if r.RootDuration == 0 {
		return
	}
	best := tree.Entry
	for i := range r.Spans {
		if c := cmp.Compare(r.Spans[i].CriticalPathTime, r.Spans[best].CriticalPathTime); c > 0 ||
			c == 0 && before(&tree.Nodes[i], &tree.Nodes[best]) {
			best = i
		}
	}
	r.Bottleneck = best
	r.BottleneckShare = float64(r.Spans[best].CriticalPathTime) / float64(r.RootDuration)
}

func before(a, b *tracetree.Node) bool {
	if a.Start != b.Start {
		return a.Start < b.Start
	}
	return compareIdentity(a, b) < 0
}

// compareIdentity orders by span id, then kind: the two differ for any two spans of a tree.
func compareIdentity(a, b *tracetree.Node) int {
	i, j := a.SpanID(), b.SpanID()
	if c := compareIDs(i, j); c != 0 {
		return c
	}
	return cmp.Compare(a.Kind(), b.Kind())
}

func compareIDs(a, b pcommon.SpanID) int { return slices.Compare(a[:], b[:]) }
