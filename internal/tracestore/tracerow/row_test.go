package tracerow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// sample is a root of 100 ms in shop with a failing call of 60 ms to stock.
func sample() ptrace.Traces {
	td := ptrace.NewTraces()
	add := func(service, name string, id, parent byte, from, to time.Duration) ptrace.Span {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: 1})
		span.SetSpanID(pcommon.SpanID{7: id})
		if parent != 0 {
			span.SetParentSpanID(pcommon.SpanID{7: parent})
		}
		span.SetName(name)
		span.SetStartTimestamp(pcommon.Timestamp(time.Second + from))
		span.SetEndTimestamp(pcommon.Timestamp(time.Second + to))
		return span
	}
	add("stock", "take", 2, 1, 20*time.Millisecond, 80*time.Millisecond).Status().SetCode(ptrace.StatusCodeError)
	root := add("shop", "GET /", 1, 0, 0, 100*time.Millisecond)
	root.SetKind(ptrace.SpanKindServer)
	root.Attributes().PutInt(conventions.AttrVersion, 1)
	root.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
	return td
}

var sampleRow = Row{
	Summary: tracestore.Summary{
		TraceID: pcommon.TraceID{15: 1}, Entry: tracestore.Operation{Service: "shop", Operation: "GET /"},
		Start: int64(time.Second), Duration: int64(100 * time.Millisecond), SpanCount: 2, ErrorCount: 1,
		Services: []string{"shop", "stock"}, Outcome: "complete", Version: 1,
		Bottleneck: &tracestore.Bottleneck{SpanID: pcommon.SpanID{7: 2}, Service: "stock", Operation: "take", Share: 0.6},
	},
	Kinds: 1<<ptrace.SpanKindUnspecified | 1<<ptrace.SpanKindServer, Failed: true, Fine: true, Rooted: true,
	LongestSpan: int64(100 * time.Millisecond),
}

// TestFromRelease: the row is the same whether the annotations are there or not.
func TestFromRelease(t *testing.T) {
	td := sample()
	release := tracetree.Releases(td)[0]
	require.Equal(t, sampleRow, FromRelease(&release))
	analysis.Annotate(&release, analysis.Analyze(&release))
	require.Equal(t, sampleRow, FromRelease(&release))

	// Annotations are believed, …
	root := td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Attributes()
	root.PutStr(conventions.AttrEntryService, "elsewhere")
	require.Equal(t, "elsewhere", FromRelease(&release).Entry.Service)
	// … unless they were written for other spans than these.
	root.PutInt(conventions.AttrSpanCount, 3)
	require.Equal(t, 2, FromRelease(&release).SpanCount)
}

// TestExplained: a release without annotations gets them on a copy, one that has them is used as it is.
func TestExplained(t *testing.T) {
	td := sample()
	td.ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty()) // stock's span repeated
	td.MarkReadOnly()
	release := tracetree.Releases(td)[0]
	require.Len(t, release.Spans, 3)
	explained := Explained(&release)
	require.Len(t, explained.Spans, 2)
	require.Equal(t, release.Assembly, explained.Assembly)
	for _, span := range explained.Spans {
		entry, _ := span.Attributes().Get(conventions.AttrEntryService)
		require.Equal(t, "shop", entry.Str())
	}
	for _, span := range release.Spans {
		_, ok := span.Attributes().Get(conventions.AttrEntryService)
		require.False(t, ok, "the release is somebody else's")
	}
	require.Equal(t, sampleRow, FromRelease(explained))
	require.Same(t, explained, Explained(explained))
}

func TestFromTrace(t *testing.T) {
	row := FromTrace([]ptrace.Traces{sample(), sample()}) // the spans of the second are repetitions
	require.Equal(t, sampleRow, row)
}

func filterOf(span tracestore.SpanConditions) *tracestore.Filter {
	return tracestore.NewFilter(&tracestore.Conditions{Span: span})
}

func TestAliases(t *testing.T) {
	td := sample()
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(conventions.AttrService, "stock-normalised")
	release := tracetree.Releases(td)[0]
	row := Row{Summary: tracestore.Summary{Services: []string{"shop", "stock-normalised"}}}
	row.addSpans(release.Spans)
	require.Equal(t, []string{"stock"}, row.Aliases)
	for _, service := range []string{"shop", "stock", "stock-normalised"} {
		require.Equal(t, tracestore.Yes, row.Judge(filterOf(tracestore.SpanConditions{Service: service})), service)
	}
	require.Equal(t, tracestore.No, row.Judge(filterOf(tracestore.SpanConditions{Service: "mail"})))
}

func TestDecided(t *testing.T) {
	server, future, yes := ptrace.SpanKindServer, ptrace.SpanKind(9), true
	for name, test := range map[string]struct {
		span tracestore.SpanConditions
		want bool
	}{
		"nothing":      {tracestore.SpanConditions{}, true},
		"service":      {tracestore.SpanConditions{Service: "a"}, true},
		"kind":         {tracestore.SpanConditions{Kind: &server}, true},
		"unknown kind": {tracestore.SpanConditions{Kind: &future}, false},
		"errors":       {tracestore.SpanConditions{Errors: &yes}, true},
		"shortest":     {tracestore.SpanConditions{MinDuration: 1}, true},
		"longest":      {tracestore.SpanConditions{MaxDuration: 1}, false},
		"operation":    {tracestore.SpanConditions{Operation: "a"}, false},
		"category":     {tracestore.SpanConditions{Category: "a"}, false},
		"attribute":    {tracestore.SpanConditions{Attributes: make([]tracestore.AttributeCondition, 1)}, false},
		"two":          {tracestore.SpanConditions{Service: "a", Errors: &yes}, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, filterOf(test.span).Decided(Exact))
		})
	}
}

func TestMerge(t *testing.T) {
	op := func(service string) tracestore.Operation {
		return tracestore.Operation{Service: service, Operation: "op"}
	}
	fragment := Row{
		Summary: tracestore.Summary{
			Entry: op("b"), Start: 100, Duration: 50, SpanCount: 2, ErrorCount: 1, Services: []string{"b", "c"}, Outcome: "timeout", Version: 1,
			MissingParents: 1,
		},
		Aliases: []string{"a", "z"}, Kinds: 2, Failed: true, LongestSpan: 40,
	}
	root := Row{
		Summary: tracestore.Summary{
			Entry: op("a"), Start: 80, Duration: 30, SpanCount: 3, Services: []string{"a"}, Outcome: "part", Version: 2, MissingParents: 2,
			Bottleneck: &tracestore.Bottleneck{Service: "a"},
		},
		Kinds: 4, Fine: true, Rooted: true, LongestSpan: 30,
	}
	late := Row{Summary: tracestore.Summary{Entry: op("q"), Start: 200, Duration: 1, SpanCount: 1, Outcome: "late", Version: 3}, Fine: true}

	row := fragment
	row.Merge(&root)
	row.Merge(&late)
	require.Equal(t, Row{
		Summary: tracestore.Summary{
			Entry: op("a"), Start: 80, Duration: 121, SpanCount: 6, ErrorCount: 1, Services: []string{"a", "b", "c"}, Outcome: "part", Version: 3,
			MissingParents: 3, Bottleneck: &tracestore.Bottleneck{Service: "a"},
		},
		Aliases: []string{"z"}, Kinds: 6, Failed: true, Fine: true, Rooted: true, LongestSpan: 40,
	}, row)

	row = late
	row.Merge(&fragment) // a late fragment that was stored before its trace
	require.Equal(t, "timeout", row.Outcome)
	require.Equal(t, op("q"), row.Entry)
}
