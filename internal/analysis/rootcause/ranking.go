package rootcause

import (
	"cmp"
	"slices"
)

// Score is one service's place in a ranking.
type Score struct {
	Service string
	Score   float64 // of the ranking's own kind; more is more suspect
}

// ranking sorts scores, the highest first, of equals by name, and leaves out those of 0 and below.
func ranking(services []string, scores []float64) []Score {
	var ranked []Score
	for i, s := range scores {
		if s > 0 {
			ranked = append(ranked, Score{services[i], s})
		}
	}
	slices.SortFunc(ranked, func(a, b Score) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Service, b.Service))
	})
	return ranked
}

// place is the service's, from 1 on; 0 where it is not ranked.
func place(ranked []Score, service string) int {
	return slices.IndexFunc(ranked, func(s Score) bool { return s.Service == service }) + 1
}
