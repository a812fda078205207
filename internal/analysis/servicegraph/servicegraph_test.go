package servicegraph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
)

// edges reads "a>b b>c*5": a calls b, b calls c five times.
func edges(text string) (edges []servicegraph.Edge) {
	for word := range strings.FieldsSeq(text) {
		e := servicegraph.Edge{Calls: 1}
		_, calls, _ := strings.Cut(word, "*")
		_, _ = fmt.Sscan(calls, &e.Calls)
		e.Parent, e.Child, _ = strings.Cut(strings.TrimSuffix(word, "*"+calls), ">")
		edges = append(edges, e)
	}
	return edges
}

// web ──► cart ──► db          The map of the tests: one circle (a, b), one service that calls itself (loop).
//
//	│        │
//	└──► auth┘  ──► ldap
const smallMap = "web>cart web>auth cart>auth cart>db auth>ldap jobs>loop loop>loop loop>a a>b b>a b>queue"

func TestCycles(t *testing.T) {
	require.Equal(t, [][]string{{"a", "b"}, {"loop"}}, servicegraph.New(edges(smallMap)).Cycles())
	require.Empty(t, servicegraph.New(edges("a>b b>c a>c")).Cycles())
	require.Empty(t, servicegraph.New(nil).Cycles())
}

func TestDepths(t *testing.T) {
	require.Equal(t, map[string]int{
		"web": 1, "cart": 2, "auth": 3, "db": 3, "ldap": 4, "jobs": 1, "loop": 2, "a": 3, "b": 3, "queue": 4,
	}, servicegraph.New(edges(smallMap)).Depths())
	require.Empty(t, servicegraph.New(nil).Depths())
	require.Equal(t, map[string]int{"a": 1}, servicegraph.New(edges("a>a")).Depths())
}

func TestSinglePoints(t *testing.T) {
	points := func(text string) []servicegraph.SinglePoint { return servicegraph.New(edges(text)).SinglePoints() }
	// cart holds db, auth holds ldap, web all four; jobs, loop, a, b, queue are a line, with a circle that does not matter without directions.
	require.Equal(t, []servicegraph.SinglePoint{
		{"a", 2, true}, {"auth", 1, true}, {"b", 1, true}, {"cart", 1, true}, {"jobs", 4, false}, {"loop", 3, true}, {"web", 4, false},
	}, points(smallMap))
	require.Empty(t, points("a>b b>c c>a"), "a ring: requests may come in anywhere")
	// hub is between two callers and two callees: without it each stands alone, and both callees are cut off.
	require.Equal(t, []servicegraph.SinglePoint{{"hub", 2, true}}, points("a>hub b>hub hub>c hub>d"))
	// Without x the map falls apart, but nothing is cut off from requests: y has its own.
	require.Equal(t, []servicegraph.SinglePoint{{"x", 0, true}}, points("a>x y>x"))
	// All comes in by proxy, which does not hold the rest together.
	require.Equal(t, []servicegraph.SinglePoint{{"proxy", 3, false}}, points("proxy>a proxy>b a>c b>c"))
	require.Empty(t, servicegraph.New(nil).SinglePoints())
}

func TestPageRank(t *testing.T) {
	// Two that call each other: half each.
	ranks := servicegraph.New(edges("a>b b>a")).PageRank()
	require.InDelta(t, 0.5, ranks["a"], 1e-9)
	// a calls b three times as often as c. With x = 0.15/3 + what b and c, which call nobody, and so begin anew, hand out:
	// a = e; b = e + 0.85·a·3/4; c = e + 0.85·a/4; a + b + c = 1, so e·3 + 0.85·e = 1.
	ranks = servicegraph.New(edges("a>b*3 a>c")).PageRank()
	e := 1 / 3.85
	require.InDelta(t, e, ranks["a"], 1e-9)
	require.InDelta(t, e*(1+0.85*0.75), ranks["b"], 1e-9)
	require.InDelta(t, e*(1+0.85*0.25), ranks["c"], 1e-9)
	require.Empty(t, servicegraph.New(nil).PageRank())
	require.InDelta(t, 1, servicegraph.New(edges("a>a*-3")).PageRank()["a"], 1e-9)
}

func TestWays(t *testing.T) {
	g := servicegraph.New(edges(smallMap))
	ways, truncated := g.Ways("web", "ldap", 10)
	require.False(t, truncated)
	require.Equal(t, [][]string{{"web", "auth", "ldap"}, {"web", "cart", "auth", "ldap"}}, ways)
	ways, _ = g.Ways("web", "ldap", 1)
	require.Len(t, ways, 1)
	for _, none := range [][2]string{{"db", "web"}, {"web", "queue"}, {"web", "web"}, {"web", "nobody"}, {"nobody", "web"}} {
		ways, truncated = g.Ways(none[0], none[1], 10)
		require.Empty(t, ways, none)
		require.False(t, truncated)
	}
	// All services call all others: no end of ways, but the first ones come.
	var all []servicegraph.Edge
	for i := range 40 {
		for k := range 40 {
			all = append(all, servicegraph.Edge{Parent: fmt.Sprint("s", i), Child: fmt.Sprint("s", k)})
		}
	}
	ways, _ = servicegraph.New(all).Ways("s0", "s39", 39)
	require.Len(t, ways, 39)
	require.Len(t, ways[0], 2)
	require.Len(t, ways[38], 3)
	ways, truncated = servicegraph.New(all).Ways("s0", "s39", 1_000_000)
	require.True(t, truncated)
	require.Greater(t, len(ways), 39)
}

// A chain as long as a graph may be, and one that is longer; a star.
func TestLargeGraphs(t *testing.T) {
	var chain, star []servicegraph.Edge
	for i := range 12_000 {
		chain = append(chain, servicegraph.Edge{Parent: fmt.Sprintf("s%05d", i), Child: fmt.Sprintf("s%05d", i+1)})
		star = append(star, servicegraph.Edge{Parent: "hub", Child: fmt.Sprintf("t%05d", i)})
	}
	g := servicegraph.New(chain)
	require.True(t, g.Truncated())
	require.Len(t, g.Services(), servicegraph.MaxServices)
	require.Equal(t, servicegraph.MaxServices, g.Depths()["s09999"])
	points := g.SinglePoints()
	require.Len(t, points, servicegraph.MaxServices-1)
	require.Equal(t, servicegraph.SinglePoint{Service: "s00001", CutOff: servicegraph.MaxServices - 2, Splits: true}, points[1])
	ways, truncated := g.Ways("s00000", "s09999", 3)
	require.Len(t, ways, 1)
	require.False(t, truncated)
	require.Equal(t, servicegraph.MaxServices-1, servicegraph.New(star).SinglePoints()[0].CutOff)
	sum := 0.0
	for _, rank := range g.PageRank() {
		sum += rank
	}
	require.InDelta(t, 1, sum, 1e-6)
}

// Against what is meant, word by word, on small graphs; and the order of the edges does not matter.
func TestAnyGraph(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 2 + rng.IntN(7)
		var random []servicegraph.Edge
		for range rng.IntN(14) {
			random = append(random, servicegraph.Edge{
				Parent: string(rune('a' + rng.IntN(n))), Child: string(rune('a' + rng.IntN(n))), Calls: int64(rng.IntN(5)),
			})
		}
		g := servicegraph.New(random)
		var points []string
		for _, p := range g.SinglePoints() {
			if p.Splits {
				points = append(points, p.Service)
			}
		}
		var want []string
		for _, s := range g.Services() {
			if parts(random, s) > parts(random, "")-alone(random, s) {
				want = append(want, s)
			}
		}
		require.Equal(t, want, points, "%v", random)
		shuffled := slices.Clone(random)
		rng.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
		other := servicegraph.New(shuffled)
		require.Equal(t, g.Cycles(), other.Cycles())
		require.Equal(t, g.Depths(), other.Depths())
		require.Equal(t, g.PageRank(), other.PageRank())
		require.Equal(t, g.SinglePoints(), other.SinglePoints())
		sum := 0.0
		for _, rank := range g.PageRank() {
			sum += rank
		}
		if len(g.Services()) > 0 {
			require.InDelta(t, 1, sum, 1e-6)
		}
	}
}

// alone is 1 for a service that is connected with no other.
func alone(edges []servicegraph.Edge, service string) int {
	for _, e := range edges {
		if (e.Parent == service) != (e.Child == service) {
			return 0
		}
	}
	return 1
}

// parts counts the connected parts without a service.
func parts(edges []servicegraph.Edge, without string) int {
	of := map[string]string{}
	for _, e := range edges {
		for _, s := range []string{e.Parent, e.Child} {
			if s != without {
				of[s] = s
			}
		}
	}
	for range of {
		for _, e := range edges {
			if e.Parent != without && e.Child != without {
				of[e.Parent] = min(of[e.Parent], of[e.Child])
				of[e.Child] = of[e.Parent]
			}
		}
	}
	names := map[string]bool{}
	for _, part := range of {
		names[part] = true
	}
	return len(names)
}

func TestNeighbours(t *testing.T) {
	g := servicegraph.New([]servicegraph.Edge{
		{Parent: "a", Child: "b"}, {Parent: "a", Child: "c"}, {Parent: "b", Child: "d"}, {Parent: "c", Child: "d"}, {Parent: "d", Child: "a"}, {Parent: "d", Child: "d"},
	})
	require.Equal(t, []servicegraph.Neighbour{{Service: "b", Distance: 1}, {Service: "c", Distance: 1}, {Service: "d", Distance: 2}}, g.Callees("a", 5))
	require.Equal(t, []servicegraph.Neighbour{{Service: "b", Distance: 1}, {Service: "c", Distance: 1}, {Service: "a", Distance: 2}}, g.Callers("d", 2))
	require.Equal(t, []servicegraph.Neighbour{{Service: "d", Distance: 1}}, g.Callers("a", 1))
	require.Nil(t, g.Callees("x", 1))
	require.Nil(t, g.Callees("a", 0))
}
