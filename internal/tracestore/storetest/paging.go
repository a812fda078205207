package storetest

import (
	"encoding/base64"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// threeQueries are one that a row answers without conditions, one that it answers with a condition, and one that needs spans. All
// match every lone trace.
func threeQueries() map[string]*tracestore.SearchQuery {
	row, spans := wholeDay(), wholeDay()
	row.Where.Span.Service = "shop"
	spans.Where.Span = tracestore.SpanConditions{Service: "shop", Operation: "GET /"}
	return map[string]*tracestore.SearchQuery{"all": wholeDay(), "row": row, "spans": spans}
}

func testPaging(t *testing.T, store Store) {
	for n := range byte(10) {
		write(t, store, explained(call(lone(n, time.Duration(n/3)*time.Minute))))
	}
	for name, query := range threeQueries() {
		t.Run(name, func(t *testing.T) {
			query.Limit = 4
			var pages [][]byte
			for {
				page := search(t, store, "", query)
				pages = append(pages, found(page))
				seen := len(slices.Concat(pages...))
				require.GreaterOrEqual(t, page.Total.Count, seen)
				require.LessOrEqual(t, page.Total.Count, 10)
				if page.NextCursor == "" {
					require.Equal(t, 10, page.Total.Count)
					break
				}
				query.Cursor = page.NextCursor
			}
			require.Equal(t, [][]byte{{9, 8, 7, 6}, {5, 4, 3, 2}, {1, 0}}, pages)
		})
	}
}

// testPagingWhileWriting adds traces in front of and behind the cursor: those behind are seen, none is seen twice.
func testPagingWhileWriting(t *testing.T, store Store) {
	for n := range byte(4) {
		write(t, store, explained(call(lone(10+n, time.Duration(n)*time.Minute))))
	}
	query := wholeDay()
	query.Limit = 2
	page := search(t, store, "", query)
	require.Equal(t, []byte{13, 12}, found(page))
	write(t, store, explained(call(lone(20, time.Hour), lone(21, -time.Hour))))
	query.Cursor = page.NextCursor
	page = search(t, store, "", query)
	require.Equal(t, []byte{11, 10}, found(page))
	require.Equal(t, tracestore.Total{Count: 6, Exact: true}, page.Total)
	query.Cursor = page.NextCursor
	page = search(t, store, "", query)
	require.Equal(t, []byte{21}, found(page))
	require.Empty(t, page.NextCursor)
}

func testCursors(t *testing.T, store Store) {
	for n := range byte(4) {
		s := lone(n, time.Duration(n))
		write(t, store, explained(call(s)))
	}
	query := wholeDay()
	query.Limit = 1
	cursor := search(t, store, "", query).NextCursor
	require.NotEmpty(t, cursor)

	// Another limit and a window that has moved on are the same search.
	moved := *query
	moved.Cursor, moved.Limit, moved.Start, moved.End = cursor, 2, query.Start.Add(time.Minute), query.End.Add(time.Minute)
	require.Equal(t, []byte{2, 1}, found(search(t, store, "", &moved)))

	other := *query
	other.Cursor, other.Where.Span.Service = cursor, "shop"
	_, err := store.Search(t.Context(), "", &other)
	require.ErrorIs(t, err, tracestore.ErrCursor)
	foreign := *query
	foreign.Cursor = cursor
	_, err = store.Search(t.Context(), "somebody else", &foreign)
	require.ErrorIs(t, err, tracestore.ErrCursor)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	require.NoError(t, err)
	for _, bad := range []string{
		"x", "not base64!", cursor[:len(cursor)-4], cursor + "AAAA",
		base64.RawURLEncoding.EncodeToString(append([]byte{raw[0] + 1}, raw[1:]...)),
	} {
		query.Cursor = bad
		_, err := store.Search(t.Context(), "", query)
		require.ErrorIs(t, err, tracestore.ErrCursor, bad)
	}
}

// testTotals: the total covers the window, whatever the page.
func testTotals(t *testing.T, store Store) {
	for n := range byte(20) {
		write(t, store, explained(call(lone(n, time.Duration(n)*time.Minute))))
	}
	for name, query := range threeQueries() {
		t.Run(name, func(t *testing.T) {
			query.Start, query.End = start.Add(5*time.Minute), start.Add(15*time.Minute)
			query.Limit = 3
			for seen := 0; ; {
				page := search(t, store, "", query)
				seen += len(page.Traces)
				if page.Total.Exact || name != "spans" {
					require.Equal(t, tracestore.Total{Count: 10, Exact: true}, page.Total)
				}
				require.GreaterOrEqual(t, page.Total.Count, seen)
				if query.Cursor = page.NextCursor; query.Cursor == "" {
					require.Equal(t, 10, seen)
					break
				}
			}
		})
	}
}

// testConcurrency lets writers, repeaters and readers run at once; in the end every trace is there once.
func testConcurrency(t *testing.T, store Store) {
	const writers, each = 4, 15
	var wg sync.WaitGroup
	for w := range byte(writers) {
		wg.Go(func() {
			for i := range byte(each) {
				// Two writers send each call, and all send fragments of trace 200.
				fragment := span{trace: 200, id: 1 + w*each + i, service: "shop", name: "part", from: time.Second, to: 2 * time.Second}
				for _, td := range []func() error{
					func() error {
						return store.WriteCall(t.Context(), explained(call(lone(w/2*each+i, time.Duration(i)*time.Millisecond))))
					},
					func() error { return store.WriteCall(t.Context(), explained(call(fragment))) },
				} {
					assert.NoError(t, td())
				}
			}
		})
		wg.Go(func() {
			for range each {
				page, err := store.Search(t.Context(), "", wholeDay())
				assert.NoError(t, err)
				for _, row := range page.Traces {
					for _, err := range store.Trace(t.Context(), "", row.TraceID) {
						assert.NoError(t, err)
					}
				}
			}
		})
	}
	wg.Wait()
	page := search(t, store, "", wholeDay())
	require.Equal(t, tracestore.Total{Count: writers/2*each + 1, Exact: true}, page.Total)
	require.Equal(t, traceID(200), page.Traces[0].TraceID)
	require.Equal(t, writers*each, page.Traces[0].SpanCount)
	require.Len(t, read(t, store, "", traceID(200)), writers*each)
	for n := range byte(writers / 2 * each) {
		require.Len(t, read(t, store, "", traceID(n)), 1)
	}
}
