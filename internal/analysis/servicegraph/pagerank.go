package servicegraph

import "math"

const (
	damping     = 0.85
	maxRounds   = 200
	rankSettled = 1e-10
)

// PageRank says how important each service is to the others: the chance to find there somebody who follows calls, as often as they are made, and begins
// anew in 15 % of the steps, or where nothing is called (Brin and Page, 1998). The sum is 1. gonum's begins with random numbers; ours does not, so that the
// same map has the same ranks.
func (g *Graph) PageRank() map[string]float64 {
	n := len(g.names)
	ranks := make(map[string]float64, n)
	if n == 0 {
		return ranks
	}
	now, next := make([]float64, n), make([]float64, n)
	out := make([]float64, n)
	for i := range now {
		now[i] = 1 / float64(n)
		for _, w := range g.weights[i] {
			out[i] += w
		}
	}
	for range maxRounds {
		anew := 0.0
		for i := range next {
			next[i] = 0
			if len(g.calls[i]) == 0 {
				anew += now[i]
			} else {
				anew += now[i] * (1 - damping)
			}
		}
		for i, callees := range g.calls {
			for k, to := range callees {
				next[to] += damping * now[i] * g.weights[i][k] / out[i]
			}
		}
		moved := 0.0
		for i := range next {
			next[i] += anew / float64(n)
			moved += math.Abs(next[i] - now[i])
		}
		now, next = next, now
		if moved < rankSettled {
			break
		}
	}
	for i, name := range g.names {
		ranks[name] = now[i]
	}
	return ranks
}
