package tracediff_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/analysis/tracediff"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// part is a path as a test names it: its last operation, without what is ranked by.
type part struct {
	operation   string
	length      int
	this, other tracediff.Sums
}

func read(t *testing.T, text string) *tracediff.Shape {
	t.Helper()
	return tracediff.Read(analysis.Analyze(treetest.Release(t, text)))
}

func parts(d tracediff.Diff) (parts []part) {
	for i := range d.Parts {
		p := &d.Parts[i]
		last := p.Path[len(p.Path)-1]
		parts = append(parts, part{last.Service + " " + last.Operation, p.Length, p.This, p.Other})
	}
	return parts
}

func TestCompare(t *testing.T) {
	// The slow one asks twice, for 30 each, and takes 100; the other asked once, for 20, and looked into a cache for 5, and took 60.
	// What is left of 100 is 40 of the server itself, of 60 it is 35.
	slow := read(t, `
		web 1 - server   0  100 name=GET
		web 2 1 client   10 40  name=SELECT
		web 3 1 client   50 80  name=SELECT error`)
	quick := read(t, `
		web 1 - server   0  60  name=GET
		web 2 1 client   10 15  name=cache
		web 3 1 client   20 40  name=SELECT`)
	sums := func(calls, errors, self, path float64) tracediff.Sums {
		return tracediff.Sums{calls, errors, self, path}
	}
	want := []part{
		{"web SELECT", 2, sums(2, 1, 60, 60), sums(1, 0, 20, 20)},
		{"web cache", 2, sums(0, 0, 0, 0), sums(1, 0, 5, 5)}, // of equals what came or went
		{"web GET", 1, sums(1, 0, 40, 40), sums(1, 0, 35, 35)},
	}
	d := tracediff.Compare(slow, quick, 10)
	require.InDelta(t, 40, d.Duration, 0)
	require.Equal(t, want, parts(d))
	require.Equal(t, []tracediff.Operation{{Service: "web", Operation: "GET"}, {Service: "web", Operation: "SELECT"}}, d.Parts[0].Path)
	require.InDelta(t, 40, d.Parts[0].Contribution(), 0)
	require.InDelta(t, -5, d.Parts[1].Contribution(), 0)

	first := tracediff.Compare(slow, quick, 1)
	require.Equal(t, want[:1], parts(first))
	require.Equal(t, 2, first.More)
	require.InDelta(t, 0, first.Rest, 0, "5 more and 5 less")
	require.InDelta(t, 40, first.Duration, 0)
}

// The same operation on another path is another part; by operation it is the same one.
func TestPathsTellApart(t *testing.T) {
	a := read(t, `
		web  1 - server   0  100 name=GET
		auth 2 1 server   10 30  name=check
		db   3 2 server   10 20  name=read`)
	b := read(t, `
		web  1 - server   0  100 name=GET
		auth 2 1 server   10 30  name=check
		db   3 1 server   40 50  name=read`)
	// Each changed by 10; of these, the calls that came or went stand before those that only took longer or shorter.
	require.Equal(t, []int{2, 3, 1, 2}, func() (lengths []int) {
		for _, p := range parts(tracediff.Compare(a, b, 10)) {
			lengths = append(lengths, p.length)
		}
		return lengths
	}())
	flat := parts(tracediff.Compare(a.ByOperation(), b.ByOperation(), 10))
	require.Equal(t, []part{
		{"auth check", 1, tracediff.Sums{1, 0, 10, 10}, tracediff.Sums{1, 0, 20, 20}},
		{"web GET", 1, tracediff.Sums{1, 0, 80, 80}, tracediff.Sums{1, 0, 70, 70}},
	}, flat)
}

// A chain as long as any is told by its end, in memory that its length bounds.
func TestLongChain(t *testing.T) {
	chain := new(tracediff.Shape)
	path := tracediff.Root
	for i := range 100_000 {
		path = chain.Path(path, tracediff.Operation{Service: "a", Operation: "f"})
		chain.Add(path, tracediff.Sums{Calls: 1, PathTime: float64(i % 2)})
	}
	d := tracediff.Compare(chain, new(tracediff.Shape), 100)
	require.InDelta(t, 50_000, d.Duration, 0)
	require.Len(t, d.Parts, 100)
	require.Equal(t, 99_900, d.More)
	require.InDelta(t, 49_900, d.Rest, 0)
	for _, p := range d.Parts {
		require.Len(t, p.Path, min(p.Length, tracediff.MaxPath))
	}
}

// randomShape has whole numbers, of which sums are exact.
func randomShape(rng *rand.Rand) *tracediff.Shape {
	shape, paths := new(tracediff.Shape), []int{tracediff.Root}
	for range rng.IntN(20) {
		path := shape.Path(paths[rng.IntN(len(paths))], tracediff.Operation{
			Service: strconv.Itoa(rng.IntN(3)), Operation: strconv.Itoa(rng.IntN(2)),
		})
		paths = append(paths, path)
		shape.Add(path, tracediff.Sums{
			Calls: float64(1 + rng.IntN(3)), Errors: float64(rng.IntN(2)), SelfTime: float64(rng.IntN(10)), PathTime: float64(rng.IntN(10)),
		})
	}
	return shape
}

func TestProperties(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := randomShape(rng), randomShape(rng)
		require.Zero(t, tracediff.Compare(a, a, 100), "nothing differs from itself")

		d, swapped := tracediff.Compare(a, b, 100), tracediff.Compare(b, a, 100)
		require.Equal(t, a.Total().PathTime-b.Total().PathTime, d.Duration)
		require.Equal(t, -d.Duration, swapped.Duration)
		require.Len(t, swapped.Parts, len(d.Parts))
		sum := 0.0
		for i := range d.Parts {
			p, q := &d.Parts[i], &swapped.Parts[i]
			sum += p.Contribution()
			require.Equal(t, p.Path, q.Path)
			require.Equal(t, p.This, q.Other)
			require.Equal(t, p.Other, q.This)
		}
		require.Equal(t, d.Duration, sum, "contributions add up")

		cut := tracediff.Compare(a, b, 3)
		sum = cut.Rest
		for i := range cut.Parts {
			sum += cut.Parts[i].Contribution()
		}
		require.Equal(t, d.Duration, sum)
		require.Equal(t, len(d.Parts), len(cut.Parts)+cut.More)
		require.Equal(t, a.Total(), a.ByOperation().Total())
	}
}

// payment takes 60 ms longer on average: of traces with and without that fault, it is payment's operation that contributes most.
func TestShop(t *testing.T) {
	shapes := func(faults ...shop.Fault) (shapes []*tracediff.Shape, durations []int64) {
		s := shop.New(shop.Options{Seed: 1, Faults: faults, Mix: map[string]int{"POST /checkout": 100}})
		require.NoError(t, shoptest.Traces(s, 0, 30, nil, func(_ *shop.Visit, r *analysis.Result) {
			if r.EntryOperation == "POST /checkout" {
				shapes = append(shapes, tracediff.Read(r))
				durations = append(durations, r.RootDuration)
			}
		}))
		return shapes, durations
	}
	slow, slowDurations := shapes(shop.Fault{Service: "payment", Kind: shop.FaultLatency, Value: 50})
	usual, usualDurations := shapes()
	require.NotEmpty(t, slow)
	blamed, compared := 0, 0
	for i := range min(len(slow), len(usual)) {
		d := tracediff.Compare(slow[i], usual[i], 1000)
		require.InDelta(t, float64(slowDurations[i]-usualDurations[i]), d.Duration, 0)
		if len(d.Parts) == 0 {
			continue // a visit that failed before it paid
		}
		compared++
		if first := d.Parts[0].Path[len(d.Parts[0].Path)-1]; first.Service == "payment" {
			blamed++
		}
	}
	require.Greater(t, compared, 10)
	require.Greater(t, blamed, compared*8/10)
}
