package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// writeRanked stores twelve traces 0 to 11, the later the newer: of 10·(n mod 3) + 10 ms and n/4 failed spans.
func writeRanked(t *testing.T, store tracestore.Writer) {
	t.Helper()
	for n := range byte(12) {
		from := time.Duration(n) * time.Minute
		length := time.Duration(n%3+1) * 10 * time.Millisecond
		spans := []span{{trace: n, id: 1, service: "shop", name: "GET /", from: from, to: from + length}}
		for i := range n / 4 {
			spans = append(spans, span{trace: n, id: 2 + i, parent: 1, service: "shop", name: "call", from: from, to: from + 1, failed: true})
		}
		write(t, store, explained(call(spans...)))
	}
}

// testOrders: pages in each order, worked out by hand.
func testOrders(t *testing.T, store Store) {
	writeRanked(t, store)
	orders := map[tracestore.Order][]byte{
		tracestore.OrderRecency:  {11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
		tracestore.OrderDuration: {11, 8, 5, 2, 10, 7, 4, 1, 9, 6, 3, 0},
		tracestore.OrderErrors:   {11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
	}
	for order, want := range orders {
		for _, limit := range []int{1, 5, 12, 100} {
			for name, where := range map[string]conditions{
				"all": {}, "row": {Span: onSpan{Service: "shop"}}, "spans": {Span: onSpan{Operation: "GET /"}},
			} {
				query := wholeDay()
				query.Order, query.Limit, query.Where = order, limit, where
				require.Equal(t, want, found(allPages(t, store, "", query)), "%s %d %s", order, limit, name)
			}
		}
	}
	// The failures of 11 to 8 are two, of 7 to 4 one.
	some := wholeDay()
	some.Order, some.Where = tracestore.OrderErrors, conditions{Trace: onTrace{MaxDuration: 20 * time.Millisecond}}
	some.Limit = 2
	require.Equal(t, []byte{10, 9, 7, 6, 4, 3, 1, 0}, found(allPages(t, store, "", some)))

	_, err := store.Search(t.Context(), "", &tracestore.SearchQuery{Start: start, End: now, Limit: 1, Order: "taste"})
	require.Error(t, err)
}

// allPages puts all pages together; the total is that of the last.
func allPages(t *testing.T, store tracestore.Reader, tenant string, query *tracestore.SearchQuery) tracestore.SearchPage {
	t.Helper()
	asked := *query
	var all tracestore.SearchPage
	for {
		page := search(t, store, tenant, &asked)
		all.Traces, all.Total = append(all.Traces, page.Traces...), page.Total
		require.GreaterOrEqual(t, page.Total.Count, len(all.Traces))
		if page.NextCursor == "" {
			require.Equal(t, len(all.Traces), page.Total.Count)
			return all
		}
		require.Len(t, page.Traces, asked.Limit)
		asked.Cursor = page.NextCursor
	}
}

// testRankingWhileWriting: what takes its place in front of the cursor is not seen, what comes behind it is, nothing twice.
func testRankingWhileWriting(t *testing.T, store Store) {
	writeRanked(t, store)
	query := wholeDay()
	query.Order, query.Limit = tracestore.OrderDuration, 3
	page := search(t, store, "", query)
	require.Equal(t, []byte{11, 8, 5}, found(page))
	at := func(n byte, length time.Duration) span {
		return span{trace: n, id: 1, service: "shop", name: "GET /", from: time.Hour, to: time.Hour + length}
	}
	write(t, store, explained(call(at(50, time.Second), at(51, 25*time.Millisecond))))
	// Trace 10 gets a late span that makes it the longest of all: it has passed by.
	write(t, store, explained(call(span{
		trace: 10, id: 7, parent: 1, service: "shop", name: "late", from: 10 * time.Minute, to: 10*time.Minute + time.Second, version: 2, outcome: "late",
	})))
	query.Limit = 100
	query.Cursor = page.NextCursor
	require.Equal(t, []byte{2, 51, 7, 4, 1, 9, 6, 3, 0}, found(search(t, store, "", query)))
	query.Cursor = ""
	require.Equal(t, []byte{50, 10, 11, 8, 5, 2, 51, 7, 4, 1, 9, 6, 3, 0}, found(search(t, store, "", query)))
}

// testOrderCursors: a cursor is one of its order.
func testOrderCursors(t *testing.T, store Store) {
	writeRanked(t, store)
	orders := []tracestore.Order{tracestore.OrderRecency, tracestore.OrderDuration, tracestore.OrderErrors}
	for _, order := range orders {
		query := wholeDay()
		query.Order, query.Limit = order, 4
		cursor := search(t, store, "", query).NextCursor
		require.NotEmpty(t, cursor)
		for _, other := range orders {
			query.Order, query.Cursor = other, cursor
			_, err := store.Search(t.Context(), "", query)
			if other == order {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tracestore.ErrCursor)
			}
		}
	}
}

// testDeadline: a search whose time is over says so. What it answers is true.
func testDeadline(t *testing.T, store Store) {
	writeRanked(t, store)
	for _, order := range []tracestore.Order{tracestore.OrderRecency, tracestore.OrderDuration} {
		query := wholeDay()
		query.Order, query.Where.Span.Operation = order, "GET /"
		query.Deadline = time.Now().Add(-time.Second)
		page, err := store.Search(t.Context(), "", query)
		require.NoError(t, err)
		require.True(t, page.Truncated)
		require.False(t, page.Total.Exact)
		require.Less(t, len(page.Traces), 12)
		for _, row := range page.Traces {
			require.True(t, slices.Contains(row.Services, "shop"))
		}
		query.Deadline = time.Now().Add(time.Hour)
		require.Len(t, search(t, store, "", query).Traces, 12)
	}
}
