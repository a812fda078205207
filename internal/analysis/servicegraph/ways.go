package servicegraph

import (
	"cmp"
	"container/heap"
	"slices"
)

// maxParts bounds the search for ways; a map has more of them than anybody can list.
const maxParts = 100_000

// Ways are the shortest ways of calls from one service to another, without a service twice, at most limit; of equals in the order of the names. truncated says
// that the search was given up before it knew them all up to the limit. Nil where there is no way, or a service is not in the graph.
func (g *Graph) Ways(from, to string, limit int) (ways [][]string, truncated bool) {
	start, known := g.number[from]
	end, alsoKnown := g.number[to]
	if !known || !alsoKnown || start == end || limit <= 0 {
		return nil, false
	}
	left := g.distancesTo(end)
	if left[start] < 0 {
		return nil, false
	}
	// Parts of ways, the one whose whole can be the shortest first: what is left is known exactly for ways that may repeat a service.
	open := &wayHeap{{node: start, length: 0, least: left[start]}}
	parts := 1
	for open.Len() > 0 {
		w := heap.Pop(open).(*way)
		if w.node == end {
			if ways = append(ways, g.named(w.nodes())); len(ways) == limit {
				return ways, false
			}
			continue
		}
		for _, callee := range g.calls[w.node] {
			if left[callee] >= 0 && !w.has(callee) {
				if parts++; parts > maxParts {
					return ways, true
				}
				heap.Push(open, &way{w, callee, w.length + 1, w.length + 1 + left[callee]})
			}
		}
	}
	return ways, false
}

// distancesTo are how many calls it takes from each service to the one, -1 where there is no way.
func (g *Graph) distancesTo(end int) []int {
	left := make([]int, len(g.names))
	for i := range left {
		left[i] = -1
	}
	left[end] = 0
	queue := []int{end}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, caller := range g.callers[n] {
			if left[caller] < 0 {
				left[caller] = left[n] + 1
				queue = append(queue, caller)
			}
		}
	}
	return left
}

// way is a way to a node, by the way to the node before.
type way struct {
	before        *way
	node          int
	length, least int // calls so far, and at least in the whole
}

func (w *way) has(node int) bool {
	for at := w; at != nil; at = at.before {
		if at.node == node {
			return true
		}
	}
	return false
}

func (w *way) nodes() []int {
	var nodes []int
	for at := w; at != nil; at = at.before {
		nodes = append(nodes, at.node)
	}
	slices.Reverse(nodes)
	return nodes
}

// compare orders by the least whole, then the longer part, then the nodes, so that equals come in the order of the names.
func (w *way) compare(other *way) int {
	if c := cmp.Or(cmp.Compare(w.least, other.least), cmp.Compare(other.length, w.length)); c != 0 {
		return c
	}
	return slices.Compare(w.nodes(), other.nodes())
}

type wayHeap []*way

func (h wayHeap) Len() int           { return len(h) }
func (h wayHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h wayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *wayHeap) Push(w any)        { *h = append(*h, w.(*way)) }

func (h *wayHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
