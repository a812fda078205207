package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

func TestLeeways(t *testing.T) {
	type leeway struct {
		slack, drag int64
		ignored     bool
	}
	for _, tt := range []struct {
		name, spans string
		want        []leeway // by span
	}{
		{
			//	1  |--------------------|  0-100
			//	2   |-----|                10-40
			//	3      |-----|             20-50
			//	4             |-----|      60-90
			// 4 came after 3, which ended 10 after 2: that is the slack of 2. Without 3, 2 would hold up 4; without 1's own 20 + 10 + 10 it
			// would not be in the way.
			name: "two at once, then one",
			spans: `
				a 1 - server   0  100
				a 2 1 internal 10 40
				a 3 1 internal 20 50
				a 4 1 internal 60 90`,
			want: []leeway{{drag: 40}, {slack: 10}, {drag: 10}, {drag: 30}},
		},
		{
			// 4 may end 5 later for 2, and 2 another 40 for 1.
			name: "slack adds up downwards",
			spans: `
				a 1 - server   0  100
				a 2 1 internal 0  55
				a 3 2 internal 0  50
				a 4 2 internal 10 45
				a 5 1 internal 0  95`,
			want: []leeway{{drag: 5}, {slack: 40}, {slack: 40}, {slack: 45}, {drag: 40}},
		},
		{
			// Without the 50-60 and 0-10 that 1 took itself, 3 would end at 80; but 4, which did not wait for the first of them only, at 85.
			name: "own time that a child beside the path makes up for",
			spans: `
				a 1 - server   0  100
				a 2 1 internal 10 50
				a 3 1 internal 60 100
				a 4 1 internal 20 95`,
			want: []leeway{{drag: 15}, {drag: 5}, {drag: 5}, {slack: 5}},
		},
		{
			name: "nobody waits for a consumer, another root, a span without time, or one after its parent",
			spans: `
				a 1 - producer 0   100
				b 2 1 consumer 10  50
				b 3 2 internal 20  30
				a 4 1 internal 40  40
				a 5 1 internal 100 120
				a 6 9 internal 0   10`,
			want: []leeway{{drag: 100}, {ignored: true}, {ignored: true}, {ignored: true}, {ignored: true}, {ignored: true}},
		},
		{
			// 2 is no more beside 4 than 3 is: without 4, the request would be 50 shorter.
			name: "two that end when the next starts",
			spans: `
				a 1 - server   0  100
				a 2 1 internal 0  50
				a 3 1 internal 20 50
				a 4 1 internal 50 100`,
			want: []leeway{{}, {}, {}, {drag: 50}},
		},
		{
			name: "a span that outlasts its parent is cut",
			spans: `
				a 1 - server   0  100
				a 2 1 internal 10 500
				a 3 1 internal 20 70`,
			want: []leeway{{drag: 10}, {drag: 30}, {slack: 30}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, got := range analysis.Analyze(treetest.Release(t, tt.spans)).Leeways() {
				want := tt.want[i]
				require.Equal(t, analysis.Leeway{Waited: !want.ignored, Slack: want.slack, Drag: want.drag}, got, "span %d", i+1)
			}
		})
	}
}

// retime is the model word by word: how long the cut span takes if span longer takes d more, and the time in which span gone held
// the critical path itself does not pass.
type retime struct {
	r            *analysis.Result
	longer, gone int
	d            int64
}

func (m *retime) duration(span int, from, until int64) int64 {
	tree := m.r.Tree
	type cut struct{ span, start, end, moved int64 }
	var children []cut
	for _, c := range tree.Children(span) { // by start
		child := &tree.Nodes[c]
		if start, end := max(child.Start, from), min(child.End, until); start < end && blocks(&tree.Nodes[span], child) {
			children = append(children, cut{span: int64(c), start: start, end: end})
		}
	}
	pause := func(start, end int64) int64 {
		pause := end - start
		for _, s := range m.r.Path {
			if s.Span == span && span == m.gone {
				pause -= max(0, min(s.End, end)-max(s.Start, start))
			}
		}
		return pause
	}
	for i := range children {
		c := &children[i]
		after, moved := from, from
		for _, other := range children {
			if other.end <= c.start {
				after, moved = max(after, other.end), max(moved, other.moved)
			}
		}
		c.moved = moved + pause(after, c.start) + m.duration(int(c.span), c.start, c.end)
	}
	last, moved := from, from
	for _, c := range children {
		last, moved = max(last, c.end), max(moved, c.moved)
	}
	took := moved + pause(last, until) - from
	if span == m.longer {
		took += m.d
	}
	return took
}

func (m *retime) request() int64 {
	entry := &m.r.Tree.Nodes[m.r.Tree.Entry]
	return m.duration(m.r.Tree.Entry, entry.Start, entry.End)
}

func checkLeeways(t *testing.T, r *analysis.Result) {
	t.Helper()
	leeways := r.Leeways()
	for i, l := range leeways {
		if !l.Waited {
			require.Equal(t, analysis.Leeway{}, l)
			require.Zero(t, r.Spans[i].CriticalPathTime)
			continue
		}
		if r.Spans[i].CriticalPathTime > 0 {
			require.Zero(t, l.Slack)
		}
		require.Equal(t, r.RootDuration-l.Drag, (&retime{r: r, longer: -1, gone: i}).request(), "without %d", i)
		for _, d := range []int64{1, 7, 50} {
			require.Equal(t, r.RootDuration+max(0, d-l.Slack), (&retime{r: r, longer: i, gone: -1, d: d}).request(), "%d later by %d", i, d)
		}
	}
}

// checkLeewayBounds holds for times of any size.
func checkLeewayBounds(t *testing.T, r *analysis.Result) {
	t.Helper()
	for i, l := range r.Leeways() {
		require.True(t, 0 <= l.Slack && l.Slack <= r.RootDuration, "slack %d", l.Slack)
		require.True(t, 0 <= l.Drag && l.Drag <= r.Spans[i].CriticalPathTime, "drag %d", l.Drag)
	}
}

// On any tree the figures are what comes out if the trace is timed anew.
func TestLeewaysAreThoseOfTheRetimedTrace(t *testing.T) {
	for seed := range uint64(1_000) {
		r := random{rand.New(rand.NewPCG(seed, 5))}
		for _, release := range tracetree.Releases(hostile(r, 1+r.intn(25))) {
			if result := analysis.Analyze(&release); result.RootDuration < 1e15 { // else the model overflows
				checkLeeways(t, result)
			}
		}
	}
	for seed := range uint64(1_000) {
		r := rand.New(rand.NewPCG(seed, 6))
		trace := "a 1 - server 0 40\n"
		for id := 2; id <= 12; id++ { // few parents and few times: much at once, and much at the same time
			start := r.IntN(40)
			trace += fmt.Sprintf("a %x %x internal %d %d\n", id, 1+r.IntN(min(id-1, 3)), start, start+r.IntN(20))
		}
		checkLeeways(t, analysis.Analyze(treetest.Release(t, trace)))
	}
}
