// Package servicegraph measures who calls whom: cycles, depth, single points of failure, importance, and the ways from one service to another. Names
// are those of services and virtual peers. No result depends on the order of the edges, nothing recurses on what the input makes deep, and all but Ways
// takes O(n log n) time.
package servicegraph

import (
	"slices"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
)

// Edge is the calls of one service to another, or to a virtual peer. Edges of the same two add up; what is not positive counts as one call.
type Edge struct {
	Parent, Child string
	Calls         int64
}

// MaxServices is how many services a graph holds: the first ones by name. It bounds how deep gonum's search recurses.
const MaxServices = 10_000

// Graph is who calls whom. It is not changed after New, and safe for concurrent use.
type Graph struct {
	names  []string // sorted
	number map[string]int
	// calls are by caller: the callees, sorted, without the service itself; callers the reverse.
	calls, callers [][]int
	weights        [][]float64 // of calls
	itself         []bool      // calls itself
	truncated      bool
}

// New makes the graph of the edges.
func New(edges []Edge) *Graph {
	g := &Graph{number: make(map[string]int)}
	for _, e := range edges {
		g.names = append(g.names, e.Parent, e.Child)
	}
	slices.Sort(g.names)
	g.names = slices.Compact(g.names)
	if len(g.names) > MaxServices {
		g.names, g.truncated = g.names[:MaxServices], true
	}
	for i, name := range g.names {
		g.number[name] = i
	}
	type pair struct{ from, to int }
	weights := make(map[pair]float64)
	var pairs []pair
	n := len(g.names)
	g.calls, g.callers, g.weights, g.itself = make([][]int, n), make([][]int, n), make([][]float64, n), make([]bool, n)
	for _, e := range edges {
		from, known := g.number[e.Parent]
		to, alsoKnown := g.number[e.Child]
		switch p := (pair{from, to}); {
		case !known || !alsoKnown:
		case from == to:
			g.itself[from] = true
		default:
			if weights[p] == 0 {
				pairs = append(pairs, p)
			}
			weights[p] += float64(max(1, e.Calls))
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return a.to - b.to
	})
	for _, p := range pairs {
		g.calls[p.from] = append(g.calls[p.from], p.to)
		g.weights[p.from] = append(g.weights[p.from], weights[p])
		g.callers[p.to] = append(g.callers[p.to], p.from)
	}
	return g
}

// Services are the names, sorted.
func (g *Graph) Services() []string { return slices.Clone(g.names) }

// Truncated says that there are more services than MaxServices.
func (g *Graph) Truncated() bool { return g.truncated }

func (g *Graph) named(numbers []int) []string {
	names := make([]string, len(numbers))
	for i, n := range numbers {
		names[i] = g.names[n]
	}
	return names
}

// Cycles are the groups of services that call one another in a circle: the strongly connected components with more than one service, and services that
// call themselves. Each is sorted, and so are they.
func (g *Graph) Cycles() [][]string {
	var cycles [][]string
	for _, c := range g.components() {
		if len(c) > 1 || g.itself[c[0]] {
			cycles = append(cycles, g.named(c))
		}
	}
	slices.SortFunc(cycles, func(a, b []string) int { return slices.Compare(a, b) })
	return cycles
}

// components are the strongly connected components, callees before their callers, each sorted.
func (g *Graph) components() [][]int {
	var components [][]int
	for _, nodes := range topo.TarjanSCC(directed{g}) {
		numbers := make([]int, len(nodes))
		for i, n := range nodes {
			numbers[i] = int(n.ID())
		}
		slices.Sort(numbers)
		components = append(components, numbers)
	}
	return components
}

// Depths say of each service how many services a request passes at most on its way from one that nobody calls to it, both counted. Services that call one
// another in a circle have the same depth, and the circle counts once.
func (g *Graph) Depths() map[string]int {
	components := g.components()
	of := make([]int, len(g.names))
	for i, c := range components {
		for _, n := range c {
			of[n] = i
		}
	}
	depth := make([]int, len(components))
	for i := len(components) - 1; i >= 0; i-- { // callers before their callees
		depth[i] = max(depth[i], 1)
		for _, n := range components[i] {
			for _, callee := range g.calls[n] {
				if of[callee] != i {
					depth[of[callee]] = max(depth[of[callee]], depth[i]+1)
				}
			}
		}
	}
	depths := make(map[string]int, len(g.names))
	for n, name := range g.names {
		depths[name] = depth[of[n]]
	}
	return depths
}

// directed shows the graph to gonum, which lists nodes in an order of our own.
type directed struct{ g *Graph }

func nodes(numbers []int) graph.Nodes {
	list := make([]graph.Node, len(numbers))
	for i, n := range numbers {
		list[i] = simple.Node(n)
	}
	return iterator.NewOrderedNodes(list)
}

func (d directed) Node(id int64) graph.Node {
	if id < 0 || id >= int64(len(d.g.names)) {
		return nil
	}
	return simple.Node(id)
}

func (d directed) Nodes() graph.Nodes {
	numbers := make([]int, len(d.g.names))
	for i := range numbers {
		numbers[i] = i
	}
	return nodes(numbers)
}

func (d directed) From(id int64) graph.Nodes { return nodes(d.g.calls[id]) }
func (d directed) To(id int64) graph.Nodes   { return nodes(d.g.callers[id]) }

func (d directed) HasEdgeFromTo(from, to int64) bool {
	_, found := slices.BinarySearch(d.g.calls[from], int(to))
	return found
}

func (d directed) HasEdgeBetween(a, b int64) bool {
	return d.HasEdgeFromTo(a, b) || d.HasEdgeFromTo(b, a)
}

func (d directed) Edge(from, to int64) graph.Edge {
	if !d.HasEdgeFromTo(from, to) {
		return nil
	}
	return simple.Edge{F: simple.Node(from), T: simple.Node(to)}
}
