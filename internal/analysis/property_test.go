package analysis_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// source gives small numbers: from a random generator, or from a fuzzer's bytes.
type source interface{ intn(n int) int }

type random struct{ *rand.Rand }

func (r random) intn(n int) int { return r.IntN(n) }

type bytesSource struct{ data []byte }

func (b *bytesSource) intn(n int) int {
	if len(b.data) == 0 {
		return 0
	}
	v := int(b.data[0])
	b.data = b.data[1:]
	return v % n
}

// hostile makes n spans whose ids, parents, kinds and times collide in every way; times are small, or at the ends of what
// there is.
func hostile(src source, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	services := make([]ptrace.SpanSlice, 3)
	for i := range services {
		rs := td.ResourceSpans().AppendEmpty()
		if i > 0 {
			rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("s%d", i))
		}
		services[i] = rs.ScopeSpans().AppendEmpty().Spans()
	}
	unit := []pcommon.Timestamp{1, 1e6}[src.intn(2)] // patterns count from milliseconds on
	huge := []uint64{0, math.MaxInt64, math.MaxInt64 - 5, math.MaxInt64 + 1, math.MaxUint64}
	at := func() pcommon.Timestamp {
		if src.intn(40) == 0 {
			return pcommon.Timestamp(huge[src.intn(len(huge))])
		}
		return pcommon.Timestamp(src.intn(60)) * unit
	}
	for i := range n {
		span := services[src.intn(len(services))].AppendEmpty()
		span.SetTraceID(treetest.TraceID)
		span.SetName(fmt.Sprintf("op%d", src.intn(4)))
		id := i + 1
		if src.intn(8) == 0 {
			id = src.intn(n + 1) // 0, or somebody's
		}
		span.SetSpanID(treetest.ID(uint64(id)))
		if i > 0 && src.intn(12) > 0 {
			parent := src.intn(i + 1)
			if src.intn(8) == 0 {
				parent = src.intn(n + 3) // a later one, a missing one
			}
			span.SetParentSpanID(treetest.ID(uint64(parent)))
		}
		span.SetKind(ptrace.SpanKind(src.intn(7)))
		start := at()
		span.SetStartTimestamp(start)
		span.SetEndTimestamp(at())
		if src.intn(3) > 0 {
			span.SetEndTimestamp(start + pcommon.Timestamp(src.intn(30))*unit)
		}
		if src.intn(4) == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		if src.intn(6) == 0 {
			span.Attributes().PutStr("server.address", "db")
		}
		if src.intn(6) == 0 {
			span.Attributes().PutStr("db.query.text", fmt.Sprintf("SELECT '%d", src.intn(3)))
		}
		if src.intn(8) == 0 {
			span.Attributes().PutInt("http.response.status_code", int64([]int{200, 404, 499, 500, 504}[src.intn(5)]))
		}
		if src.intn(8) == 0 {
			attrs := span.Events().AppendEmpty().Attributes()
			span.Events().At(0).SetName("exception")
			attrs.PutStr("exception.message", []string{"no 'x", "timed out", "cancelled", "connection refused"}[src.intn(4)])
		}
		if src.intn(20) == 0 {
			span.Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().
				SetStr(conventions.ViolationConflictingSpanID)
		}
		span.TraceState().FromRaw([]string{"", "", "a=1", "a=2", "a", "a=1,a=1"}[src.intn(6)])
		span.SetFlags([]uint32{0, 0x101, 0x303, 0x200, 0x400}[src.intn(5)])
		if src.intn(10) == 0 {
			link := span.Links().AppendEmpty()
			link.SetSpanID(treetest.ID(uint64(src.intn(2))))
			link.SetTraceID(treetest.TraceID)
			link.TraceState().FromRaw([]string{"", "a=1", "a", "a=1,a=1"}[src.intn(4)])
		}
	}
	return td
}

// checkResult checks what holds for every release that is whole.
func checkResult(t *testing.T, r *analysis.Result) {
	t.Helper()
	inTree, errors := 0, 0
	for i := range r.Spans {
		n, s := &r.Tree.Nodes[i], &r.Spans[i]
		require.GreaterOrEqual(t, n.Start, int64(0))
		require.LessOrEqual(t, n.Start, n.End)
		require.Equal(t, bruteSelfTime(r.Tree, i), s.SelfTime, "self time of %d", i)
		require.NotEmpty(t, s.Service)
		require.Contains(t, conventions.Categories, s.Category)
		require.Equal(t, s.ErrorOrigin, s.Fingerprint != "")
		require.True(t, s.Failing || !s.Failed && !s.ErrorOrigin)
		conflicting := slices.Contains(s.Violations, conventions.ViolationConflictingSpanID)
		require.True(t, conflicting || !n.Conflict)
		require.False(t, conflicting && n.InTree())
		require.True(t, slices.IsSorted(s.Violations), s.Violations)
		if !n.InTree() {
			require.Zero(t, s.CriticalPathTime)
			continue
		}
		inTree++
		if s.Failed {
			errors++
		}
	}
	require.Equal(t, errors, r.ErrorCount)
	require.GreaterOrEqual(t, r.Duration, int64(0))
	if inTree == 0 {
		require.Equal(t, -1, r.Tree.Entry)
		require.Empty(t, r.Path)
		return
	}
	checkPath(t, r)
}

func checkPath(t *testing.T, r *analysis.Result) {
	t.Helper()
	entry := &r.Tree.Nodes[r.Tree.Entry]
	at, most := entry.Start, int64(0)
	times := make(map[int]int64)
	for _, s := range r.Path {
		require.Equal(t, at, s.Start, "segments follow each other")
		require.Less(t, s.Start, s.End)
		n := &r.Tree.Nodes[s.Span]
		require.True(t, n.Start <= s.Start && s.End <= n.End, "a segment lies within its span")
		at = s.End
		times[s.Span] += s.End - s.Start
		most = max(most, times[s.Span])
	}
	require.Equal(t, entry.End, at, "the path reaches the root's end")
	sum := int64(0)
	for i := range r.Spans {
		require.Equal(t, times[i], r.Spans[i].CriticalPathTime)
		sum += r.Spans[i].CriticalPathTime
	}
	require.Equal(t, r.RootDuration, sum)
	require.Equal(t, referencePath(r.Tree), r.Path)
	if r.RootDuration == 0 {
		require.Equal(t, -1, r.Bottleneck)
		return
	}
	require.Equal(t, most, r.Spans[r.Bottleneck].CriticalPathTime)
	require.InDelta(t, float64(most)/float64(r.RootDuration), r.BottleneckShare, 1e-12)
}

func blocks(parent, child *tracetree.Node) bool {
	return parent.Kind() != ptrace.SpanKindProducer || child.Kind() != ptrace.SpanKindConsumer
}

// bruteSelfTime goes from border to border of the children and asks each time whether any of them runs.
func bruteSelfTime(tree *tracetree.Tree, i int) int64 {
	n := &tree.Nodes[i]
	if !n.InTree() {
		return 0
	}
	borders := []int64{n.Start, n.End}
	for _, c := range tree.Children(i) {
		for _, b := range []int64{tree.Nodes[c].Start, tree.Nodes[c].End} {
			borders = append(borders, min(max(b, n.Start), n.End))
		}
	}
	slices.Sort(borders)
	self := int64(0)
	for b := 1; b < len(borders); b++ {
		from, to := borders[b-1], borders[b]
		if !slices.ContainsFunc(tree.Children(i), func(c int) bool {
			child := &tree.Nodes[c]
			return blocks(n, child) && child.Start <= from && to <= child.End
		}) {
			self += to - from
		}
	}
	return self
}

// referencePath is the rule word by word: at cursor t the next child is, among the blocking children cut to the interval and not
// yet taken, the one with the latest end ≤ t, of equals the earlier start, then the smaller span id.
func referencePath(tree *tracetree.Tree) []analysis.Segment {
	var path []analysis.Segment
	var walk func(i int, from, until int64)
	walk = func(i int, from, until int64) {
		n := &tree.Nodes[i]
		t := until
		taken := make(map[int]bool)
		for {
			next, nextStart, nextEnd := -1, int64(0), int64(0)
			for _, c := range tree.Children(i) {
				child := &tree.Nodes[c]
				start, end := max(child.Start, from), min(child.End, until)
				if taken[c] || !blocks(n, child) || end <= start || end > t {
					continue
				}
				order := cmp.Or(cmp.Compare(end, nextEnd), cmp.Compare(nextStart, start))
				if next >= 0 && order == 0 {
					a, b := child.SpanID(), tree.Nodes[next].SpanID()
					order = cmp.Or(cmp.Compare(binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(a[:])),
						cmp.Compare(tree.Nodes[next].Kind(), child.Kind()))
				}
				if next < 0 || order > 0 {
					next, nextStart, nextEnd = c, start, end
				}
			}
			if next < 0 {
				break
			}
			taken[next] = true
			if nextEnd < t {
				path = append(path, analysis.Segment{Span: i, Start: nextEnd, End: t})
			}
			walk(next, nextStart, nextEnd)
			t = nextStart
		}
		if from < t {
			path = append(path, analysis.Segment{Span: i, Start: from, End: t})
		}
	}
	walk(tree.Entry, tree.Nodes[tree.Entry].Start, tree.Nodes[tree.Entry].End)
	slices.Reverse(path)
	return path
}

// describeAll describes every span by its identity, in an order that does not hang on the input's.
func describeAll(r *analysis.Result) []string {
	repeated := make(map[string]bool)
	for i := range r.Tree.Nodes {
		if n := &r.Tree.Nodes[i]; n.Duplicate {
			repeated[n.SpanID().String()] = true
		}
	}
	var out []string
	leeways := r.Leeways()
	for i := range r.Spans {
		n, s := &r.Tree.Nodes[i], r.Spans[i]
		if repeated[n.SpanID().String()] {
			// Duplicates may differ in attributes, and which is kept hangs on their order.
			s.Category, s.PeerService, s.PeerKind, s.Violations = "", "", "", nil
		}
		if repeated[n.SpanID().String()] || slices.ContainsFunc(r.Tree.Children(i), func(c int) bool {
			return repeated[r.Tree.Nodes[c].SpanID().String()]
		}) {
			s.Failing, s.ErrorOrigin, s.Fingerprint = false, false, ""
		}
		state := "in tree"
		switch {
		case n.Duplicate:
			// Which of them it is does not matter, and they may differ in what is not compared.
			out = append(out, fmt.Sprintf("duplicate %s %d", n.SpanID(), n.StartTimestamp()))
			continue
		case n.Conflict:
			state = "conflict"
		}
		parent := ""
		if n.Parent >= 0 {
			p := &r.Tree.Nodes[n.Parent]
			parent = fmt.Sprint(p.SpanID(), p.Kind())
		}
		out = append(out, fmt.Sprint(state, n.SpanID(), n.Kind(), n.Start, n.End, n.Shift, " under ", parent, n.MissingParent,
			i == r.Tree.Entry, i == r.Bottleneck, s, leeways[i]))
	}
	slices.Sort(out)
	return out
}

func marshal(t *testing.T, td ptrace.Traces) []byte {
	t.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return data
}

// annotate explains a call, release by release.
func annotate(td ptrace.Traces) {
	for _, release := range tracetree.Releases(td) {
		analysis.Annotate(&release, analysis.Analyze(&release))
	}
}

func checkHostile(t *testing.T, src source, n int) {
	t.Helper()
	td := hostile(src, n)
	for _, release := range tracetree.Releases(td) {
		result := analysis.Analyze(&release)
		checkResult(t, result)
		checkFindings(t, result)
		checkOrigins(t, result)
		checkLeewayBounds(t, result)
		want := describeAll(result)
		wantFindings, wantOrigins := describeFindings(result), originsOf(result)

		shuffled := release
		shuffled.Spans = slices.Clone(release.Spans)
		slices.Reverse(shuffled.Spans)
		result = analysis.Analyze(&shuffled)
		require.Equal(t, want, describeAll(result), "the order of the spans does not matter")
		// Duplicates may differ in attributes, and which is kept hangs on their order.
		if !slices.ContainsFunc(result.Tree.Nodes, func(n tracetree.Node) bool { return n.Duplicate }) {
			require.Equal(t, wantFindings, describeFindings(result), "nor does it for the findings")
			require.Equal(t, wantOrigins, originsOf(result), "nor for the origins of failures")
		}
	}
	checkAnnotations(t, td)
}

// checkAnnotations annotates the spans in their order and in another one, afresh and in memory that was used before.
func checkAnnotations(t *testing.T, td ptrace.Traces) {
	t.Helper()
	sent := marshal(t, td)
	annotate(td)
	once := marshal(t, td)
	annotate(td)
	require.Equal(t, once, marshal(t, td), "to annotate again changes nothing")

	again, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(sent)
	require.NoError(t, err)
	var (
		grouper  tracetree.Grouper
		analyzer analysis.Analyzer
	)
	other := treetest.Traces(t, shop)
	for _, call := range []ptrace.Traces{other, again} {
		releases := grouper.Group(call)
		for i := range releases {
			analyzer.Annotate(&releases[i])
		}
	}
	require.Equal(t, once, marshal(t, again), "as the processor does it")

	turned, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(sent)
	require.NoError(t, err)
	for _, release := range tracetree.Releases(turned) {
		slices.Reverse(release.Spans)
		result := analysis.Analyze(&release)
		// Duplicates may differ in attributes, and which is kept hangs on their order.
		if slices.ContainsFunc(result.Tree.Nodes, func(n tracetree.Node) bool { return n.Duplicate }) {
			return
		}
		analysis.Annotate(&release, result)
	}
	if tracetree.Build(tracetree.Releases(td)[0].Spans).Entry >= 0 { // else the first span speaks for the release
		require.Equal(t, once, marshal(t, turned), "in any order")
	}
}

func TestHostileTrees(t *testing.T) {
	for seed := range uint64(3_000) {
		r := random{rand.New(rand.NewPCG(seed, 0))}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { checkHostile(t, r, 1+r.intn(25)) })
	}
}

func FuzzHostileTrees(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 30+20*seed)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkHostile(t, &bytesSource{data}, 1+min(len(data)/8, 60))
	})
}

// A span that joins a trace beside its critical path changes nothing on it: below a span that is not on the path, without time, as
// a consumer of a producer, or ending while a sibling on the path runs that ends after it.
func TestSpanJoinsBesideThePath(t *testing.T) {
	joined := make(map[string]int)
	for seed := range uint64(2_000) {
		src := random{rand.New(rand.NewPCG(seed, 3))}
		release := tracetree.Releases(hostile(src, 1+src.intn(25)))[0]
		before := analysis.Analyze(&release)
		if len(before.Path) == 0 {
			continue
		}
		// Of each span, for how long it and all below it hold the path.
		held := make([]int64, len(before.Spans))
		for i := range held {
			for at := i; at >= 0; at = before.Tree.Nodes[at].Parent {
				held[at] += before.Spans[i].CriticalPathTime
			}
		}
		parent := src.intn(len(held))
		p := &before.Tree.Nodes[parent]
		if !p.InTree() || p.SpanID().IsEmpty() || p.Shift != 0 {
			continue
		}
		span := ptrace.NewSpan()
		span.SetSpanID(treetest.ID(1000))
		span.SetKind(ptrace.SpanKindInternal)
		place := func(from, until int64) {
			span.SetStartTimestamp(pcommon.Timestamp(from))
			span.SetEndTimestamp(pcommon.Timestamp(until))
		}
		children := before.Tree.Children(parent)
		kind := ""
		switch {
		case held[parent] == 0:
			kind = "below a span that is not on the path"
			place(p.Start, p.End)
		case p.Kind() == ptrace.SpanKindProducer:
			kind = "consumer"
			span.SetKind(ptrace.SpanKindConsumer)
			place(p.Start, p.End)
		case src.intn(2) == 0:
			kind = "without time"
			place(p.Start, p.Start)
		default:
			for _, c := range children {
				child := &before.Tree.Nodes[c]
				if from, until := max(p.Start, child.Start), min(p.End, child.End); held[c] > 0 && until-from > 1 {
					kind = "behind a sibling"
					place(p.Start, from+1)
				}
			}
		}
		if kind == "" {
			continue
		}
		span.SetParentSpanID(p.SpanID())
		joined[kind]++
		after := release
		after.Spans = append(slices.Clone(release.Spans), tracetree.Span{Span: span, Resource: p.Resource, Scope: p.Scope})
		r := analysis.Analyze(&after)
		if r.Tree.Nodes[len(after.Spans)-1].Parent != parent {
			joined[kind]-- // another span holds the parent's id
			continue
		}
		require.Equal(t, before.Path, r.Path, "seed %d: %s", seed, kind)
	}
	for _, kind := range []string{"below a span that is not on the path", "consumer", "without time", "behind a sibling"} {
		require.Greater(t, joined[kind], 20, kind)
	}
}

// A span beside the critical path changes nothing on it.
func TestSpanOffThePathChangesNothing(t *testing.T) {
	base := `
		a 1 - server   0 100
		a 2 1 internal 10 70
		a 3 2 internal 20 60`
	want := analysis.Analyze(treetest.Release(t, base)).Path
	for start := 11; start < 70; start++ {
		added := fmt.Sprintf("%s\na 4 1 internal %d 69", base, start) // overlaps 2, which ends later
		require.Equal(t, want, analysis.Analyze(treetest.Release(t, added)).Path)
	}
}

// An analyzer that has seen other releases gives the same results as a new one.
func TestAnalyzerReuse(t *testing.T) {
	var analyzer analysis.Analyzer
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 2))}
		for _, release := range tracetree.Releases(hostile(r, 1+r.intn(40))) {
			got, want := analyzer.Analyze(&release), analysis.Analyze(&release)
			require.Equal(t, describeAll(want), describeAll(got))
			require.Equal(t, slices.Collect(slices.Values(want.Path)), slices.Collect(slices.Values(got.Path)))
			require.Equal(t, slices.Collect(slices.Values(want.Services)), slices.Collect(slices.Values(got.Services)))
		}
		if seed%7 == 0 {
			analyzer.Reset()
		}
	}
}

// An analyzer that was reset keeps nothing of a release alive, also not of one before a smaller one.
func TestAnalyzerLetsGo(t *testing.T) {
	var (
		analyzer analysis.Analyzer
		names    []weak.Pointer[byte]
	)
	for _, spans := range []int{3, 1} {
		td := ptrace.NewTraces()
		name := func(what string) string {
			s := strings.Repeat(what, 20) // what is longer is cut, and not the one that came
			names = append(names, weak.Make(unsafe.StringData(s)))
			return s
		}
		for i := range spans {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", name(fmt.Sprint("service", i)))
			span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetName(name("operation"))
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			span.SetKind(ptrace.SpanKindClient)
			span.Attributes().PutStr("peer.service", name("peer"))
			if i > 0 {
				span.SetParentSpanID(treetest.ID(1))
			}
		}
		analyzer.Analyze(&tracetree.Releases(td)[0])
	}
	analyzer.Reset()
	runtime.GC()
	for i, name := range names {
		require.Nil(t, name.Value(), i)
	}
	runtime.KeepAlive(&analyzer)
}

const largeSpans = 100_000

// largeShapes are those that a recursive or quadratic walk would not survive.
var largeShapes = map[string]func(i int, span ptrace.Span){
	"chain": func(i int, span ptrace.Span) {
		span.SetParentSpanID(treetest.ID(uint64(i)))
		span.SetStartTimestamp(pcommon.Timestamp(i))
		span.SetEndTimestamp(pcommon.Timestamp(3*largeSpans - i))
	},
	"one after the other": func(i int, span ptrace.Span) {
		if i == 0 {
			span.SetEndTimestamp(3 * largeSpans)
			return
		}
		span.SetParentSpanID(treetest.ID(1))
		span.SetStartTimestamp(pcommon.Timestamp(2 * i))
		span.SetEndTimestamp(pcommon.Timestamp(2*i + 1))
	},
	"all at once": func(i int, span ptrace.Span) {
		span.SetEndTimestamp(3 * largeSpans)
		if i > 0 {
			span.SetParentSpanID(treetest.ID(1))
		}
	},
}

func largeTrace(shape string) ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	for i := range largeSpans {
		span := ss.Spans().AppendEmpty()
		span.SetSpanID(treetest.ID(uint64(i + 1)))
		if i%3 < 2 || shape == "chain" {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		largeShapes[shape](i, span)
	}
	return td
}

func TestLargeTraces(t *testing.T) {
	for name := range largeShapes {
		t.Run(name, func(t *testing.T) {
			td := largeTrace(name)
			release := tracetree.Releases(td)[0]
			r := analysis.Analyze(&release)
			sum := int64(0)
			for _, s := range r.Path {
				sum += s.End - s.Start
			}
			require.Equal(t, int64(3*largeSpans), sum)
			require.Equal(t, int64(3*largeSpans), r.RootDuration)
			checkFindings(t, r)
			checkOrigins(t, r)
			checkLeewayBounds(t, r)
		})
	}
}

// checkOrigins follows every failure upwards, span by span.
func checkOrigins(t *testing.T, r *analysis.Result) {
	t.Helper()
	origins := make(map[int]bool)
	failing := func(i int) bool { return i >= 0 && r.Spans[i].Failing }
	for _, o := range analysis.FindOrigins(r) {
		require.True(t, r.Spans[o.Span].ErrorOrigin)
		require.False(t, origins[o.Span])
		origins[o.Span] = true
		require.Contains(t, analysis.ErrorKinds, o.Kind)
		require.False(t, slices.ContainsFunc(r.Tree.Children(o.Span), failing))
		top, length := o.Span, 1 // top is the last on the way that fails, with nothing but failing spans below
		for failing(r.Tree.Nodes[top].Parent) && o.AbsorbedBy != r.Tree.Nodes[top].Parent {
			top = r.Tree.Nodes[top].Parent
		}
		for i := o.Span; r.Tree.Nodes[i].Parent >= 0; i = r.Tree.Nodes[i].Parent {
			length++
		}
		require.Equal(t, length, o.PathLength)
		require.Equal(t, top == r.Tree.Entry, o.ReachedEntry)
		parent := r.Tree.Nodes[top].Parent
		switch o.Absorbed {
		case analysis.AbsorbedRetried:
			require.Equal(t, parent, o.AbsorbedBy)
			require.Equal(t, parent, r.Tree.Nodes[o.Retry].Parent)
			require.False(t, failing(o.Retry))
			require.GreaterOrEqual(t, r.Tree.Nodes[o.Retry].Start, r.Tree.Nodes[top].End)
		case analysis.AbsorbedCaught:
			require.Equal(t, parent, o.AbsorbedBy)
			require.False(t, failing(parent))
		default:
			require.True(t, parent < 0 || !blocks(&r.Tree.Nodes[parent], &r.Tree.Nodes[top]))
		}
	}
	for i := range r.Spans {
		require.Equal(t, r.Spans[i].ErrorOrigin, origins[i])
	}
}
