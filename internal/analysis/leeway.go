package analysis

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// Leeway is what a span's time means for how long the request took. docs/analysis.md defines the model behind it.
type Leeway struct {
	// Waited says that somebody waited for the span: not for a consumer below its producer, for what lies outside of its parent's
	// time or has none, for what hangs below such, nor for other roots than the entry. Without it the rest is 0.
	Waited bool
	// Slack is how much later the span could have ended without making the request longer, nanoseconds; 0 on the critical path.
	Slack int64
	// Drag is by how much the request would be shorter if the span itself had not held it up (CriticalPathTime), nanoseconds; less
	// than that where something beside it becomes critical first.
	Drag int64
}

// Leeways are those of all nodes. It takes O(n log n) time and changes nothing.
func (r *Result) Leeways() []Leeway {
	l := leeways{walker: pathWalker{tree: r.Tree}, found: make([]Leeway, len(r.Tree.Nodes))}
	if r.Tree.Entry < 0 {
		return l.found
	}
	entry := &r.Tree.Nodes[r.Tree.Entry]
	l.found[r.Tree.Entry].Waited = true
	l.stack = append(l.stack, leewayFrame{pathChild{r.Tree.Entry, entry.Start, entry.End}, true, math.MaxInt64})
	for len(l.stack) > 0 {
		f := l.stack[len(l.stack)-1]
		l.stack = l.stack[:len(l.stack)-1]
		l.below(f)
	}
	return l.found
}

type leeways struct {
	walker pathWalker
	found  []Leeway
	stack  []leewayFrame
	calls  []sibling // the children of the span at hand, by start
	ends   []int     // indexes of calls by end
	path   []int     // indexes of calls on the path, by start
	beside beside
	own    []ownTime
}

// leewayFrame is a span, cut as on the critical path. Were a span on the path any shorter, the request would become shorter by no
// more than most.
type leewayFrame struct {
	pathChild

	onPath bool
	most   int64
}

// sibling is one of the children of a span.
type sibling struct {
	pathChild

	after  int64 // when the last of those that end before it starts has ended; the parent's start if there is none
	slack  int64 // within the parent
	onPath bool
	moved  int64 // its end from the parent's start on, timed anew
}

// ownTime is a stretch in which a span itself holds the critical path; sum is that time up to its end.
type ownTime struct{ start, end, sum int64 }

// below finds the slack of the span's children, and the drag of the span if it is on the path.
func (l *leeways) below(f leewayFrame) {
	l.children(f)
	last := l.slacks(f.start)
	slack := l.found[f.span].Slack
	for i := range l.calls {
		l.found[l.calls[i].span] = Leeway{Waited: true, Slack: slack + l.calls[i].slack}
	}
	if f.onPath {
		l.followPath(f)
		l.found[f.span].Drag = min(f.most, l.shrunk(f, last))
	}
	l.descend(f.most)
}

// children lists the children that the span waits for.
func (l *leeways) children(f leewayFrame) {
	w := &l.walker
	w.stack, w.children = w.stack[:0], w.children[:0]
	w.enter(f.span, f.start, f.end)
	l.calls, l.ends = l.calls[:0], l.ends[:0]
	for _, c := range w.children {
		l.calls = append(l.calls, sibling{pathChild: c})
	}
	slices.SortFunc(l.calls, func(a, b sibling) int {
		return cmp.Or(cmp.Compare(a.start, b.start), w.compare(a.pathChild, b.pathChild))
	})
	for i := range l.calls {
		l.ends = append(l.ends, i)
	}
	slices.SortFunc(l.ends, func(i, j int) int { return w.compare(l.calls[j].pathChild, l.calls[i].pathChild) })
}

// slacks goes back from the parent's end: a child may end as late as the latest start of what comes after it allows. It returns
// when the last child has ended.
func (l *leeways) slacks(start int64) int64 {
	last, at := start, 0
	for i := range l.calls {
		c := &l.calls[i]
		for ; at < len(l.ends) && l.calls[l.ends[at]].end <= c.start; at++ {
			last = l.calls[l.ends[at]].end
		}
		c.after = last
	}
	if len(l.ends) > 0 {
		last = l.calls[l.ends[len(l.ends)-1]].end
	}
	latest, next := last, len(l.calls)-1
	for _, i := range slices.Backward(l.ends) {
		c := &l.calls[i]
		for ; next >= 0 && l.calls[next].start >= c.end; next-- {
			latest = min(latest, l.calls[next].after+l.calls[next].slack)
		}
		c.slack = latest - c.end
	}
	return last
}

// followPath marks the children on the critical path and notes the span's own time on it.
func (l *leeways) followPath(f leewayFrame) {
	l.path, l.own = l.path[:0], l.own[:0]
	cursor := f.end
	own := func(start int64) {
		if start < cursor {
			l.own = append(l.own, ownTime{start: start, end: cursor})
		}
	}
	for _, i := range slices.Backward(l.ends) {
		if c := &l.calls[i]; c.end <= cursor {
			own(c.end)
			cursor, c.onPath = c.start, true
			l.path = append(l.path, i)
		}
	}
	own(f.start)
	slices.Reverse(l.path)
	slices.Reverse(l.own)
	sum := int64(0)
	for i := range l.own {
		sum += l.own[i].end - l.own[i].start
		l.own[i].sum = sum
	}
}

// ownUntil is how long the span itself has held the critical path by then.
func (l *leeways) ownUntil(t int64) int64 {
	at, _ := slices.BinarySearchFunc(l.own, t, func(o ownTime, t int64) int { return cmp.Compare(o.end, t) })
	if at == len(l.own) {
		if at == 0 {
			return 0
		}
		return l.own[at-1].sum
	}
	o := l.own[at] // the first that ends at t or later
	return o.sum - (o.end - max(o.start, min(t, o.end)))
}

// shrunk is by how much the span would be shorter without its own time on the path.
func (l *leeways) shrunk(f leewayFrame, last int64) int64 {
	return f.end - f.start - l.timedAnew(f, last, func(c *sibling) int64 { return c.end - c.start }, func(int64) int64 { return 0 })
}

// timedAnew is how long the span takes if its children take as long as took says, and its own time on its path (followPath) as long as own
// makes of it: its children start as soon as those that they came after have ended, and the pause that was between has passed.
func (l *leeways) timedAnew(f leewayFrame, last int64, took func(c *sibling) int64, own func(t int64) int64) int64 {
	pause := func(from, to int64) int64 {
		held := l.ownUntil(to) - l.ownUntil(from)
		return addTimes(to-from-held, own(held))
	}
	ended, at := int64(0), 0 // from the span's start on, as moved
	for i := range l.calls {
		c := &l.calls[i]
		for ; at < len(l.ends) && l.calls[l.ends[at]].end <= c.start; at++ {
			ended = max(ended, l.calls[l.ends[at]].moved)
		}
		c.moved = addTimes(ended, addTimes(pause(c.after, c.start), took(c)))
	}
	for ; at < len(l.ends); at++ {
		ended = max(ended, l.calls[l.ends[at]].moved)
	}
	return addTimes(ended, pause(last, f.end))
}

// addTimes adds two times that are not negative, up to what there is.
func addTimes(a, b int64) int64 { return a + min(b, math.MaxInt64-a) }

// descend goes on with the children. If one on the path becomes shorter, the first to take its place is the one with the least slack of
// those beside it.
func (l *leeways) descend(most int64) {
	l.beside = l.beside[:0]
	at := 0
	for _, i := range l.path {
		c := &l.calls[i]
		for ; at < len(l.calls) && l.calls[at].start < c.end; at++ {
			if !l.calls[at].onPath {
				heap.Push(&l.beside, l.calls[at])
			}
		}
		for len(l.beside) > 0 && l.beside[0].end <= c.start {
			heap.Pop(&l.beside)
		}
		limit := most
		if len(l.beside) > 0 {
			limit = min(limit, l.beside[0].slack)
		}
		l.stack = append(l.stack, leewayFrame{c.pathChild, true, limit})
	}
	for i := range l.calls {
		if !l.calls[i].onPath {
			l.stack = append(l.stack, leewayFrame{l.calls[i].pathChild, false, 0})
		}
	}
	l.path = l.path[:0]
}

// beside is a heap of siblings, the least slack first.
type beside []sibling

func (b beside) Len() int           { return len(b) }
func (b beside) Less(i, j int) bool { return b[i].slack < b[j].slack }
func (b beside) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *beside) Push(s any)        { *b = append(*b, s.(sibling)) }

func (b *beside) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}
