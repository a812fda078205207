package clickhousestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// TestManySpread: of traces that are known by their spans alone, the newest are read, and the others go by sums. Each is found once.
func TestManySpread(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	const traces = maxSpread + 100
	now := time.Now()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, now.UnixNano())
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range traces { // nobody analysed them
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 14: byte(i >> 8), 15: byte(i)})
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetName("GET /")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(i) * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	}
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), td))

	for name, span := range map[string]tracestore.SpanConditions{"": {}, "asked for by their spans": {Service: "shop", Operation: "GET /"}} {
		t.Run(name, func(t *testing.T) {
			found := map[pcommon.TraceID]int{}
			query := tracestore.SearchQuery{Start: now.Add(-time.Hour), End: now.Add(time.Minute), Limit: 500, Where: tracestore.Conditions{Span: span}}
			for _, row := range allPages(t, store, query) {
				found[row.TraceID]++
			}
			require.Len(t, found, traces)
			for id, times := range found {
				require.Equal(t, 1, times, id)
			}
		})
	}
}

// allPages are the rows of all pages of a search.
func allPages(t *testing.T, store *Store, query tracestore.SearchQuery) (rows []tracestore.Summary) {
	t.Helper()
	for {
		page, err := store.Search(t.Context(), "", &query)
		require.NoError(t, err)
		require.False(t, page.Truncated)
		rows = append(rows, page.Traces...)
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return rows
		}
	}
}
