package clickhousestore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// manyReleases are releases of one trace, some spans in each, a second apart, the last of them released at the time given. Each is a call of its own
// unless all are written at once: then they have blocks in common and are told apart by their times.
func manyReleases(last time.Time, id pcommon.TraceID, releases, spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	began := last.Add(-time.Duration(releases) * time.Second)
	for version := 1; version <= releases; version++ {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "shop")
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, began.Add(time.Duration(version)*time.Second).UnixNano())
		list := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range spans {
			span := list.AppendEmpty()
			span.SetTraceID(id)
			span.SetSpanID(pcommon.SpanID{4: byte(version >> 8), 5: byte(version), 6: byte(i >> 8), 7: byte(i)})
			if version > 1 || i > 0 {
				span.SetParentSpanID(pcommon.SpanID{5: 1})
			}
			span.SetName("GET /")
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(version-1) * time.Second)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(version) * time.Second)))
			span.Attributes().PutInt(conventions.AttrVersion, int64(version))
			if version == 3 && i == 0 {
				span.Attributes().PutStr("n", "early")
			}
		}
	}
	return td
}

// TestLargeTrace: a trace that has more spans than are read at once is read release by release, in their order, and no further than its reader wants.
func TestLargeTrace(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	store, w := openStore(t, options), newWriter(t, options)
	id := pcommon.TraceID{1}
	const releases, spans = 30, 1000
	require.NoError(t, w.WriteCall(t.Context(), manyReleases(time.Now(), id, releases, spans)))
	var asked askedConn
	read := store.asking(&asked)
	for _, wanted := range []int{3, releases} {
		version, before := 0, len(asked.takeAll())
		require.Zero(t, before)
		for td, err := range read.Trace(t.Context(), "", id) {
			require.NoError(t, err)
			version++
			require.Equal(t, spans, td.SpanCount())
			got, _ := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get(conventions.AttrVersion)
			require.EqualValues(t, version, got.Int())
			if version == wanted {
				break
			}
		}
		require.Equal(t, wanted, version)
		// The first spans, the list, and as many batches as were wanted.
		require.Len(t, asked.takeAll(), 2+(wanted*spans+readSpans-1)/readSpans)
	}
}

// TestNeverEndingTrace: of a trace that is released again and again a search reads no more than some releases, and finds it by its sums, once.
func TestNeverEndingTrace(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	store, w := openStore(t, options), newWriter(t, options)
	now := time.Now()
	id := pcommon.TraceID{1}
	const releases = 4000 // of an hour and more
	require.NoError(t, w.WriteCall(t.Context(), manyReleases(now, id, releases, 2)))
	other := pcommon.TraceID{2}
	require.NoError(t, w.WriteCall(t.Context(), manyReleases(now.Add(-time.Minute), other, 5, 1)))
	attribute := func(text string) tracestore.SpanConditions {
		return tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: "n", Op: tracestore.OpEqual, Text: text}}}
	}
	for _, test := range []struct {
		name  string
		where tracestore.Conditions
		want  []pcommon.TraceID
	}{
		{"all", tracestore.Conditions{}, []pcommon.TraceID{other, id}},
		{"of a service", tracestore.Conditions{Span: tracestore.SpanConditions{Service: "shop"}}, []pcommon.TraceID{other, id}},
		{"by their operation", tracestore.Conditions{Span: tracestore.SpanConditions{Service: "shop", Operation: "GET /"}}, []pcommon.TraceID{other, id}},
		{"by an early span", tracestore.Conditions{Span: attribute("early")}, []pcommon.TraceID{other, id}},
		{"not by an early span", tracestore.Conditions{Not: &tracestore.Conditions{Span: attribute("early")}}, nil},
		{"by its size", tracestore.Conditions{Trace: tracestore.TraceConditions{Spans: tracestore.CountRange{Min: 2 * releases}}}, []pcommon.TraceID{id}},
		{"by no size", tracestore.Conditions{Trace: tracestore.TraceConditions{Spans: tracestore.CountRange{Min: 2*releases + 1}}}, nil},
	} {
		for _, order := range []tracestore.Order{tracestore.OrderRecency, tracestore.OrderDuration} {
			t.Run(test.name+" "+string(order), func(t *testing.T) {
				query := tracestore.SearchQuery{Start: now.Add(-24 * time.Hour), End: now, Limit: 1, Where: test.where, Order: order}
				var got []pcommon.TraceID
				for _, row := range allPages(t, store, query) {
					got = append(got, row.TraceID)
					if row.TraceID == id {
						require.Equal(t, 2*releases, row.SpanCount)
						require.Equal(t, releases*time.Second, time.Duration(row.Duration))
					}
				}
				want := slices.Clone(test.want)
				if order == tracestore.OrderDuration {
					slices.Reverse(want)
				}
				require.Equal(t, want, got)
			})
		}
	}

	// What is read of it is bounded.
	rows := 0
	for trace, err := range store.traces(t.Context(), "", []pcommon.TraceID{id, other}, true) {
		require.NoError(t, err)
		require.Equal(t, trace.id == id, trace.large)
		rows += len(trace.releases)
	}
	require.Equal(t, 5, rows)
	var asked askedConn
	_, err := store.asking(&asked).Search(t.Context(), "", &tracestore.SearchQuery{Start: now.Add(-time.Hour), End: now, Limit: 1})
	require.NoError(t, err)
	for _, text := range asked.takeAll() {
		if strings.Contains(text, "SpanAttributes") {
			require.Contains(t, text, "LIMIT 101 BY Id")
		}
	}
}
