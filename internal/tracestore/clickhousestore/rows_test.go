package clickhousestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// part is a span of trace 1 in a release.
type part struct {
	id, parent    byte
	service, name string
	from, to      time.Duration
	failed        bool
}

// release makes a call of the parts, as trace_assembly and trace_analysis hand it on.
func release(at time.Time, version int, outcome string, parts ...part) ptrace.Traces {
	td := ptrace.NewTraces()
	for i, p := range parts {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", p.service)
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, at.UnixNano())
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: 1})
		span.SetSpanID(pcommon.SpanID{7: p.id})
		if p.parent != 0 {
			span.SetParentSpanID(pcommon.SpanID{7: p.parent})
		}
		span.SetName(p.name)
		span.SetKind(ptrace.SpanKindServer)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(noon.Add(p.from)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(noon.Add(p.to)))
		if p.failed {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		if i == 0 {
			span.Attributes().PutInt(conventions.AttrVersion, int64(version))
			span.Attributes().PutStr(conventions.AttrOutcome, outcome)
		}
	}
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The row that the sums make is the right one in whatever order, and in however many inserts, a trace comes: whole and with a late
// fragment, or in halves from two gateways.
func TestRowOfSums(t *testing.T) {
	const ms = time.Millisecond
	root := part{1, 0, "shop", "GET /cart", 0, 100 * ms, false}
	query := part{2, 1, "stock", "SELECT", 20 * ms, 80 * ms, true}
	late := part{3, 1, "mail", "send", 90 * ms, 150 * ms, false}
	first := release(noon, 1, conventions.OutcomeQuiet, root, query)
	fragment := release(noon.Add(time.Minute), 2, conventions.OutcomeLate, late)
	same := ptrace.NewTraces() // both in one insert
	release(noon, 2, conventions.OutcomeLate, late).ResourceSpans().MoveAndAppendTo(same.ResourceSpans())
	release(noon.Add(1), 1, conventions.OutcomeQuiet, root, query).ResourceSpans().MoveAndAppendTo(same.ResourceSpans())
	halves := []ptrace.Traces{
		release(noon, 1, conventions.OutcomeTimeout, query, late), release(noon.Add(time.Second), 1, conventions.OutcomeQuiet, root),
	}
	for name, calls := range map[string][]ptrace.Traces{
		"a fragment after its trace":       {first, fragment},
		"a fragment before its trace":      {fragment, first},
		"repeated":                         {first, fragment, first, fragment},
		"in one insert":                    {same},
		"halves of two gateways":           halves,
		"halves, the root's first":         {halves[1], halves[0]},
		"merged, a quarter of an hour off": {first, release(noon.Add(20*time.Minute), 2, conventions.OutcomeLate, late)},
	} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(t)
			store, w := openStore(t, options), newWriter(t, options)
			for _, td := range calls {
				require.NoError(t, w.WriteCall(t.Context(), td))
			}
			check := func() {
				rows, err := store.readRows(t.Context(), "", []pcommon.TraceID{{15: 1}}, []time.Time{noon, noon.Add(15 * time.Minute)}, wanted{judged: true})
				require.NoError(t, err)
				row := *rows[pcommon.TraceID{15: 1}]
				require.Equal(t, tracestore.Operation{Service: "shop", Operation: "GET /cart"}, row.Entry)
				require.Equal(t, []string{"mail", "shop", "stock"}, row.Services)
				require.Equal(t, conventions.OutcomeQuiet, row.Outcome)
				require.Equal(t, noon.UnixNano(), row.Start)
				require.Equal(t, int64(150*ms), row.Duration)
				require.Equal(t, int64(100*ms), row.LongestSpan)
				require.Equal(t, 3, row.SpanCount)
				require.Equal(t, 1, row.ErrorCount)
				require.True(t, row.Failed && row.Fine && row.Rooted)
				// What a search answers is made of the spans, and says the same of such traces.
				page, err := store.Search(t.Context(), "", aroundNoon())
				require.NoError(t, err)
				require.Len(t, page.Traces, 1)
				found := tracerow.Row{Summary: page.Traces[0]}
				require.Equal(t, row.Entry, found.Entry)
				require.Equal(t, []int64{row.Start, row.Duration, int64(row.SpanCount)}, []int64{found.Start, found.Duration, int64(found.SpanCount)})
			}
			check()
			require.NoError(t, store.db.Exec(t.Context(), "OPTIMIZE TABLE "+store.table("traces")+" FINAL"))
			check()
		})
	}
}

func aroundNoon() *tracestore.SearchQuery {
	return &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: noon.Add(time.Hour), Limit: 100}
}

// 10,000 spans dated over 500 years come in one call with good ones: all are stored, in one part, and the good ones are found.
func TestSpansOfManyYears(t *testing.T) {
	options := testOptions(t)
	store, w := openStore(t, options), newWriter(t, options)
	td := release(noon, 1, conventions.OutcomeQuiet, part{1, 0, "shop", "GET /cart", 0, time.Millisecond, false})
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	const odd, step = 10_000, 500 * 365 * 24 * uint64(time.Hour) / 10_000
	for n := range uint64(odd) {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{0: 1, 6: byte(n >> 8), 7: byte(n)})
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetStartTimestamp(pcommon.Timestamp(n * step))
		span.SetEndTimestamp(span.StartTimestamp() + 5)
	}
	require.NoError(t, w.WriteCall(t.Context(), td))
	require.NoError(t, w.WriteCall(t.Context(), release(noon.Add(time.Second), 2, conventions.OutcomeLate, part{2, 1, "stock", "take", 0, 5, false})))
	require.EqualValues(t, odd+2, count(t, store, store.table("otel_traces")))
	var parts uint64
	row := store.db.QueryRow(t.Context(), "SELECT uniq(partition) FROM system.parts WHERE database = ? AND active AND table = 'otel_traces'", options.Database)
	require.NoError(t, row.Scan(&parts))
	require.EqualValues(t, 1, parts)

	query := aroundNoon()
	query.Where.Span.Service = "stock"
	page, err := store.Search(t.Context(), "", query)
	require.NoError(t, err)
	require.Len(t, page.Traces, 1)
	require.Equal(t, 2, page.Traces[0].SpanCount)
	// The last one, of the year 2469, whose time no int64 of nanoseconds holds, comes back with it.
	id := pcommon.TraceID{0: 1, 6: (odd - 1) >> 8, 7: (odd - 1) & 0xff}
	for td, err := range store.Trace(t.Context(), "", id) {
		require.NoError(t, err)
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		require.Equal(t, pcommon.Timestamp((odd-1)*step), span.StartTimestamp())
		require.EqualValues(t, 5, span.EndTimestamp()-span.StartTimestamp())
	}
}
