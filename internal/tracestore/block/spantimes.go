package block

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// noParent stands where a span names no parent, or one that is not in the release.
const noParent = -1

// spanTimes is the spans of a release as a tree, and what their times are written as. A span follows on its sibling before it, so
// its gap is small:
//
//	start = end of the sibling before, else start of the parent, else base + gap
//
// and it ends soon after the last of its children, so its tail is smaller than its duration:
//
//	end = last end of the children that it waits for, else start + tail
//
// Times are numbers of 64 bits that wrap around, whatever a sender makes of them. The same tree foretells attributes.
type spanTimes struct {
	parents []int32 // places in the release, or noParent
	roots   []bool  // the span names no parent
	kinds   []uint32

	order []int32 // parents before their children, otherwise as they stand; cycles of parents are cut
	above []int32 // the parent if it stands before the span in order, else noParent
	first []int32 // child in order
	next  []int32 // sibling in order
	state []byte

	starts, ends []uint64
	gaps, tails  []int64

	self    []int64
	covered []uint64
	byStart []int32
}

func (t *spanTimes) reset() {
	t.parents, t.kinds, t.roots, t.self = t.parents[:0], t.kinds[:0], t.roots[:0], t.self[:0]
}

// add adds a span whose times are yet to come.
func (t *spanTimes) add(parent int32, root bool, kind uint32) {
	t.parents = append(t.parents, parent)
	t.roots = append(t.roots, root)
	t.kinds = append(t.kinds, kind)
}

// arrange makes the tree, and room for the times.
func (t *spanTimes) arrange() {
	n := len(t.parents)
	t.starts, t.ends, t.gaps, t.tails = resize(t.starts, n), resize(t.ends, n), resize(t.gaps, n), resize(t.tails, n)
	t.above, t.first, t.next, t.state = append(t.above[:0], t.parents...), resize(t.first, n), resize(t.next, n), resize(t.state, n)
	clear(t.state)
	t.order = t.order[:0]
	const walked, ordered = 1, 2
	for i := range t.parents {
		from := len(t.order)
		at := int32(i)
		for ; at != noParent && t.state[at] == 0; at = t.parents[at] {
			t.state[at] = walked
			t.order = append(t.order, at)
		}
		if at != noParent && t.state[at] == walked {
			t.above[t.order[len(t.order)-1]] = noParent // a cycle
		}
		for _, at := range t.order[from:] {
			t.state[at] = ordered
		}
		slices.Reverse(t.order[from:])
	}
	for i := range t.first {
		t.first[i], t.next[i] = noParent, noParent
	}
	for k := n - 1; k >= 0; k-- {
		i := t.order[k]
		if above := t.above[i]; above != noParent {
			t.next[i], t.first[above] = t.first[above], i
		}
	}
}

// waits says whether a span ends after its child: all do but the producer of a message.
func (t *spanTimes) waits(parent, child int32) bool {
	return t.kinds[child] != uint32(ptrace.SpanKindConsumer) || t.kinds[parent] != uint32(ptrace.SpanKindProducer)
}

// part makes gaps and tails of the times.
func (t *spanTimes) part(base uint64) {
	for _, i := range t.order {
		if t.above[i] == noParent {
			t.gaps[i] = int64(t.starts[i] - base)
		}
		before, last := t.starts[i], int64(0)
		for child := t.first[i]; child != noParent; child = t.next[child] {
			t.gaps[child] = int64(t.starts[child] - before)
			before = t.ends[child]
			if t.waits(i, child) {
				last = max(last, int64(before-t.starts[i]))
			}
		}
		t.tails[i] = int64(t.ends[i]-t.starts[i]) - last
	}
}

// join makes times of the gaps and tails.
func (t *spanTimes) join(base uint64) {
	// From the leaves up: until a parent's start is known, starts are relative to it, and ends are durations.
	for k := len(t.order) - 1; k >= 0; k-- {
		i := t.order[k]
		before, last := uint64(0), int64(0)
		for child := t.first[i]; child != noParent; child = t.next[child] {
			t.starts[child] = before + uint64(t.gaps[child])
			before = t.starts[child] + t.ends[child]
			if t.waits(i, child) {
				last = max(last, int64(before))
			}
		}
		t.ends[i] = uint64(last + t.tails[i])
	}
	for _, i := range t.order {
		if above := t.above[i]; above != noParent {
			t.starts[i] += t.starts[above]
		} else {
			t.starts[i] = base + uint64(t.gaps[i])
		}
		t.ends[i] += t.starts[i]
	}
}

// selfTime foretells tracewright.self_time: the duration without the parts that are covered by children which the span waits for.
func (t *spanTimes) selfTime(i int) int64 {
	if len(t.self) == 0 {
		t.computeSelf()
	}
	return t.self[i]
}

func (t *spanTimes) computeSelf() {
	n := len(t.parents)
	t.self, t.covered, t.byStart = resize(t.self, n), resize(t.covered, n), t.byStart[:0]
	for i := range n {
		t.self[i] = max(0, int64(t.ends[i]-t.starts[i]))
		t.covered[i] = t.starts[i]
		t.byStart = append(t.byStart, int32(i))
	}
	t.sortByStart()
	for _, i := range t.byStart {
		parent := t.parents[i]
		if parent == noParent || !t.waits(parent, i) {
			continue
		}
		from, to := max(t.starts[i], t.covered[parent]), min(t.ends[i], t.ends[parent])
		if to > from {
			t.self[parent] -= int64(to - from)
			t.covered[parent] = to
		}
	}
}

// sortByStart sorts byStart, of equals by their places.
func (t *spanTimes) sortByStart() {
	list, starts := t.byStart, t.starts
	if len(list) > 48 {
		slices.SortFunc(list, func(a, b int32) int { return cmp.Or(cmp.Compare(starts[a], starts[b]), cmp.Compare(a, b)) })
		return
	}
	for i := 1; i < len(list); i++ {
		moved := list[i]
		at := i
		for ; at > 0 && starts[list[at-1]] > starts[moved]; at-- {
			list[at] = list[at-1]
		}
		list[at] = moved
	}
}

// extent is the first start and the last end.
func (t *spanTimes) extent() (start, end uint64) {
	if len(t.starts) == 0 {
		return 0, 0
	}
	return slices.Min(t.starts), slices.Max(t.ends)
}

// rootDuration is the duration of the earliest span without a parent in the release, those that name none before others.
func (t *spanTimes) rootDuration() int64 {
	best := -1
	for i := range t.parents {
		if t.parents[i] != noParent {
			continue
		}
		if best < 0 || t.roots[i] && !t.roots[best] || t.roots[i] == t.roots[best] && t.starts[i] < t.starts[best] {
			best = i
		}
	}
	if best < 0 {
		return 0
	}
	return int64(t.ends[best] - t.starts[best])
}
