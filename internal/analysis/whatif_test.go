package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

func TestWhatIf(t *testing.T) {
	//	1 op    |--------------------|  0-100
	//	2 b        |-----|              10-40
	//	3 c           |-----|           20-50
	//	4 b                  |-----|    60-90
	const trace = `
		a 1 - server   0  100 name=op
		a 2 1 internal 10 40  name=b
		a 3 1 internal 20 50  name=c
		a 4 1 internal 60 90  name=b`
	for _, tt := range []struct {
		name, spans, operation string
		factor                 float64
		want                   int64
	}{
		{"as it was", trace, "b", 1, 100},
		{"2 does not matter, 4 takes 15", trace, "b", 0.5, 85},
		{"2 then ends 10-70, 4 starts at 80 and takes 60", trace, "b", 2, 150},
		{"without c, 4 waits for 2, which ends 10 before it", trace, "c", 0, 90},
		{"c 20-80, 4 starts at 90", trace, "c", 2, 130},
		// 1 works for 10 before 2, 20 before 3 (10 of it while 2 runs: 2 is not on the path, so that 1 holds itself up), 10 before 4, 10 at the end.
		{"its own time, children as they were", trace, "op", 2, 140},
		{"its own time, gone", trace, "op", 0, 60},
		{"nobody of that name", trace, "d", 7, 100},
		{"no number", trace, "b", math.NaN(), 100},
		{"negative", trace, "b", -1, 100},
		{
			"beside the path, until it is on it: 30 of slack",
			`
			a 1 - server   0 100
			a 2 1 internal 0 70 name=b
			a 3 1 internal 0 100`,
			"b", 2, 140,
		},
		{
			"below an operation of the same name: each its own time",
			`
			a 1 - server   0  100 name=b
			a 2 1 internal 20 80  name=b
			a 3 2 client   40 60  name=q`,
			"b", 0.5, 60, // 10 + 10 + 20 + 10 + 10
		},
		{
			"nobody waits for a consumer",
			`
			a 1 - producer 0  100
			a 2 1 consumer 20 90 name=b`,
			"b", 5, 100,
		},
		{"without end", trace, "c", math.Inf(1), math.MaxInt64},
		{"nothing", "", "b", 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := analysis.Analyze(treetest.Release(t, tt.spans))
			require.Equal(t, tt.want, r.WhatIf("a", tt.operation, tt.factor))
		})
	}
}

// checkWhatIf checks what holds for every operation of a trace.
func checkWhatIf(t *testing.T, r *analysis.Result) {
	t.Helper()
	type sum struct{ spans, drag, most, path int64 }
	operations := map[[2]string]sum{}
	for i, l := range r.Leeways() {
		s := &r.Spans[i]
		o := operations[[2]string{s.Service, s.Operation}]
		if l.Waited {
			o.spans++
		}
		operations[[2]string{s.Service, s.Operation}] = sum{o.spans, o.drag + l.Drag, max(o.most, l.Drag), o.path + s.CriticalPathTime}
	}
	for name, o := range operations {
		require.Equal(t, r.RootDuration, r.WhatIf(name[0], name[1], 1), name)
		gone := r.WhatIf(name[0], name[1], 0)
		if o.spans == 1 {
			require.Equal(t, r.RootDuration-o.drag, gone, "drag is what factor 0 saves: %s", name)
		}
		require.LessOrEqual(t, gone, r.RootDuration-o.most, name)
		require.GreaterOrEqual(t, gone, r.RootDuration-o.path, "no more than its time on the path: %s", name)
		before := gone
		for _, factor := range []float64{0.1, 0.5, 0.9, 1, 1.5, 3, 100, math.Inf(1)} {
			after := r.WhatIf(name[0], name[1], factor)
			require.GreaterOrEqual(t, after, before, "%s: %v", name, factor)
			before = after
		}
	}
}

func TestWhatIfOnAnyTree(t *testing.T) {
	for seed := range uint64(150) {
		r := random{rand.New(rand.NewPCG(seed, 7))}
		for _, release := range tracetree.Releases(hostile(r, 1+r.intn(25))) {
			if result := analysis.Analyze(&release); result.RootDuration < 1e15 { // above, a float64 does not hold every time
				checkWhatIf(t, result)
			} else {
				require.GreaterOrEqual(t, result.WhatIf("s1", "op1", 3), int64(0))
			}
		}
	}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 8))
		trace := "a 1 - server 0 40\n"
		for id := 2; id <= 12; id++ {
			start := r.IntN(40)
			trace += fmt.Sprintf("a %x %x internal %d %d name=%c\n", id, 1+r.IntN(min(id-1, 3)), start, start+r.IntN(20), 'a'+r.IntN(5))
		}
		checkWhatIf(t, analysis.Analyze(treetest.Release(t, trace)))
	}
}
