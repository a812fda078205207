package block

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// requireRelated requires that no release with the structure is passed over, and counts those with it and those that were not passed over.
func requireRelated(t *testing.T, b *Body, releases []tracetree.Release, s *tracestore.Structure) (matching, left int) {
	t.Helper()
	filter := tracestore.NewFilter(&tracestore.Conditions{Structure: []tracestore.Structure{*s}})
	list, err := b.Related(nil, s)
	require.NoError(t, err)
	require.True(t, slices.IsSorted(list))
	for i := range releases {
		if filter.Match(&tracestore.Summary{}, releases[i].Spans) {
			matching++
			require.Contains(t, list, i, "%+v", s)
		}
	}
	return matching, len(list)
}

func (a asker) structure(depth int) *tracestore.Structure {
	s := &tracestore.Structure{Above: a.conditions(depth), Relation: tracestore.RelationChild, Below: a.conditions(depth)}
	if a.IntN(2) == 0 {
		s.Relation = tracestore.RelationDescendant
	}
	return s
}

func TestRelated(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 8}), 0, 60))
	_, b := blockOf(t, NewEncoder(), releases)
	failed := true
	all, matching, left := 0, 0, 0
	for range 100 {
		// A service above failures or another service: what operations tell.
		s := &tracestore.Structure{Relation: tracestore.RelationDescendant}
		a := asker{rng, releases}
		s.Above.Service = a.span().Service()
		if s.Below.Errors = &failed; rng.IntN(2) == 0 {
			s.Relation, s.Below = tracestore.RelationChild, tracestore.SpanConditions{Service: a.span().Service()}
		}
		yes, maybe := requireRelated(t, b, releases, s)
		all, matching, left = all+len(releases), matching+yes, left+maybe
		requireRelated(t, b, releases, a.structure(rng.IntN(2)))
	}
	t.Logf("%d releases, %d match, %d are left", all, matching, left)
	require.Less(t, left-matching, all/50)
}

// TestWildRelated has ids that repeat, parents that go in circles, and spans that are their own.
func TestWildRelated(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	w := wild{rng}
	encoder := NewEncoder()
	for range 40 {
		var releases []tracetree.Release
		for len(releases) == 0 || rng.IntN(5) > 0 {
			releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
		}
		_, b := blockOf(t, encoder, releases)
		for range 30 {
			requireRelated(t, b, releases, asker{rng, releases}.structure(rng.IntN(2)))
		}
	}
}
