package tracetree_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// stored is a release as a store gives it back; without a version it has not passed assembly.
func stored(t *testing.T, version, part int, outcome string, releasedAt int64, text string) ptrace.Traces {
	t.Helper()
	td := treetest.Traces(t, text)
	for _, rs := range td.ResourceSpans().All() {
		if releasedAt != 0 {
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt)
		}
	}
	if version != 0 {
		attrs := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		attrs.PutStr(conventions.AttrOutcome, outcome)
		attrs.PutInt(conventions.AttrVersion, int64(version))
		if part != 0 {
			attrs.PutInt(conventions.AttrPart, int64(part))
		}
	}
	return td
}

func TestJoin(t *testing.T) {
	td, release := tracetree.Join([]ptrace.Traces{
		stored(t, 1, 0, conventions.OutcomeQuiet, 100, `
			a 1 - server 0 100
			b 2 1 client 5 10`),
		stored(t, 2, 0, conventions.OutcomeLate, 300, `
			b 3 2 server 6 9
			b 2 1 client 5 10
			b 2 1 client 5 11
			c 4 3 internal 7 8`),
		stored(t, 3, 0, conventions.OutcomeLate, 200, `
			a 1 - server 0 100`),
	})

	require.Equal(t, tracetree.Assembly{Outcome: conventions.OutcomeQuiet, Version: 3}, release.Assembly)
	require.True(t, release.Joined)
	require.True(t, release.Whole())
	require.Equal(t, treetest.TraceID, release.TraceID)
	require.Equal(t, int64(300), release.ReleasedAt)

	require.Equal(t, 3, td.ResourceSpans().Len(), "one for each service")
	for _, rs := range td.ResourceSpans().All() {
		v, ok := rs.Resource().Attributes().Get(conventions.AttrReleasedAt)
		require.True(t, ok)
		require.Equal(t, int64(300), v.Int())
		require.Equal(t, 1, rs.ScopeSpans().Len())
	}
	require.Equal(t, []byte{1, 2, 3, 2, 4}, ids(&release), "the repeated 1 and 2 are gone, the other 2 is not")
	require.Equal(t, 5, td.SpanCount())
	require.Equal(t, "b", release.Spans[3].Service())

	release.Spans[0].SetName("written through")
	require.Equal(t, "written through", td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
}

func TestJoinOutcome(t *testing.T) {
	for _, tt := range []struct {
		name     string
		outcomes []string // of versions 1, 2, …
		want     string
	}{
		{"nothing", nil, ""},
		{"fragments only", []string{conventions.OutcomeLate, conventions.OutcomeLate}, conventions.OutcomeLate},
		{"late after quiet", []string{conventions.OutcomeQuiet, conventions.OutcomeLate}, conventions.OutcomeQuiet},
		{"quiet after late", []string{conventions.OutcomeLate, conventions.OutcomeQuiet}, conventions.OutcomeQuiet},
		{
			"complete after interim",
			[]string{conventions.OutcomeInterim, conventions.OutcomeComplete},
			conventions.OutcomeComplete,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var releases []ptrace.Traces
			for i, outcome := range tt.outcomes {
				releases = append(releases, stored(t, i+1, 0, outcome, 0, fmt.Sprintf("a %x - server 0 100", i+1)))
			}
			td, release := tracetree.Join(releases)
			require.Equal(t, tracetree.Assembly{Outcome: tt.want, Version: len(tt.outcomes)}, release.Assembly)
			require.Len(t, release.Spans, len(tt.outcomes))
			require.Equal(t, len(tt.outcomes), td.SpanCount())
		})
	}
}

func TestJoinWithoutAssembly(t *testing.T) {
	td, release := tracetree.Join([]ptrace.Traces{
		stored(t, 0, 0, "", 0, "a 1 - server 0 100"),
		stored(t, 0, 0, "", 0, "a 2 1 internal 1 2"),
	})
	require.Zero(t, release.Assembly)
	require.Zero(t, release.ReleasedAt)
	require.Equal(t, 1, td.ResourceSpans().Len())
	require.Equal(t, 1, td.ResourceSpans().At(0).Resource().Attributes().Len(), "nothing is added")
}

func TestJoinKeepsApartWhatDiffers(t *testing.T) {
	change := map[string]func(rs ptrace.ResourceSpans){
		"same":              func(ptrace.ResourceSpans) {},
		"resource value":    func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutStr("host.name", "h2") },
		"resource type":     func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutInt("host.name", 2) },
		"nested value":      func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutEmptyMap("m").PutStr("k", "v") },
		"nested value 2":    func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutEmptyMap("m").PutStr("k", "w") },
		"resource dropped":  func(rs ptrace.ResourceSpans) { rs.Resource().SetDroppedAttributesCount(1) },
		"resource schema":   func(rs ptrace.ResourceSpans) { rs.SetSchemaUrl("https://schema.example/2") },
		"scope name":        func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetName("other") },
		"scope version":     func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetVersion("2") },
		"scope attribute":   func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().Attributes().PutBool("b", true) },
		"scope dropped":     func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetDroppedAttributesCount(1) },
		"scope schema":      func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).SetSchemaUrl("https://schema.example/2") },
		"order of the same": func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutStr("host.name", "h1") },
	}
	var releases []ptrace.Traces
	id := 1
	for range 2 { // each twice: the second finds the first
		for _, f := range change {
			td := stored(t, 0, 0, "", 0, fmt.Sprintf("a %x - server 0 100", id))
			td.ResourceSpans().At(0).Resource().Attributes().PutStr("host.name", "h1")
			f(td.ResourceSpans().At(0))
			releases = append(releases, td)
			id++
		}
	}
	td, release := tracetree.Join(releases)
	require.Len(t, release.Spans, 2*len(change))
	scopes := 0
	for _, rs := range td.ResourceSpans().All() {
		scopes += rs.ScopeSpans().Len()
	}
	// "same" and "order of the same" are one; the five changes of a scope share the unchanged resource.
	require.Equal(t, len(change)-1, scopes)
	require.Equal(t, len(change)-1-5, td.ResourceSpans().Len())
}
