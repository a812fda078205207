// Package tracediff says what makes one trace longer than another, or than the usual one of its entry. Spans are matched by their path: the
// services and operations from the root down to the span. The critical path of a trace adds up to how long its request took, so the differences of
// the paths' time on it add up to the difference of the two durations, and each is what its path contributes.
package tracediff

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Operation names an operation of a service.
type Operation struct{ Service, Operation string }

// Sums are those of the spans of one path. Of one trace they are whole numbers, of a usual one means. Times are nanoseconds.
type Sums struct {
	Calls, Errors float64
	// SelfTime is time in which no child ran, PathTime what of it the request waited for.
	SelfTime, PathTime float64
}

// Add adds other sums to these.
func (s *Sums) Add(other Sums) {
	s.Calls += other.Calls
	s.Errors += other.Errors
	s.SelfTime += other.SelfTime
	s.PathTime += other.PathTime
}

// Shape is what a trace is made of, by path. The zero value is ready, and has no path. Paths share what they have in common, so that
// chains of any depth take as much memory as they have steps.
type Shape struct {
	nodes []node
	index map[step]int
}

// step is an operation below a path.
type step struct {
	above int // the place in Shape.nodes, Root for none
	Operation
}

type node struct {
	step
	length int    // of the path
	hash   uint64 // of the path, to sort by
	sums   Sums
}

// Root is what a path begins below.
const Root = -1

// Path is the path of an operation below another path, or below Root.
func (s *Shape) Path(above int, of Operation) int {
	at := step{above, of}
	if i, known := s.index[at]; known {
		return i
	}
	if s.index == nil {
		s.index = make(map[step]int)
	}
	n := node{step: at, length: 1, hash: xxhash.Sum64String(of.Service + "\x00" + of.Operation)}
	if above != Root {
		n.length += s.nodes[above].length
		n.hash ^= s.nodes[above].hash * 0x9e3779b97f4a7c15 // so that the order of the steps tells
	}
	i := len(s.nodes)
	s.nodes = append(s.nodes, n)
	s.index[at] = i
	return i
}

// Add adds spans to a path.
func (s *Shape) Add(path int, sums Sums) { s.nodes[path].sums.Add(sums) }

// ByOperation adds up the paths that end in the same operation: each of the result has one step.
func (s *Shape) ByOperation() *Shape {
	flat := new(Shape)
	for i := range s.nodes {
		flat.Add(flat.Path(Root, s.nodes[i].Operation), s.nodes[i].sums)
	}
	return flat
}

// Total is the sum over all paths.
func (s *Shape) Total() (sum Sums) {
	for i := range s.nodes {
		sum.Add(s.nodes[i].sums)
	}
	return sum
}

// MaxPath is how many steps of a path are told, the last ones.
const MaxPath = 32

// Diff is a shape less another.
type Diff struct {
	// Duration is the difference of the time on critical paths, which is that of the durations.
	Duration float64
	// Parts are the paths that differ, those first whose Contribution is largest, be it more or less time; of equals by self time, errors and calls.
	Parts []Part
	// More is how many further parts there are, and Rest what they contribute.
	More int
	Rest float64
}

// Part is a path in both shapes.
type Part struct {
	// Path are the last MaxPath steps, Length is how many there are.
	Path   []Operation
	Length int
	// This and Other are the sums in the one shape and in the other; without calls in one, the path is in the other only.
	This, Other Sums

	hash uint64
	node int
}

// Contribution is what the path adds to the difference of the durations, nanoseconds.
func (p *Part) Contribution() float64 { return p.This.PathTime - p.Other.PathTime }

// Compare says how this differs from other, in at most limit parts.
func Compare(this, other *Shape, limit int) Diff {
	merged := new(Shape)
	sides := [2][]Sums{}
	for side, shape := range []*Shape{this, other} {
		places := make([]int, len(shape.nodes)) // parents stand before their children
		for i := range shape.nodes {
			n := &shape.nodes[i]
			above := Root
			if n.above != Root {
				above = places[n.above]
			}
			places[i] = merged.Path(above, n.Operation)
		}
		sides[side] = make([]Sums, len(merged.nodes))
		for i := range shape.nodes {
			sides[side][places[i]].Add(shape.nodes[i].sums)
		}
	}
	sides[0] = append(sides[0], make([]Sums, len(merged.nodes)-len(sides[0]))...)
	var d Diff
	for i := range merged.nodes {
		p := Part{This: sides[0][i], Other: sides[1][i], Length: merged.nodes[i].length, hash: merged.nodes[i].hash, node: i}
		d.Duration += p.Contribution()
		if p.This != p.Other {
			d.Parts = append(d.Parts, p)
		}
	}
	slices.SortFunc(d.Parts, func(a, b Part) int { return merged.compare(&a, &b) })
	if len(d.Parts) > limit {
		for i := range d.Parts[limit:] {
			d.Rest += d.Parts[limit+i].Contribution()
		}
		d.More = len(d.Parts) - limit
		d.Parts = slices.Clone(d.Parts[:limit])
	}
	for i := range d.Parts {
		d.Parts[i].Path = merged.path(d.Parts[i].node)
	}
	return d
}

// compare ranks parts. It is the same whichever shape is this.
func (s *Shape) compare(a, b *Part) int {
	larger := func(of func(Sums) float64) int {
		return cmp.Compare(math.Abs(of(b.This)-of(b.Other)), math.Abs(of(a.This)-of(a.Other)))
	}
	m, n := &s.nodes[a.node], &s.nodes[b.node]
	return cmp.Or(
		larger(func(s Sums) float64 { return s.PathTime }), larger(func(s Sums) float64 { return s.SelfTime }),
		larger(func(s Sums) float64 { return s.Errors }), larger(func(s Sums) float64 { return s.Calls }),
		cmp.Compare(a.Length, b.Length), cmp.Compare(m.Service, n.Service), cmp.Compare(m.Operation.Operation, n.Operation.Operation),
		cmp.Compare(a.hash, b.hash),
	)
}

// path are the last steps of a path.
func (s *Shape) path(at int) []Operation {
	var steps []Operation
	for ; at != Root && len(steps) < MaxPath; at = s.nodes[at].above {
		steps = append(steps, s.nodes[at].Operation)
	}
	slices.Reverse(steps)
	return steps
}
