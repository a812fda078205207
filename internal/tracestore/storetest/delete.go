package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func notFound(t *testing.T, store tracestore.Reader, tenant string, id pcommon.TraceID) {
	t.Helper()
	n := 0
	for _, err := range store.Trace(t.Context(), tenant, id) {
		require.ErrorIs(t, err, tracestore.ErrNotFound)
		n++
	}
	require.Equal(t, 1, n)
}

// testDelete deletes a trace of several releases that shares its calls with others.
func testDelete(t *testing.T, store Store) {
	late := span{trace: 1, id: 2, parent: 1, service: "stock", name: "take", to: time.Second, version: 2, outcome: "late"}
	other := lone(1, 0)
	other.tenant = "other"
	first, second := explained(call(lone(1, 0), lone(2, 0), other)), explained(call(lone(3, 0), late))
	write(t, store, first, second)

	require.ErrorIs(t, store.Delete(t.Context(), "", traceID(9)), tracestore.ErrNotFound)
	require.ErrorIs(t, store.Delete(t.Context(), "nobody", traceID(1)), tracestore.ErrNotFound)
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	notFound(t, store, "", traceID(1))
	require.ErrorIs(t, store.Delete(t.Context(), "", traceID(1)), tracestore.ErrNotFound)
	for name, query := range threeQueries() {
		page := search(t, store, "", query)
		require.Equal(t, []byte{3, 2}, found(page), name)
		require.Equal(t, tracestore.Total{Count: 2, Exact: true}, page.Total, name)
	}
	require.Len(t, read(t, store, "", traceID(2)), 1)
	require.Len(t, read(t, store, "", traceID(3)), 1)
	require.Len(t, read(t, store, "other", traceID(1)), 1)

	// The calls are known, so that their repetition brings nothing back.
	write(t, store, first, second)
	notFound(t, store, "", traceID(1))
	require.Equal(t, []byte{3, 2}, found(search(t, store, "", wholeDay())))

	// What is written later is a new trace.
	later := late
	later.id, later.version = 3, 3
	write(t, store, explained(call(later)))
	require.Len(t, read(t, store, "", traceID(1)), 1)
	page := search(t, store, "", wholeDay())
	require.Equal(t, []byte{3, 2, 1}, found(page))
	require.Equal(t, 1, page.Traces[2].SpanCount)
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	notFound(t, store, "", traceID(1))
}

// testDeleteKeepsAggregates: what was counted stays counted.
func testDeleteKeepsAggregates(t *testing.T, store Store) {
	calls := shopCalls()
	write(t, store, calls...)
	operations := collect(t, store.Operations(t.Context(), "", bothMinutes()))
	entries := collect(t, store.Entries(t.Context(), "", bothMinutes()))
	rows := search(t, store, "", &tracestore.SearchQuery{Start: now.Add(-12 * time.Hour), End: now.Add(12 * time.Hour), Limit: 100}).Traces
	require.NotEmpty(t, rows)
	for _, row := range rows {
		require.NoError(t, store.Delete(t.Context(), "", row.TraceID))
	}
	require.Empty(t, found(search(t, store, "", wholeDay())))
	require.ElementsMatch(t, operations, collect(t, store.Operations(t.Context(), "", bothMinutes())))
	require.ElementsMatch(t, entries, collect(t, store.Entries(t.Context(), "", bothMinutes())))
}

func testDeleteContexts(t *testing.T, store Store) {
	write(t, store, call(lone(1, 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// A context that has ended may be met too late to matter.
	if err := store.Delete(ctx, "", traceID(1)); err != nil {
		require.ErrorIs(t, err, context.Canceled)
		require.Len(t, read(t, store, "", traceID(1)), 1)
	}
}

// testDeletePaging deletes the row that a cursor names, and the one behind it.
func testDeletePaging(t *testing.T, store Store) {
	for n := range byte(6) {
		write(t, store, explained(call(lone(n, time.Duration(n)*time.Minute))))
	}
	query := wholeDay()
	query.Limit = 2
	query.Cursor = search(t, store, "", query).NextCursor
	require.NoError(t, store.Delete(t.Context(), "", traceID(4)))
	require.NoError(t, store.Delete(t.Context(), "", traceID(3)))
	require.Equal(t, []byte{2, 1}, found(search(t, store, "", query)))
}

// testDeleteConcurrency deletes every second trace while all are written, and read.
func testDeleteConcurrency(t *testing.T, store Store) {
	const traces = 60
	stored := make(chan byte, traces)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(stored)
		for n := range byte(traces) {
			assert.NoError(t, store.WriteCall(t.Context(), explained(call(lone(n, time.Duration(n))))))
			stored <- n
		}
	})
	wg.Go(func() {
		for n := range stored {
			if n%2 == 0 {
				assert.NoError(t, store.Delete(t.Context(), "", traceID(n)))
			}
		}
	})
	wg.Go(func() {
		for range 20 {
			_, err := store.Search(t.Context(), "", threeQueries()["spans"])
			assert.NoError(t, err)
		}
	})
	wg.Wait()
	page := search(t, store, "", wholeDay())
	require.Len(t, page.Traces, traces/2)
	for _, row := range page.Traces {
		require.Equal(t, byte(1), row.TraceID[15]%2)
	}
}
