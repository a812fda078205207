package tracetree

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Node is one span in its tree. Times are Unix nanoseconds as int64.
type Node struct {
	Span

	// Start and End are the span's times after skew correction, never negative, and End is never before Start: a span that
	// ends before it starts has no duration, a time outside int64 counts as 0. The span itself keeps what its sender wrote.
	// A span whose start is 0 in a trace with real times (MinRealTime) was sent without one: it stands at its parent's start, without duration, so
	// that it does not stretch the trace to 1970.
	Start, End int64
	// Shift is what skew correction added to the span's own times, nanoseconds; 0 for most.
	Shift int64
	// Parent is the index of the parent's node, -1 for a root and for a span outside of the tree.
	Parent int
	// MissingParent says that the span names a parent that is not among the spans.
	MissingParent bool
	// Duplicate says that another span has the same span id, kind, start and end. It stands outside of the tree.
	Duplicate bool
	// Conflict says that another span holds this span's identity (span id and kind) with other times, or that assembly said
	// so of a span that was released before. It stands outside of the tree.
	Conflict bool
}

// InTree says whether the node is part of the tree: neither Duplicate nor Conflict.
func (n *Node) InTree() bool { return !n.Duplicate && !n.Conflict }

// ownTimes are the span's times as its sender's clock had them, made sound.
func (n *Node) ownTimes() (start, end int64) {
	start, end = conventions.Nanoseconds(n.StartTimestamp()), conventions.Nanoseconds(n.EndTimestamp())
	return start, max(start, end)
}

// Duration is the time from Start to End in nanoseconds, never negative.
func (n *Node) Duration() int64 { return n.End - n.Start }

// Tree is the spans of a trace and how they hang together. The same spans in any order give the same tree: wherever two
// spans could stand in each other's place, the earlier start decides, then the smaller span id, then the kind. (Of duplicates that
// differ in their attributes alone any may be the one that is kept.)
type Tree struct {
	// Nodes are in the order of the input.
	Nodes []Node
	// Roots are the nodes without a parent node, true roots and orphans alike, in start order.
	Roots []int
	// Entry is the entry root: the earliest span that has no parent, else the earliest whose parent is missing, else (nothing but
	// cycles) the earliest; -1 if nothing is in the tree.
	Entry int
	// MissingParents is the number of parents that spans name and that are not there.
	MissingParents int
	// Start and End are the first start and the last end in the tree; 0 if nothing is in it.
	Start, End int64

	children []int // grouped by parent: children[first[i]:first[i+1]]
	first    []int
}

// Children are the node's children in start order. The slice belongs to the tree.
func (t *Tree) Children(i int) []int { return t.children[t.first[i]:t.first[i+1]] }

// Build makes the tree of spans of one trace. Any input has a tree: cycles, several roots, missing parents, conflicting and
// repeated spans, chains of any depth. It takes O(n log n) time. The tree refers to the spans.
func Build(spans []Span) *Tree { return new(Builder).Build(spans) }

// Builder builds one tree after the other in the same memory. The zero value is ready. It is not safe for concurrent use.
type Builder struct {
	tree   Tree
	keys   []key
	index  index
	latest int64 // end of any span, by its own clock
	order  []int // parents before children
	walk   []int // by node: the walk that found it first, while cycles are broken
	shared []int // the spans of one span id, while identities are told apart
	// services are the names that this took; nil for most traces
	services map[pcommon.Resource]string
	calls    []call
	apart    []int64 // by node: how far the clocks of its client's host and of its own are apart; empty in a trace without skew
}

// key is what a node is compared and looked up by, kept apart from the spans so that building stays in the cache. Span ids
// are big-endian, so that their order is that of their bytes.
type key struct {
	id, parent uint64
	kind       ptrace.SpanKind
	next       int32 // the next node with the same span id, -1 at the end
}

// Build is like the function Build, but the tree lives in the builder's memory: it is valid until the next call.
func (b *Builder) Build(spans []Span) *Tree {
	return b.BuildMarked(spans, func(i int) bool { return MarkedConflict(spans[i].Attributes()) })
}

// BuildMarked is Build for who has read the attributes: marked says what MarkedConflict says of a span's.
func (b *Builder) BuildMarked(spans []Span, marked func(i int) bool) *Tree {
	b.load(spans)
	b.tellApart(marked)
	b.findParents()
	b.breakCycles()
	b.groupChildren()
	b.orderByDepth()
	b.placeWithoutTime()
	b.correctSkew()
	b.sortByStart()
	return &b.tree
}

// Reset lets go of the spans of the last tree, which the builder's memory otherwise keeps alive.
func (b *Builder) Reset() {
	clear(b.tree.Nodes)
	b.tree.Nodes = b.tree.Nodes[:0]
	b.services = nil
}

func (b *Builder) load(spans []Span) {
	t := &b.tree
	b.latest, b.services = 0, nil
	t.Nodes = resize(t.Nodes, len(spans))
	b.keys = resize(b.keys, len(spans))
	b.index.reset(len(spans))
	for i := range spans {
		n := &t.Nodes[i]
		n.Span = spans[i]
		n.Parent = -1
		n.Start, n.End = n.ownTimes()
		b.latest = max(b.latest, n.End)
		k := &b.keys[i]
		k.id, k.parent, k.kind = number(n.SpanID()), number(n.ParentSpanID()), KnownKind(n.Kind())
		s := b.index.at(k.id)
		k.next = s.head - 1
		s.head = int32(i) + 1
	}
}

// findParents links every span in the tree to its parent. A child whose parent id is held by spans of several kinds hangs under
// the first of ParentRank; the server half of a shared id is the child of the client half, whatever its parent id says.
func (b *Builder) findParents() {
	t := &b.tree
	t.MissingParents = 0
	for i := range t.Nodes {
		n, k := &t.Nodes[i], &b.keys[i]
		if !n.InTree() {
			continue
		}
		if k.kind == ptrace.SpanKindServer {
			if n.Parent = b.clientHalf(i); n.Parent >= 0 {
				continue
			}
		}
		if k.parent == 0 || k.parent == k.id {
			continue // a root, or a cycle of one
		}
		s := b.index.at(k.parent)
		switch {
		case s.head > 0:
			n.Parent = int(s.head) - 1
		case s.head == slotOutside:
			n.MissingParent = true
		default:
			n.MissingParent = true
			if s.head == slotEmpty {
				s.head = slotMissing
				t.MissingParents++
			}
		}
	}
}

// clientHalf is the client span that shares the server span's id, or -1.
func (b *Builder) clientHalf(server int) int {
	s := b.index.at(b.keys[server].id)
	for i := s.head - 1; i >= 0; i = b.keys[i].next {
		if b.keys[i].kind == ptrace.SpanKindClient {
			return int(i)
		}
	}
	return -1
}

// breakCycles makes the first span of every cycle a root. A span has one parent, so walking up from each span that no earlier
// walk has seen finds every cycle once.
func (b *Builder) breakCycles() {
	nodes := b.tree.Nodes
	b.walk = resize(b.walk, len(nodes))
	for i := range nodes {
		j := i
		for j >= 0 && b.walk[j] == 0 {
			b.walk[j] = i + 1
			j = nodes[j].Parent
		}
		if j < 0 || b.walk[j] != i+1 {
			continue
		}
		first := j
		for k := nodes[j].Parent; k != j; k = nodes[k].Parent {
			if b.compare(k, first) < 0 {
				first = k
			}
		}
		nodes[first].Parent = -1
	}
}

// compare orders nodes by start, span id and kind: no two nodes of the tree are equal.
func (b *Builder) compare(i, j int) int {
	if c := cmp.Compare(b.tree.Nodes[i].Start, b.tree.Nodes[j].Start); c != 0 {
		return c
	}
	if c := cmp.Compare(b.keys[i].id, b.keys[j].id); c != 0 {
		return c
	}
	return cmp.Compare(b.keys[i].kind, b.keys[j].kind)
}

// groupChildren gathers the roots, and the children of each node next to each other.
func (b *Builder) groupChildren() {
	t := &b.tree
	n := len(t.Nodes)
	t.first, t.children, t.Roots = resize(t.first, n+2), resize(t.children, n), t.Roots[:0]
	for i := range t.Nodes {
		if p := t.Nodes[i].Parent; p >= 0 {
			t.first[p+2]++
		} else if t.Nodes[i].InTree() {
			t.Roots = append(t.Roots, i)
		}
	}
	for i := 2; i < len(t.first); i++ {
		t.first[i] += t.first[i-1]
	}
	for i := range t.Nodes {
		if p := t.Nodes[i].Parent; p >= 0 {
			t.children[t.first[p+1]] = i
			t.first[p+1]++
		}
	}
}

// orderByDepth lists the tree's nodes so that every parent stands before its children.
func (b *Builder) orderByDepth() {
	b.order = append(b.order[:0], b.tree.Roots...)
	for at := 0; at < len(b.order); at++ {
		b.order = append(b.order, b.tree.Children(b.order[at])...)
	}
}

// sortByStart puts roots and children in start order and finds the entry root and the tree's bounds: all of them wait for
// the corrected times.
func (b *Builder) sortByStart() {
	t := &b.tree
	slices.SortFunc(t.Roots, b.compare)
	t.Entry, t.Start, t.End = -1, 0, 0
	for _, root := range t.Roots {
		if t.Entry < 0 || b.rootRank(root) < b.rootRank(t.Entry) {
			t.Entry = root
		}
	}
	for at, i := range b.order {
		n := &t.Nodes[i]
		if at == 0 {
			t.Start, t.End = n.Start, n.End
		}
		t.Start, t.End = min(t.Start, n.Start), max(t.End, n.End)
		if children := t.Children(i); len(children) > 1 {
			slices.SortFunc(children, b.compare)
		}
	}
}

// rootRank orders roots by how likely it is that the request came in there.
func (b *Builder) rootRank(root int) int {
	switch {
	case b.keys[root].parent == 0:
		return 0
	case b.tree.Nodes[root].MissingParent:
		return 1
	default: // cut off to break a cycle
		return 2
	}
}

// resize gives a slice of n zeros, in the memory of s where it is large enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	// What an earlier, longer use left behind n would keep its spans alive.
	clear(s)
	return s[:n]
}
