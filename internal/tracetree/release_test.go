package tracetree_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// appendSpan adds a span of a trace, both with one-digit ids.
func appendSpan(rs ptrace.ResourceSpans, trace byte, id uint64) ptrace.Span {
	if rs.ScopeSpans().Len() == 0 {
		rs.ScopeSpans().AppendEmpty().Scope().SetName("scope")
	}
	span := rs.ScopeSpans().At(0).Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{15: trace})
	span.SetSpanID(treetest.ID(id))
	return span
}

func ids(release *tracetree.Release) []byte {
	var out []byte
	for _, s := range release.Spans {
		id := s.SpanID()
		out = append(out, id[7])
	}
	return out
}

func TestReleases(t *testing.T) {
	td := ptrace.NewTraces()
	a := td.ResourceSpans().AppendEmpty()
	a.SetSchemaUrl("https://schema.example/1")
	a.Resource().Attributes().PutStr("service.name", "a")
	a.Resource().Attributes().PutInt(conventions.AttrReleasedAt, 77)
	appendSpan(a, 1, 1)
	second := appendSpan(a, 2, 2)
	second.Attributes().PutInt(conventions.AttrVersion, 3)
	second.Attributes().PutInt(conventions.AttrPart, 1)
	second.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomePart)
	appendSpan(a, 1, 3)
	b := td.ResourceSpans().AppendEmpty()
	b.Resource().Attributes().PutStr(conventions.AttrTenant, "acme")
	appendSpan(b, 1, 4)
	c := td.ResourceSpans().AppendEmpty()
	appendSpan(c, 2, 5)
	appendSpan(c, 1, 6)

	releases := tracetree.Releases(td)
	require.Len(t, releases, 3)

	first := &releases[0]
	require.Equal(t, pcommon.TraceID{15: 1}, first.TraceID)
	require.Equal(t, []byte{1, 3, 6}, ids(first), "over resources, in their order")
	require.Empty(t, first.Tenant)
	require.Equal(t, int64(77), first.ReleasedAt)
	require.Zero(t, first.Assembly)
	require.Equal(t, "a", first.Spans[0].Service())
	require.Equal(t, "scope", first.Spans[0].Scope.Name())
	require.Equal(t, "https://schema.example/1", first.Spans[0].SchemaURL)
	require.Equal(t, conventions.UnknownService, first.Spans[2].Service())

	require.Equal(t, []byte{2, 5}, ids(&releases[1]))
	require.Equal(t, tracetree.Assembly{Outcome: conventions.OutcomePart, Version: 3, Part: 1}, releases[1].Assembly)

	require.Equal(t, "acme", releases[2].Tenant, "the same trace id of another tenant is another trace")
	require.Equal(t, []byte{4}, ids(&releases[2]))

	first.Spans[0].SetName("written through")
	require.Equal(t, "written through", td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())

	require.Empty(t, tracetree.Releases(ptrace.NewTraces()))
}

func TestReleaseFirstAndWhole(t *testing.T) {
	for _, tt := range []struct {
		name         string
		release      tracetree.Release
		first, whole bool
	}{
		{"no assembly", tracetree.Release{}, true, true},
		{
			"complete",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeComplete, Version: 1}},
			true, true,
		},
		{
			"timeout",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeTimeout, Version: 1}},
			true, true,
		},
		{
			"first part",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomePart, Version: 1}},
			true, false,
		},
		{
			"second part",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomePart, Version: 1, Part: 1}},
			false, false,
		},
		{
			"first interim",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeInterim, Version: 1}},
			true, false,
		},
		{
			"complete after an interim",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeComplete, Version: 2}},
			false, false,
		},
		{
			"late without a memory of what came before",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeLate, Version: 1}},
			true, false,
		},
		{
			"joined",
			tracetree.Release{Assembly: tracetree.Assembly{Outcome: conventions.OutcomeLate, Version: 4}, Joined: true},
			true, true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.first, tt.release.First())
			require.Equal(t, tt.whole, tt.release.Whole())
		})
	}
}

func TestNewCallID(t *testing.T) {
	base := func() []tracetree.Release {
		return []tracetree.Release{*treetest.Release(t, `
			a 1 - server   0 100
			a 2 1 internal 5 10`)}
	}
	want := tracetree.NewCallID(base())
	require.Equal(t, want, tracetree.NewCallID(base()), "the same content")
	require.NotZero(t, want)

	annotated := base()
	annotated[0].Spans[0].Attributes().PutStr("tracewright.category", "internal")
	annotated[0].ReleasedAt = 5
	require.Equal(t, want, tracetree.NewCallID(annotated), "annotations do not count")

	seen := map[tracetree.CallID]string{want: "base"}
	for name, change := range map[string]func(r *tracetree.Release){
		"tenant":   func(r *tracetree.Release) { r.Tenant = "acme" },
		"trace id": func(r *tracetree.Release) { r.TraceID[0] = 1 },
		"version":  func(r *tracetree.Release) { r.Version = 1 },
		"part":     func(r *tracetree.Release) { r.Part = 1 },
		"span id":  func(r *tracetree.Release) { r.Spans[1].SetSpanID(treetest.ID(9)) },
		"start":    func(r *tracetree.Release) { r.Spans[1].SetStartTimestamp(6) },
		"end":      func(r *tracetree.Release) { r.Spans[1].SetEndTimestamp(11) },
		"order":    func(r *tracetree.Release) { r.Spans[0], r.Spans[1] = r.Spans[1], r.Spans[0] },
		"fewer":    func(r *tracetree.Release) { r.Spans = r.Spans[:1] },
	} {
		changed := base()
		change(&changed[0])
		id := tracetree.NewCallID(changed)
		require.Empty(t, seen[id], "%s gives another id", name)
		seen[id] = name
	}

	// Where a release ends counts: two spans in one release are not one span in each of two.
	split := base()
	split = append(split, split[0])
	split[0].Spans, split[1].Spans = split[0].Spans[:1], split[0].Spans[1:]
	require.Empty(t, seen[tracetree.NewCallID(split)])
}

// TestCallIDStays: ids of calls are compared with those that were stored by an earlier version.
func TestCallIDStays(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server   0 100
		a 2 1 internal 5 10`)
	many := *release
	for range 2000 {
		many.Spans = append(many.Spans, release.Spans...)
	}
	many.Tenant, many.Version = "acme", 2
	id := tracetree.NewCallID([]tracetree.Release{*release, many})
	require.Equal(t, "b091d1c53a4f045931a6f69a675f0301", hex.EncodeToString(id[:]))
}

// manyReleases is a call of n traces of 20 spans in four services.
func manyReleases(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for trace := range n {
		for service := range 4 {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, "acme")
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, 5)
			for i := range 5 {
				span := appendSpan(rs, 0, uint64(5*service+i+1))
				span.SetTraceID(pcommon.TraceID{14: byte(trace >> 8), 15: byte(trace)})
				span.SetStartTimestamp(pcommon.Timestamp(i))
				if service+i == 0 {
					span.Attributes().PutInt(conventions.AttrVersion, int64(1+trace%3))
				}
			}
		}
	}
	return td
}

// TestCallIDOf: it is that of the releases, whatever call its memory was used for before.
func TestCallIDOf(t *testing.T) {
	for _, n := range []int{3, 500, 0, 3} {
		td := manyReleases(n)
		require.Equal(t, tracetree.NewCallID(tracetree.Releases(td)), tracetree.CallIDOf(td))
	}
}

func BenchmarkCallID(b *testing.B) {
	td := manyReleases(400)
	for name, id := range map[string]func() tracetree.CallID{
		"of releases": func() tracetree.CallID { return tracetree.NewCallID(tracetree.Releases(td)) },
		"alone":       func() tracetree.CallID { return tracetree.CallIDOf(td) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(td.SpanCount()), "ns/span")
		})
	}
}
