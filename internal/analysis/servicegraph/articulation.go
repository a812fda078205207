package servicegraph

import (
	"slices"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/flow"
	"gonum.org/v1/gonum/graph/simple"
)

// SinglePoint is a service without which others are lost.
type SinglePoint struct {
	Service string
	// CutOff is how many services no request reaches without it.
	CutOff int
	// Splits says that the map falls apart without it, as if calls had no direction.
	Splits bool
}

// SinglePoints are the services without which requests do not reach others, or without which the map falls apart, by name. The first is what a service dominates, from
// where requests come in (Lengauer and Tarjan, "A fast algorithm for finding dominators in a flowgraph", TOPLAS 1(1), 1979); the second are the articulation points of
// the map without directions (Hopcroft and Tarjan, "Algorithm 447: efficient algorithms for graph manipulation", CACM 16(6), 1973; with a stack of our own). Redundant
// instances are not seen: a service is one node however often it runs.
func (g *Graph) SinglePoints() []SinglePoint {
	n := len(g.names)
	s := &articulation{
		neighbours: make([][]int, n), found: make([]int, n), lowest: make([]int, n), cuts: make([]bool, n),
	}
	for i := range n {
		s.neighbours[i] = append(append(s.neighbours[i], g.calls[i]...), g.callers[i]...)
	}
	for root := range n {
		if s.found[root] == 0 {
			s.search(root)
		}
	}
	var points []SinglePoint
	cutOff := g.cutOff()
	for i, cuts := range s.cuts {
		if cuts || cutOff[i] > 0 {
			points = append(points, SinglePoint{g.names[i], cutOff[i], cuts})
		}
	}
	return points
}

type articulation struct {
	neighbours [][]int
	found      []int // when the search found the node, from 1 on
	lowest     []int // the earliest node that it or what was found from it touches
	cuts       []bool
	clock      int
}

type visit struct{ node, from, next int }

func (s *articulation) search(root int) {
	children := 0
	stack := []visit{{root, -1, 0}}
	s.discover(root)
	for len(stack) > 0 {
		v := &stack[len(stack)-1]
		if v.next < len(s.neighbours[v.node]) {
			to := s.neighbours[v.node][v.next]
			v.next++
			switch {
			case to == v.from:
			case s.found[to] > 0:
				s.lowest[v.node] = min(s.lowest[v.node], s.found[to])
			default:
				if v.node == root {
					children++
				}
				s.discover(to)
				stack = append(stack, visit{to, v.node, 0}) // v is not valid any more
			}
			continue
		}
		done := *v
		stack = stack[:len(stack)-1]
		if done.from < 0 {
			continue
		}
		s.lowest[done.from] = min(s.lowest[done.from], s.lowest[done.node])
		if done.from != root && s.lowest[done.node] >= s.found[done.from] {
			s.cuts[done.from] = true
		}
	}
	s.cuts[root] = children > 1
}

func (s *articulation) discover(node int) {
	s.clock++
	s.found[node], s.lowest[node] = s.clock, s.clock
}

// cutOff counts, by service, those that no request reaches without it.
func (g *Graph) cutOff() []int {
	root := simple.Node(len(g.names))
	tree := flow.Dominators(root, rooted{directed{g}, g.sources()})
	counts := make([]int, len(g.names)+1)
	order := []int64{root.ID()} // parents before children
	for at := 0; at < len(order); at++ {
		for _, n := range tree.DominatedBy(order[at]) {
			order = append(order, n.ID())
		}
	}
	for _, id := range slices.Backward(order[1:]) {
		counts[tree.DominatorOf(id).ID()] += counts[id] + 1
	}
	return counts
}

// sources are where requests come in: services that nobody calls, and all of each circle that nobody calls from outside.
func (g *Graph) sources() []int {
	var sources []int
	for _, component := range g.components() {
		called := false
		for _, n := range component {
			for _, caller := range g.callers[n] {
				_, within := slices.BinarySearch(component, caller)
				called = called || !within
			}
		}
		if !called {
			sources = append(sources, component...)
		}
	}
	slices.Sort(sources)
	return sources
}

// rooted is the graph with one more node, which calls the sources.
type rooted struct {
	directed

	sources []int
}

func (r rooted) From(id int64) graph.Nodes {
	if id == int64(len(r.g.names)) {
		return nodes(r.sources)
	}
	return r.directed.From(id)
}
