package query

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// mapOf has a node for each letter and an edge for each pair.
func mapOf(pairs ...string) *ServiceMap {
	m := &ServiceMap{
		Start: time.Unix(60, 0), End: time.Unix(120, 0),
		Completeness: tracestore.Completeness{Spans: 7},
	}
	known := map[string]bool{}
	for _, pair := range pairs {
		for _, name := range []string{pair[:1], pair[1:]} {
			if !known[name] {
				known[name] = true
				m.Nodes = append(m.Nodes, ServiceNode{Name: name})
			}
		}
		m.Edges = append(m.Edges, ServiceEdge{Parent: pair[:1], Child: pair[1:]})
	}
	return m
}

func written(m *ServiceMap) (nodes string, edges []string) {
	for _, n := range m.Nodes {
		nodes += n.Name
	}
	for _, e := range m.Edges {
		edges = append(edges, e.Parent+e.Child)
	}
	return nodes, edges
}

// a calls b and c, both call d, d calls e and itself; x calls y.
func TestAround(t *testing.T) {
	m := mapOf("ab", "ac", "bd", "cd", "dd", "de", "xy")
	for _, test := range []struct {
		focus string
		depth int
		nodes string
		edges []string
	}{
		{"d", 0, "d", []string{"dd"}},
		{"d", 1, "bcde", []string{"bd", "cd", "dd", "de"}},
		{"d", 2, "abcde", []string{"ab", "ac", "bd", "cd", "dd", "de"}},
		{"d", 100, "abcde", []string{"ab", "ac", "bd", "cd", "dd", "de"}},
		{"b", 2, "abcde", []string{"ab", "ac", "bd", "cd", "dd", "de"}},
		{"e", 1, "de", []string{"dd", "de"}},
		{"y", 5, "xy", []string{"xy"}},
		{"z", 5, "", nil},
	} {
		nodes, edges := written(m.Around(test.focus, test.depth))
		require.Equal(t, test.nodes, nodes, "%s %d", test.focus, test.depth)
		require.Equal(t, test.edges, edges, "%s %d", test.focus, test.depth)
	}
	around := m.Around("a", 1)
	require.EqualValues(t, 7, around.Completeness.Spans)
	require.Equal(t, []time.Time{m.Start, m.End}, []time.Time{around.Start, around.End}, "rates are by the window")
}

// A deeper neighbourhood holds the one before; each node of it has a neighbour in it, and as deep as there are nodes nothing more comes.
func TestNeighbourhoodsGrow(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var pairs []string
		for range 1 + rng.IntN(20) {
			pairs = append(pairs, strconv.Itoa(rng.IntN(10))+strconv.Itoa(rng.IntN(10)))
		}
		m := mapOf(pairs...)
		focus := m.Nodes[rng.IntN(len(m.Nodes))].Name
		var before *ServiceMap
		for depth := range 12 {
			now := m.Around(focus, depth)
			if before != nil {
				require.Subset(t, now.Nodes, before.Nodes)
				require.Subset(t, now.Edges, before.Edges)
			}
			before = now
		}
		require.Equal(t, before, m.Around(focus, 100))
		for _, e := range m.Edges {
			parent, child := false, false
			for _, n := range before.Nodes {
				parent, child = parent || n.Name == e.Parent, child || n.Name == e.Child
			}
			require.Equal(t, parent, child, "nothing that it touches is left out")
		}
	}
}
