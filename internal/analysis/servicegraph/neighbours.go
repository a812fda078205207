package servicegraph

import (
	"cmp"
	"slices"
)

// Neighbour is a service, and how many calls away another one is.
type Neighbour struct {
	Service string
	// Distance is 1 for those that are next to it.
	Distance int
}

// Callers are the services from which calls reach the service by at most depth calls, the nearest first, of equals by name. Nil where it is not in the
// graph.
func (g *Graph) Callers(service string, depth int) []Neighbour {
	return g.within(g.callers, service, depth)
}

// Callees are the services that calls of the service reach, like Callers.
func (g *Graph) Callees(service string, depth int) []Neighbour {
	return g.within(g.calls, service, depth)
}

func (g *Graph) within(next [][]int, service string, depth int) []Neighbour {
	start, known := g.number[service]
	if !known {
		return nil
	}
	var found []Neighbour
	seen := map[int]bool{start: true}
	for edge, distance := []int{start}, 1; len(edge) > 0 && distance <= depth; distance++ {
		var further []int
		for _, from := range edge {
			for _, to := range next[from] {
				if !seen[to] {
					seen[to] = true
					further = append(further, to)
					found = append(found, Neighbour{g.names[to], distance})
				}
			}
		}
		edge = further
	}
	SortNeighbours(found)
	return found
}

// SortNeighbours sorts by distance, of equals by name.
func SortNeighbours(n []Neighbour) {
	slices.SortFunc(n, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Service, b.Service))
	})
}
