package tracetree_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// draw writes a tree as indented lines "id kind [start,end)", roots in order, and then what stands outside.
func draw(tree *tracetree.Tree) string {
	var b strings.Builder
	type item struct{ span, depth int }
	var stack []item
	for _, root := range slices.Backward(tree.Roots) {
		stack = append(stack, item{root, 0})
	}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", at.depth), label(tree, at.span))
		for _, c := range slices.Backward(tree.Children(at.span)) {
			stack = append(stack, item{c, at.depth + 1})
		}
	}
	var outside []string
	for i := range tree.Nodes {
		switch n := &tree.Nodes[i]; {
		case n.Duplicate:
			outside = append(outside, "duplicate "+label(tree, i))
		case n.Conflict:
			outside = append(outside, "conflict "+label(tree, i))
		}
	}
	slices.Sort(outside)
	for _, line := range outside {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func label(tree *tracetree.Tree, i int) string {
	n := &tree.Nodes[i]
	id := n.SpanID()
	text := fmt.Sprintf("%x %s %d-%d", id[7], strings.ToLower(n.Kind().String()), n.Start, n.End)
	if n.Shift != 0 {
		text += fmt.Sprintf(" shift %+d", n.Shift)
	}
	if n.MissingParent {
		text += " orphan"
	}
	if i == tree.Entry {
		text += " entry"
	}
	return text
}

func TestBuild(t *testing.T) {
	for _, tt := range []struct {
		name, spans, want string
		missing           int
	}{
		{name: "empty"},
		{
			name: "children in start order, ties by span id",
			spans: `
				a 1 - server   0 100
				a 4 1 internal 50 60
				a 3 1 internal 10 20
				a 2 1 internal 10 90
				a 5 3 internal 12 13`,
			want: `
				1 server 0-100 entry
				 2 internal 10-90
				 3 internal 10-20
				  5 internal 12-13
				 4 internal 50-60`,
		},
		{
			name: "the earliest true root is the entry, though an orphan starts before it",
			spans: `
				a 1 9 internal 0 5
				a 2 - server   20 30
				a 3 - server   10 40
				a 4 9 internal 6 7
				a 5 8 internal 50 60`,
			want: `
				1 internal 0-5 orphan
				4 internal 6-7 orphan
				3 server 10-40 entry
				2 server 20-30
				5 internal 50-60 orphan`,
			missing: 2, // 9, named twice, and 8
		},
		{
			name: "orphans only",
			spans: `
				a 2 9 internal 5 6
				a 1 8 internal 5 7`,
			want: `
				1 internal 5-7 orphan entry
				2 internal 5-6 orphan`,
			missing: 2,
		},
		{
			name: "a span that is its own parent is a root",
			spans: `
				a 1 1 server 0 10
				a 2 1 internal 1 2`,
			want: `
				1 server 0-10 entry
				 2 internal 1-2`,
		},
		{
			name: "a cycle is cut above its earliest span",
			spans: `
				a 1 3 internal 30 40
				a 2 1 internal 10 50
				a 3 2 internal 20 60
				a 4 1 internal 31 32`,
			want: `
				2 internal 10-50 entry
				 3 internal 20-60
				  1 internal 30-40
				   4 internal 31-32`,
		},
		{
			name: "a true root comes before the remains of a cycle",
			spans: `
				a 1 2 internal 0 1
				a 2 1 internal 0 2
				a 3 - internal 5 6`,
			want: `
				1 internal 0-1
				 2 internal 0-2
				3 internal 5-6 entry`,
		},
		{
			name: "and so does an orphan",
			spans: `
				a 1 2 internal 0 1
				a 2 1 internal 0 2
				a 3 9 internal 5 6`,
			want: `
				1 internal 0-1
				 2 internal 0-2
				3 internal 5-6 orphan entry`,
			missing: 1,
		},
		{
			name: "shared ids: the server half hangs under the client half, children under the server half",
			spans: `
				a 1 - server   0 100
				b 2 1 server   20 80
				a 2 1 client   10 90
				b 3 2 internal 30 40`,
			want: `
				1 server 0-100 entry
				 2 client 10-90
				  2 server 20-80
				   3 internal 30-40`,
		},
		{
			name: "a server half that names its own id",
			spans: `
				a 2 - client 10 90
				b 2 2 server 20 80`,
			want: `
				2 client 10-90 entry
				 2 server 20-80`,
		},
		{
			name: "both halves name their own id, and the server half starts first",
			spans: `
				a 2 2 client 10 90
				b 2 2 server 5 80`,
			want: `
				2 client 10-90 entry
				 2 server 12-87 shift +7`, // 75 in 80: 2 before it
		},
		{
			name: "shared ids that form a cycle",
			spans: `
				a 1 3 client   10 90
				b 1 3 server   20 80
				b 3 1 internal 30 40`,
			want: `
				1 client 10-90 entry
				 1 server 20-80
				  3 internal 30-40`,
		},
		{
			name: "duplicates and conflicts stand outside",
			spans: `
				a 1 - server   0 100
				a 2 1 internal 10 20
				a 2 1 internal 10 20
				a 2 1 internal 10 30
				a 2 1 internal 10 30
				a 3 2 internal 11 12`,
			want: `
				1 server 0-100 entry
				 2 internal 10-20
				  3 internal 11-12
				conflict 2 internal 10-30
				duplicate 2 internal 10-20
				duplicate 2 internal 10-30`,
		},
		{
			name: "a span that ends before it starts has no duration",
			spans: `
				a 1 - server   10 5
				a 2 1 internal 7 8`,
			want: `
				1 server 10-10 entry
				 2 internal 7-8`,
		},
		{
			name: "times outside int64 count as 0",
			spans: `
				a 1 - server   5 18446744073709551615
				a 2 1 internal 9223372036854775808 8`,
			want: `
				1 server 5-5 entry
				 2 internal 0-8`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			release := treetest.Release(t, tt.spans)
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "\t", "")
			if want != "" {
				want += "\n"
			}
			tree := tracetree.Build(release.Spans)
			require.Equal(t, want, draw(tree))
			require.Equal(t, tt.missing, tree.MissingParents)

			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				r.Shuffle(len(release.Spans), func(i, j int) {
					release.Spans[i], release.Spans[j] = release.Spans[j], release.Spans[i]
				})
				require.Equal(t, want, draw(tracetree.Build(release.Spans)), "in another order")
			}
		})
	}
}

// A late fragment may hold a span whose identity was released before: only the mark that assembly left says so.
func TestBuildBelievesAssemblysConflicts(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server   0 100
		a 2 1 internal 5 10
		a 2 1 internal 7 10
		a 3 9 internal 20 30
		a 3 9 internal 20 30
		a 4 3 internal 22 23`)
	for _, marked := range []int{1, 4} { // the 2 that would be kept, and one of the 3
		release.Spans[marked].Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().
			SetStr(conventions.ViolationConflictingSpanID)
	}
	tree := tracetree.Build(release.Spans)
	require.Equal(t, strings.Join([]string{
		"1 server 0-100 entry",
		" 2 internal 7-10",
		"4 internal 22-23 orphan", // its parent was released, so it is not missing
		"conflict 2 internal 5-10",
		"conflict 3 internal 20-30",
		"duplicate 3 internal 20-30",
		"",
	}, "\n"), draw(tree))
	require.Zero(t, tree.MissingParents)
}

// A span may come many times in one request, and its service's name stand behind many attributes. One that is a number takes memory each
// time it is read, which tells how often that was.
func TestBuildReadsServicesOfDuplicatesOnce(t *testing.T) {
	const spans = 200
	release := treetest.Release(t, strings.Repeat("a 1 - server 5 100\n", spans))
	release.Spans[0].Resource.Attributes().PutInt("service.name", 4711)
	var builder tracetree.Builder
	require.Less(t, testing.AllocsPerRun(5, func() { builder.Build(release.Spans) }), float64(spans))
}

func TestBuildBounds(t *testing.T) {
	tree := tracetree.Build(treetest.Release(t, `
		a 1 - server   10 20
		a 2 1 internal 5 30
		a 2 1 internal 1 99`).Spans)
	require.Equal(t, int64(1), tree.Start)
	require.Equal(t, int64(99), tree.End, "of 2 the earlier is kept")

	tree = tracetree.Build(nil)
	require.Equal(t, -1, tree.Entry)
	require.Zero(t, tree.Start)
	require.Zero(t, tree.End)
	require.Empty(t, tree.Roots)
}

func TestBuilderReusesMemory(t *testing.T) {
	var b tracetree.Builder
	large := treetest.Release(t, `
		a 1 - server   0 100
		b 2 1 server   20 80
		a 2 1 client   10 90
		b 3 2 internal 30 40
		b 4 9 internal 30 40`)
	small := treetest.Release(t, `
		a 2 1 internal 0 10`)
	for range 3 {
		require.Equal(t, draw(tracetree.Build(large.Spans)), draw(b.Build(large.Spans)))
		require.Equal(t, draw(tracetree.Build(small.Spans)), draw(b.Build(small.Spans)))
		b.Reset()
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { b.Build(large.Spans) }))
}

// hostile makes n spans by f, all at once.
func hostile(n int, f func(i int, span ptrace.Span)) []tracetree.Span {
	ss := ptrace.NewScopeSpans()
	resource := pcommon.NewResource()
	spans := make([]tracetree.Span, n)
	for i := range n {
		span := ss.Spans().AppendEmpty()
		f(i, span)
		spans[i] = tracetree.Span{Span: span, Resource: resource, Scope: ss.Scope()}
	}
	return spans
}

// Shapes that a quadratic or recursive tree would not survive.
func TestBuildLarge(t *testing.T) {
	const n = 100_000
	for name, f := range map[string]func(i int, span ptrace.Span){
		"chain": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			span.SetParentSpanID(treetest.ID(uint64(i)))
		},
		"one cycle": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			span.SetParentSpanID(treetest.ID(uint64((i+1)%n + 1)))
		},
		"wide": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			if i > 0 {
				span.SetParentSpanID(treetest.ID(1))
			}
			span.SetStartTimestamp(pcommon.Timestamp(n - i))
		},
		"one id": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(7))
			span.SetParentSpanID(treetest.ID(7))
			span.SetKind(ptrace.SpanKind(i))
			span.SetStartTimestamp(pcommon.Timestamp(i))
		},
		"one id and its children": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(7))
			if i%2 == 0 {
				span.SetSpanID(treetest.ID(uint64(i + 8)))
			}
			span.SetParentSpanID(treetest.ID(7))
			span.SetStartTimestamp(pcommon.Timestamp(i))
		},
		"calls to skewed clocks": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			span.SetKind(ptrace.SpanKindClient)
			if i%2 == 1 {
				span.SetParentSpanID(treetest.ID(uint64(i)))
				span.SetKind(ptrace.SpanKindServer)
				span.SetStartTimestamp(pcommon.Timestamp(n + i))
				span.SetEndTimestamp(pcommon.Timestamp(n + i))
			}
		},
		"ids that are equal in their low bits": func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i+1) << 40))
			span.SetParentSpanID(treetest.ID(uint64(i+n) << 40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			spans := hostile(n, f)
			start := time.Now()
			tree := tracetree.Build(spans)
			require.Less(t, time.Since(start), 10*time.Second)
			count := len(tree.Roots)
			for i := range tree.Nodes {
				count += len(tree.Children(i))
				if !tree.Nodes[i].InTree() {
					count++
				}
			}
			require.Equal(t, n, count, "every span stands in one place")
		})
	}
}

func TestClockSkew(t *testing.T) {
	for _, tt := range []struct {
		name, spans, want string
	}{
		{
			name: "a server that fits stays",
			spans: `
				a 1 - client 0 100
				b 2 1 server 0 100`,
			want: `
				1 client 0-100 entry
				 2 server 0-100`,
		},
		{
			// 40 long in 100: (100-40)/2 = 30 of network before and after it.
			name: "a server that does not fit is centred, and what hangs under it moves too",
			spans: `
				a 1 - client   100 200
				b 2 1 server   510 550
				b 3 2 internal 520 540`,
			want: `
				1 client 100-200 entry
				 2 server 130-170 shift -380
				  3 internal 140-160 shift -380`,
		},
		{
			name: "a clock that is behind",
			spans: `
				a 1 - client 1000 1010
				b 2 1 server 1 8`, // 7 in 10: half of 3 is 1
			want: `
				1 client 1000-1010 entry
				 2 server 1001-1008 shift +1000`,
		},
		{
			name: "a server that outlasts the client that gave up is no clock",
			spans: `
				a 1 - client 0 10
				b 2 1 server 4 50`,
			want: `
				1 client 0-10 entry
				 2 server 4-50`,
		},
		{
			name: "a longer server that starts before its client",
			spans: `
				a 1 - client 100 110
				b 2 1 server 90 130`,
			want: `
				1 client 100-110 entry
				 2 server 100-140 shift +10`,
		},
		{
			name: "a longer server that starts after its client has ended",
			spans: `
				a 1 - client 100 110
				b 2 1 server 111 150`,
			want: `
				1 client 100-110 entry
				 2 server 100-139 shift -11`,
		},
		{
			// b's clock is 1000 ahead, c's is right.
			name: "a server below a shifted one that fits by its own clock",
			spans: `
				a 1 - client 0 100
				b 2 1 server 1010 1090
				b 3 2 client 1020 1060
				c 4 3 server 30 40`,
			want: `
				1 client 0-100 entry
				 2 server 10-90 shift -1000
				  3 client 20-60 shift -1000
				   4 server 30-40`,
		},
		{
			// 75 in 100: b moves from 30 to 12, and with it its client to 22-82. c fits there with b's shift as well as without.
			name: "of two ways to fit its own clock goes first",
			spans: `
				a 1 - client 0 100
				b 2 1 server 30 105
				b 3 2 client 40 100
				c 4 3 server 45 60`,
			want: `
				1 client 0-100 entry
				 2 server 12-87 shift -18
				  3 client 22-82 shift -18
				   4 server 45-60`,
		},
		{
			// b and c stand on one host: 1025 - 1000 lies within c's client, and not in its middle.
			name: "a server below a shifted one on the same host",
			spans: `
				a 1 - client 0 100
				b 2 1 server 1010 1090
				b 3 2 client 1020 1060
				c 4 3 server 1025 1030`,
			want: `
				1 client 0-100 entry
				 2 server 10-90 shift -1000
				  3 client 20-60 shift -1000
				   4 server 25-30 shift -1000`,
		},
		{
			// c is 500 behind: neither 530-540 as they are nor less 1000 fit into 20-60, whose middle is 40.
			name: "a server below a shifted one with a third clock",
			spans: `
				a 1 - client 0 100
				b 2 1 server 1010 1090
				b 3 2 client 1020 1060
				c 4 3 server 530 540`,
			want: `
				1 client 0-100 entry
				 2 server 10-90 shift -1000
				  3 client 20-60 shift -1000
				   4 server 35-45 shift -495`,
		},
		{
			name: "a consumer keeps its own clock, below a shifted producer too",
			spans: `
				a 1 - client   0 100
				b 2 1 server   1010 1090
				b 3 2 producer 1020 1021
				c 4 3 consumer 5 9
				c 5 4 internal 6 7`,
			want: `
				1 client 0-100 entry
				 2 server 10-90 shift -1000
				  3 producer 20-21 shift -1000
				   4 consumer 5-9
				    5 internal 6-7`,
		},
		{
			name: "a server under anything but a client is left alone",
			spans: `
				a 1 - internal 0 100
				b 2 1 server   500 600`,
			want: `
				1 internal 0-100 entry
				 2 server 500-600`,
		},
		{
			// The child's time would be before 1970: it is cut there.
			name: "no time is negative",
			spans: `
				a 1 - client   0 100
				b 2 1 server   510 590
				b 3 2 internal 5 540`,
			want: `
				1 client 0-100 entry
				 2 server 10-90 shift -500
				  3 internal 0-40 shift -500`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "\t", "") + "\n"
			require.Equal(t, want, draw(tracetree.Build(treetest.Release(t, tt.spans).Spans)))
		})
	}
}

// A span that was sent without a start, or with one that no int64 holds, must not stretch the trace to 1970: it stands at its
// parent's start, a root where the trace begins.
func TestBuildWithoutTimes(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server   50000000000000100 50000000000000200
		a 2 1 internal 0                 0
		a 3 1 internal 0                 50000000000000150
		a 4 2 internal 50000000000000110 50000000000000120
		a 5 1 internal 50000000000000130 0
		a 6 1 internal 0                 0
		a 7 - internal 0                 0`)
	release.Spans[5].SetStartTimestamp(math.MaxUint64)
	release.Spans[5].SetEndTimestamp(math.MaxUint64)
	tree := tracetree.Build(release.Spans)
	require.Equal(t, int64(50000000000000100), tree.Start)
	require.Equal(t, int64(50000000000000200), tree.End)
	require.Equal(t, 0, tree.Entry)
	for i, want := range []int64{100, 100, 100, 110, 130, 100, 100} {
		require.Equal(t, 50000000000000000+want, tree.Nodes[i].Start, i)
	}
	for i, want := range []int64{100, 0, 0, 10, 0, 0, 0} {
		require.Equal(t, want, tree.Nodes[i].Duration(), i)
	}
}

// Times are after base, which is real; 0 is none. The clock of b's host is 5000 off.
func TestClockSkewWithoutTimes(t *testing.T) {
	const base = 50_000_000_000_000_000
	for _, tt := range []struct {
		name, spans string
		shifts      []int64
	}{
		{
			name: "what hangs under a span without a start has its host's shift",
			spans: `
				a 1 - client   100 200
				b 2 1 server   5120 5180
				b 3 2 internal 0 0
				b 4 3 internal 5130 5140`,
			shifts: []int64{0, -5000, -5000, -5000},
		},
		{
			name: "but for consumers",
			spans: `
				a 1 - client   100 200
				b 2 1 server   5120 5180
				b 3 2 producer 5130 5140
				c 4 3 consumer 0 0
				c 5 4 internal 300 310`,
			shifts: []int64{0, -5000, -5000, 0, 0},
		},
		{
			name: "a client without a start says nothing of clocks",
			spans: `
				a 1 - server 100 900
				a 2 1 client 0 0
				c 3 2 server 300 400`,
			shifts: []int64{0, 0, 0},
		},
		{
			name: "nor does a server without one",
			spans: `
				a 1 - client   100 200
				b 2 1 server   5120 5180
				b 3 2 client   5130 5170
				c 4 3 server   0 0
				c 5 4 internal 140 150`,
			shifts: []int64{0, -5000, -5000, 0, 0},
		},
		{
			name: "a server that starts after a client without an end stays",
			spans: `
				a 1 - client 100 0
				c 2 1 server 300 400
				a 3 1 client 100 90
				c 4 3 server 300 400`,
			shifts: []int64{0, 0, 0, 0},
		},
		{
			name: "one that starts before it has its client's shift, where it fits by that",
			spans: `
				a 1 - client 6100 6200
				b 2 1 server 1120 1180
				b 3 2 client 1130 0
				b 4 3 server 1135 1170`,
			shifts: []int64{0, 5000, 5000, 5000},
		},
		{
			name: "else by what other calls say, in which one without an end has no say",
			spans: `
				a 1 - server 6000 6900
				a 2 1 client 6100 6200
				b 3 2 server 1120 1180
				a 4 1 client 6300 0
				b 5 4 server 1320 0
				a 6 1 client 6500 0
				b 7 6 server 1540 1560`,
			shifts: []int64{0, 0, 5000, 0, 5000, 0, 5000},
		},
		{
			name: "else it starts with its client",
			spans: `
				a 1 - client 6300 0
				b 2 1 server 1320 1380`,
			shifts: []int64{0, 4980},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			release := treetest.Release(t, tt.spans)
			for _, span := range release.Spans {
				if start := span.StartTimestamp(); start > 0 {
					span.SetStartTimestamp(base + start)
				}
				if end := span.EndTimestamp(); end > 0 {
					span.SetEndTimestamp(base + end)
				}
			}
			tree := tracetree.Build(release.Spans)
			var shifts []int64
			for i := range tree.Nodes {
				shifts = append(shifts, tree.Nodes[i].Shift)
			}
			require.Equal(t, tt.shifts, shifts)
		})
	}
}

func TestClockSkewStaysWithinInt64(t *testing.T) {
	release := treetest.Release(t, fmt.Sprintf(`
		a 1 - client   %d %d
		b 2 1 server   1 11
		b 3 2 internal %d %d`, int64(math.MaxInt64)-100, int64(math.MaxInt64), int64(math.MaxInt64)-5, int64(math.MaxInt64)))
	tree := tracetree.Build(release.Spans)
	server, child := &tree.Nodes[1], &tree.Nodes[2]
	require.Equal(t, int64(10), server.Duration())
	require.Equal(t, int64(math.MaxInt64)-100+45, server.Start)
	require.Equal(t, int64(math.MaxInt64), child.Start)
	require.Equal(t, int64(math.MaxInt64), child.End)
	require.Equal(t, pcommon.Timestamp(math.MaxInt64-5), child.StartTimestamp(), "the sender's time stays")
}

func BenchmarkBuild(b *testing.B) {
	spans := hostile(20, func(i int, span ptrace.Span) {
		span.SetSpanID(treetest.ID(uint64(i+1) * 0x9e3779b97f4a7c15))
		span.SetParentSpanID(treetest.ID(uint64(i/2) * 0x9e3779b97f4a7c15))
		span.SetStartTimestamp(pcommon.Timestamp(1_000 + i))
		span.SetEndTimestamp(pcommon.Timestamp(9_000 - i))
	})
	var builder tracetree.Builder
	b.ReportAllocs()
	for b.Loop() {
		builder.Build(spans)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/span")
}
