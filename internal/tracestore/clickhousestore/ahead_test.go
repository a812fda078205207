package clickhousestore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// TestLookAhead: from the second on, a search of a tenant asks for its newest hits while it lists the quarters, and answers what was written in
// between, also where that was released in another quarter.
func TestLookAhead(t *testing.T) {
	options := testOptions(t)
	options.firstReach = 40
	store, w := openStore(t, options), newWriter(t, options)
	var asked askedConn
	s := store.asking(&asked)
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	var written []string // ids, the newest first
	write := func(count int, released time.Time) {
		td := ptrace.NewTraces()
		for range count {
			n := len(written)
			released = released.Add(time.Second)
			trace := reachTrace{id: pcommon.TraceID{0: 1, 14: byte(n >> 8), 15: byte(n)}, start: released.Add(-time.Second / 2), duration: time.Millisecond}
			addReachSpan(td, &trace, released, 1, map[string]string{"n": "1"})
			written = slices.Insert(written, 0, trace.id.String())
		}
		writeExplained(t, w, td)
	}
	query := tracestore.SearchQuery{Start: noon.Add(-24 * time.Hour), End: noon.Add(20 * time.Minute), Limit: 8}
	query.Where.Span.Attributes = []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: "n", Op: tracestore.OpEqual, Text: "1"}}
	const hits, quarters = "SELECT Id FROM", "SELECT Quarter"
	// search says in how many statements it asked for hits; ahead that quarters are not listed until it has.
	search := func(ahead bool) int {
		t.Helper()
		begun := make(chan struct{})
		asked.before = func(text string) {
			switch {
			case ahead && strings.HasPrefix(text, hits):
				select {
				case <-begun:
				default:
					close(begun)
				}
			case ahead && strings.HasPrefix(text, quarters):
				select {
				case <-begun:
				case <-time.After(10 * time.Second):
					assert.Fail(t, "hits are not asked for while quarters are listed")
				}
			}
		}
		page, err := s.Search(t.Context(), "", &query)
		require.NoError(t, err)
		var found []string
		for i := range page.Traces {
			found = append(found, page.Traces[i].TraceID.String())
		}
		require.Equal(t, written[:query.Limit], found)
		return asked.take(hits)
	}

	write(100, noon)
	require.Equal(t, 1, search(false))
	require.Equal(t, 1, search(true))
	write(50, noon.Add(2*time.Minute))
	require.Equal(t, 1, search(true))
	write(100, noon.Add(16*time.Minute))
	require.Equal(t, 2, search(true), "what was looked for ahead ends in a quarter that is not the newest any more")
	require.Equal(t, 1, search(true))
	query.End = noon.Add(10 * time.Minute)
	written = written[100:]
	require.Equal(t, 1, search(false), "starts of another quarter are asked for")
	require.Equal(t, 1, search(true))
	asked.before = nil
	var got []string
	for _, row := range allPages(t, s, query) {
		got = append(got, row.TraceID.String())
	}
	require.Equal(t, written, got)
}

// TestLookAheadOfWindows: what is remembered of a window that holds few spans, and so all of them, does not hide what a wider one holds.
func TestLookAheadOfWindows(t *testing.T) {
	options := testOptions(t)
	options.firstReach = 40
	store, w := openStore(t, options), newWriter(t, options)
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	td := ptrace.NewTraces()
	for i := range 36 { // some in each quarter of an hour
		trace := reachTrace{id: pcommon.TraceID{0: 1, 15: byte(i)}, start: noon.Add(-time.Duration(i) * 10 * time.Minute), duration: time.Millisecond}
		addReachSpan(td, &trace, trace.start.Add(time.Second), 1, map[string]string{"n": "1"})
	}
	writeExplained(t, w, td)
	query := tracestore.SearchQuery{Limit: 50}
	query.Where.Span.Attributes = []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: "n", Op: tracestore.OpEqual, Text: "1"}}
	for _, ends := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 2 * time.Minute} {
		for _, hours := range []int{1, 24, 3, 5, 2, 6} {
			query.Start, query.End = noon.Add(-time.Duration(hours)*time.Hour-time.Minute), noon.Add(ends)
			page, err := store.Search(t.Context(), "", &query)
			require.NoError(t, err)
			require.Len(t, page.Traces, min(6*hours+1, 36), "%d hours", hours)
			require.Equal(t, tracestore.Total{Count: len(page.Traces), Exact: true}, page.Total)
		}
	}
}

// TestHitsWithRows: behind the newest spans one statement finds hits and reads their rows. Where there are more than it may find, they are found in
// order.
func TestHitsWithRows(t *testing.T) {
	options := testOptions(t)
	options.firstReach = 40
	store, w := openStore(t, options), newWriter(t, options)
	options.firstReach = 2100 // which hold more than maxEscapedIDs
	far := openStore(t, options)
	// Of two quarters of an hour the same share, whenever the test runs.
	now := time.Now().UTC().Truncate(time.Hour).Add(-46 * time.Minute)
	const newest, older = 2400, 1800
	td := ptrace.NewTraces()
	var pairs []string // ids of those with two spans, the newest first
	for i := range newest + older {
		trace := reachTrace{id: pcommon.TraceID{0: 1, 14: byte(i >> 8), 15: byte(i)}, start: now.Add(-time.Duration(i) * time.Second / 2), duration: time.Millisecond}
		// few: three of the newest 40. crowded: the same, and then none until one minute holds very many. some: the same, 19 in the 600 behind them
		// that are looked at next, of which a page wants 20, and one in 50 behind those.
		few := i < 3
		attributes := map[string]string{
			"all": "yes", "few": fmt.Sprint(few || i >= 40 && i%20 == 0), "crowded": fmt.Sprint(few || i >= newest),
			"some": fmt.Sprint(few || i >= 100 && i < 100+19*20 && i%20 == 0 || i >= 700 && i%50 == 0),
		}
		if i >= newest {
			trace.start = now.Add(-newest*time.Second/2 - time.Duration(i)*time.Minute/(newest+older))
		}
		addReachSpan(td, &trace, trace.start.Add(time.Millisecond), 1, attributes)
		if attributes["some"] == "true" && i%3 > 0 {
			spans := td.ResourceSpans().At(td.ResourceSpans().Len() - 1).ScopeSpans().At(0).Spans()
			child := spans.AppendEmpty()
			spans.At(0).CopyTo(child)
			child.SetSpanID(pcommon.SpanID{7: 9})
			child.SetParentSpanID(pcommon.SpanID{7: 1})
			pairs = append(pairs, trace.id.String())
		}
	}
	writeExplained(t, w, td)

	where := func(key, value string) (where tracestore.Conditions) {
		where.Span.Attributes = []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: key, Op: tracestore.OpEqual, Text: value}}
		return where
	}
	query := tracestore.SearchQuery{Start: now.Add(-3 * time.Hour), End: now.Add(time.Minute)}
	for _, test := range []struct {
		name     string
		store    *Store
		where    tracestore.Conditions
		limit    int
		together int // statements that read hits with their rows
		inOrder  int // those that read hits in order
		rows     int // those that read rows alone
	}{
		{"few new ones", store, where("few", "true"), 20, 1, 0, 0},
		{"too many behind them", store, where("crowded", "true"), 20, 2, 1, 1}, // none in between
		{"enough new ones", store, where("all", "yes"), 20, 0, 0, 1},
		{"more ids than one value holds", far, where("all", "yes"), 2300, 1, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked askedConn
			query := query
			query.Where, query.Limit = test.where, test.limit
			page, err := test.store.asking(&asked).Search(t.Context(), "", &query)
			require.NoError(t, err)
			require.Len(t, page.Traces, test.limit)
			known := make(map[pcommon.TraceID]bool)
			for i := range page.Traces {
				known[page.Traces[i].TraceID] = true
				require.False(t, i > 0 && page.Traces[i].Start > page.Traces[i-1].Start)
			}
			require.Len(t, known, test.limit)
			var together, inOrder, rows int
			for _, text := range asked.takeAll() {
				switch {
				case strings.Contains(text, "Id IN (SELECT Id FROM"):
					together++
				case strings.HasPrefix(text, "SELECT Id, toStartOfMinute"):
					inOrder++
				case strings.HasPrefix(text, "SELECT Id, Version"):
					rows++
				}
			}
			require.Equal(t, []int{test.together, test.inOrder, test.rows}, []int{together, inOrder, rows})
		})
	}
	t.Run("rows that leave it open", func(t *testing.T) {
		query := query
		query.Where, query.Limit = where("some", "true"), 20
		shop := tracestore.SpanConditions{Service: "shop"}
		query.Where.Structure = []tracestore.Structure{{Above: shop, Relation: tracestore.RelationChild, Below: shop}}
		var got []string
		for _, row := range allPages(t, store, query) {
			got = append(got, row.TraceID.String())
		}
		require.Equal(t, pairs, got)
	})
}

// Of how many tenants it is known is bounded.
func TestBegun(t *testing.T) {
	var b begun
	newest := time.Unix(1_700_000_000, 0)
	_, known := b.at("", newest)
	require.False(t, known)
	for i := range 3*maxBegun + 1 {
		b.put(fmt.Sprint(i), beginning{newest, newest.Add(-time.Minute), quarterOf(newest)})
		require.LessOrEqual(t, len(b.last), maxBegun)
	}
	s, known := b.at(fmt.Sprint(3*maxBegun), newest.Add(time.Second))
	require.True(t, known)
	require.Equal(t, newest.Add(-59*time.Second), s.from)
	require.Len(t, s.quarters, 1)
	_, known = b.at(fmt.Sprint(3*maxBegun), newest.Add(time.Hour))
	require.False(t, known)
}
