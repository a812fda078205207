package pebblestore

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// addSpan adds a span, which is a trace of its own unless others have the id.
func addSpan(td ptrace.Traces, releasedAt, start time.Time, service string, trace pcommon.TraceID, span byte) {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(trace)
	s.SetSpanID(pcommon.SpanID{7: span})
	s.SetName("op")
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
	s.Attributes().PutInt(conventions.AttrVersion, int64(span))
}

// lone is a call of one span.
func lone(releasedAt, start time.Time, trace pcommon.TraceID, span byte) ptrace.Traces {
	td := ptrace.NewTraces()
	addSpan(td, releasedAt, start, "shop", trace, span)
	return annotated(td)
}

// TestClockAhead: a sender whose clock is ahead makes all blocks overlap, more than may wait. Searches go on all the same.
func TestClockAhead(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const calls, each = 36, 30
	for call := range calls {
		released := noon.Add(time.Duration(call-100) * time.Second)
		td := newCall(released, each*call, each, 1)
		addSpan(td, released, noon.Add(-50*time.Second), "skewed", traceID(10_000+call), 1)
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(-time.Second), 20_000, 20, 1)))
	query := &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: noon, Limit: 20}
	found := make(map[pcommon.TraceID]bool)
	for {
		run, err := store.newSearch(t.Context(), "", query)
		require.NoError(t, err)
		run.waiting = 100
		page, err := run.answer()
		require.NoError(t, err)
		require.False(t, page.Truncated)
		require.Equal(t, tracestore.Total{Count: calls*(each+1) + 20, Exact: true}, page.Total)
		for i := range page.Traces {
			require.False(t, found[page.Traces[i].TraceID])
			found[page.Traces[i].TraceID] = true
		}
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			break
		}
		require.Len(t, page.Traces, 20)
	}
	require.Len(t, found, calls*(each+1)+20)
}

// TestCursorsComeToTheEnd: whatever the clocks say and however little a search may look at, following cursors comes to the end and
// yields every match once, in order.
func TestCursorsComeToTheEnd(t *testing.T) {
	for seed := range 24 {
		r := testRandom(seed)
		store, reference := openStore(t, Options{Path: t.TempDir(), Now: atNoon}), memstore.New(0, atNoon)
		openRows := seed%3 == 0
		if openRows { // nobody else makes them
			store.joining <- struct{}{}
		}
		n := writeSkewed(t, r, func(td ptrace.Traces) {
			require.NoError(t, store.WriteCall(t.Context(), td))
			require.NoError(t, reference.WriteCall(t.Context(), td))
		})
		if openRows {
			for _, key := range slices.Clone(store.joins.order) {
				store.joins.forget(key)
			}
			<-store.joining
		}
		require.NoError(t, store.finishJoins(t.Context()))
		for range 6 {
			query := &tracestore.SearchQuery{Start: noon.Add(-3 * time.Hour), End: noon.Add(2 * time.Hour), Limit: 10_000}
			switch r.IntN(5) {
			case 0:
				query.Where.Span.Service = "mail"
			case 1:
				query.Where.Span = tracestore.SpanConditions{Service: "mail", Operation: "op"} // which asks the spans
			case 2:
				query.Where.Not = &tracestore.Conditions{Span: tracestore.SpanConditions{Operation: "op"}} // which no row rules out
			case 3:
				query.Where.Trace.MinDuration = time.Hour // which all rows rule out
			}
			want, err := reference.Search(t.Context(), "", query)
			require.NoError(t, err)
			requirePages(t, r, store, query, want.Traces, 2*n+10, !openRows && r.IntN(2) == 0)
		}
		require.NoError(t, store.Close())
	}
}

// requirePages follows cursors with little limits.
func requirePages(t *testing.T, r *rand.Rand, store *Store, query *tracestore.SearchQuery, want []tracestore.Summary, maxPages int, hurry bool) {
	t.Helper()
	query.Limit = 1 + r.IntN(8)
	rows, waiting := 1+r.IntN(10), 1+r.IntN(12)
	var got []tracestore.Summary
	var last *tracestore.Position
	for pages := 0; ; pages++ {
		require.Less(t, pages, maxPages)
		run, err := store.newSearch(t.Context(), "", query)
		require.NoError(t, err)
		run.rows, run.waiting = rows, waiting
		if hurry {
			run.deadline = time.Now()
		}
		page, err := run.answer()
		require.NoError(t, err)
		got = append(got, page.Traces...)
		if page.NextCursor == "" {
			require.False(t, page.Truncated)
			break
		}
		query.Cursor = page.NextCursor
		at, err := tracestore.DecodeCursor("", query)
		require.NoError(t, err)
		require.True(t, last == nil || at.Compare(last) > 0, "the cursor stands still")
		last = &at
	}
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i])
	}
}

// writeSkewed writes calls of senders whose clocks differ, some of them for traces that are stored already, and says how many
// releases.
func writeSkewed(t *testing.T, r *rand.Rand, write func(ptrace.Traces)) (n int) {
	t.Helper()
	span := byte(0)
	for range 2 + r.IntN(8) {
		released := noon.Add(-time.Duration(r.IntN(60)) * time.Minute)
		td, ids := ptrace.NewTraces(), make(map[pcommon.TraceID]bool)
		span++
		for range 1 + r.IntN(15) {
			id := traceID(r.IntN(100))
			if r.IntN(20) == 0 {
				id = lastTraceID
			}
			if ids[id] {
				continue
			}
			ids[id] = true
			start := released
			switch r.IntN(4) {
			case 0:
				start = released.Add(5 * time.Hour) // the search time is an hour behind the release
			case 1:
				start = noon.Add(-time.Hour) // as many others
			case 2:
				start = released.Add(-time.Duration(r.IntN(100)) * time.Second)
			}
			addSpan(td, released, start, []string{"shop", "mail"}[r.IntN(2)], id, span)
			n++
		}
		write(annotated(td))
	}
	return n
}

// TestLateFragmentsWhileSearching: a trace that gets a further release is found all the same, or the answer says that it is not whole.
func TestLateFragmentsWhileSearching(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const traces = 30
	var written atomic.Int64 // traces of which a release is stored
	done := make(chan error)
	go func() {
		var err error
		for k := 0; k < traces && err == nil; k++ {
			if err = store.WriteCall(t.Context(), lone(noon, noon, traceID(k), 1)); err == nil {
				written.Add(1)
				err = store.WriteCall(t.Context(), lone(noon, noon, traceID(k), 2))
			}
		}
		done <- err
	}()
	for searching := true; searching; {
		select {
		case err := <-done:
			require.NoError(t, err)
			searching = false
		default:
		}
		least := int(written.Load())
		page := mustSearch(t, store, aroundNoon())
		if !page.Truncated {
			require.GreaterOrEqual(t, len(page.Traces), least)
		} else {
			require.False(t, page.Total.Exact)
		}
	}
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, traces)
}

// TestOpenRowIsTold: where rows of traces cannot be made in time the answer says that it is not whole; only to the traces' tenant, and not where blocks say that
// none of them matches.
func TestOpenRowIsTold(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, MaxSearchTime: time.Minute}) // on a busy machine too
	store.joining <- struct{}{}                                                                // so no row is made
	const traces = maxOpenRows + 1
	for span := range byte(2) {
		td := ptrace.NewTraces()
		for trace := range traces {
			addSpan(td, noon, noon, "shop", traceID(trace), span+1)
		}
		require.NoError(t, store.WriteCall(t.Context(), annotated(td)))
	}
	query := aroundNoon()
	query.Limit = 2 * traces
	query.Deadline = time.Now().Add(100 * time.Millisecond)
	page := mustSearch(t, store, query)
	require.Less(t, len(page.Traces), traces)
	require.True(t, page.Truncated)
	require.False(t, page.Total.Exact)
	other := aroundNoon()
	other.Where.Span.Operation = "another"
	require.False(t, mustSearch(t, store, other).Truncated)
	page, err := store.Search(t.Context(), "somebody else", aroundNoon())
	require.NoError(t, err)
	require.Equal(t, tracestore.SearchPage{Total: tracestore.Total{Exact: true}}, page)
	<-store.joining
	query.Deadline = time.Time{}
	page = mustSearch(t, store, query)
	require.Len(t, page.Traces, traces)
	require.False(t, page.Truncated)
}

// TestJoinerLeavesTime: a search that the joiner keeps waiting has time left to make the rows itself, and to look at them.
func TestJoinerLeavesTime(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, MaxSearchTime: 3 * time.Second})
	defer holdJoiner(store)()
	const traces = fewOpenRows + 1
	for span := range byte(2) {
		for trace := range traces {
			require.NoError(t, store.WriteCall(t.Context(), lone(noon, noon, traceID(trace), span+1)))
		}
	}
	query := aroundNoon()
	query.Limit = traces - 1
	page := mustSearch(t, store, query)
	require.Len(t, page.Traces, traces-1)
	require.False(t, page.Truncated)

	store.options.MaxSearchTime = time.Hour // which is not waited for
	query.Cursor = page.NextCursor
	page = mustSearch(t, store, query)
	require.Len(t, page.Traces, 1)
	require.False(t, page.Truncated)
}

// TestRowOpenedMeanwhile: a search makes the rows that are open in its snapshot, where nobody else does.
func TestRowOpenedMeanwhile(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	write := func(trace int, span byte) {
		require.NoError(t, store.WriteCall(t.Context(), lone(noon, noon.Add(time.Duration(span)), traceID(trace), span)))
	}
	for span := range byte(2) {
		write(1, span+1)
	}
	require.NoError(t, store.finishJoins(t.Context()))
	store.joining <- struct{}{}
	write(1, 3) // whose row is older now
	for span := range byte(2) {
		write(2, span+1)
	}
	for id := range 3 {
		store.joins.forget(traceKey{tenantPrefix(""), traceID(id)}) // as if the joiner had not heard of it yet
	}
	<-store.joining
	query := aroundNoon()
	for _, order := range []tracestore.Order{tracestore.OrderRecency, tracestore.OrderErrors} {
		query.Order = order
		page := mustSearch(t, store, query)
		require.Equal(t, tracestore.Total{Count: 2, Exact: true}, page.Total)
		require.False(t, page.Truncated)
		require.Equal(t, []int{2, 3}, []int{page.Traces[0].SpanCount, page.Traces[1].SpanCount})
	}
	query = aroundNoon()
	query.Where.Span = tracestore.SpanConditions{Service: "shop", Operation: "op"} // which asks the spans
	require.Len(t, mustSearch(t, store, query).Traces, 2)
	query.End = noon
	require.Empty(t, mustSearch(t, store, query).Traces)
}

// TestUnmatchedJoinedRows: a search that finds nothing among traces of several releases ends at its deadline, and goes on from there.
func TestUnmatchedJoinedRows(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const traces = 300
	for span := range byte(2) {
		td := ptrace.NewTraces()
		for k := range traces {
			addSpan(td, noon, noon.Add(time.Duration(k)), "shop", traceID(k), span+1)
		}
		require.NoError(t, store.WriteCall(t.Context(), annotated(td)))
	}
	require.NoError(t, store.finishJoins(t.Context()))
	query := aroundNoon()
	query.Where.Trace.MinDuration = time.Hour
	query.Deadline = time.Now()
	pages := 0
	for {
		pages++
		require.Less(t, pages, traces)
		page := mustSearch(t, store, query)
		require.Empty(t, page.Traces)
		require.Equal(t, page.Truncated, page.NextCursor != "")
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			break
		}
	}
	require.Greater(t, pages, traces/64)
}

// TestReleasedAtTheEnd of time: the trace is found.
func TestReleasedAtTheEnd(t *testing.T) {
	for _, released := range []int64{math.MaxInt64, math.MinInt64} {
		store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, Retention: time.Hour})
		require.NoError(t, store.WriteCall(t.Context(), lone(time.Unix(0, released), noon, traceID(1), 1)))
		page := mustSearch(t, store, &tracestore.SearchQuery{Start: time.Unix(0, math.MinInt64), End: time.Unix(0, math.MaxInt64), Limit: 10})
		require.Len(t, page.Traces, 1)
	}
}

// TestServiceWithoutName: where nobody annotated, a trace is found by the names in its row.
func TestServiceWithoutName(t *testing.T) {
	store, reference := openStore(t, Options{Path: t.TempDir(), Now: atNoon}), memstore.New(0, atNoon)
	td := ptrace.NewTraces()
	addSpan(td, noon, noon, "", traceID(1), 1)
	resource := td.ResourceSpans().At(0).Resource().Attributes()
	resource.Remove("service.name")
	resource.PutStr("k8s.deployment.name", "checkout")
	for _, backend := range []storetest.Store{store, reference} {
		require.NoError(t, backend.WriteCall(t.Context(), td))
		page, err := backend.Search(t.Context(), "", aroundNoon())
		require.NoError(t, err)
		require.Len(t, page.Traces, 1)
		require.Equal(t, []string{"checkout"}, page.Traces[0].Services)
		query := aroundNoon()
		query.Where.Span.Service = "checkout"
		page, err = backend.Search(t.Context(), "", query)
		require.NoError(t, err)
		require.Len(t, page.Traces, 1)
	}
}
