package clickhousestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// reachTrace is what the test knows of a trace that it has written.
type reachTrace struct {
	id         pcommon.TraceID
	start      time.Time
	duration   time.Duration
	n          int
	rare, late bool // late: a second release brought another span
	busy       bool // one of many that were released in a short while, and not lately
}

// TestReach: searches that ask for spans answer the same, page by page, as somebody who looks at all traces, however far they have to reach.
func TestReach(t *testing.T) {
	options := testOptions(t)
	options.firstReach, options.upTo = 40, 2
	store, w := openStore(t, options), newWriter(t, options)
	rng := rand.New(rand.NewPCG(1, 9))
	now := time.Now()
	var traces []reachTrace
	first, later := ptrace.NewTraces(), ptrace.NewTraces()
	for i := range 1300 {
		released, lasted := now.Add(-time.Duration(rng.Int64N(int64(10*time.Hour)))), 90*time.Second
		if i >= 300 { // many are released in a short while, and not in the order of their starts
			released, lasted = now.Add(-2*time.Hour-time.Duration(rng.Int64N(int64(20*time.Minute)))), 20*time.Minute
		}
		if i%3 > 0 { // some of them at once
			released = released.Truncate(time.Minute)
		}
		trace := reachTrace{
			id: pcommon.TraceID{0: 1, 14: byte(i >> 8), 15: byte(i)}, start: released.Add(-time.Duration(rng.Int64N(int64(lasted)))),
			duration: time.Duration(1+rng.IntN(100)) * time.Millisecond, n: i % 13, rare: i%250 == 7, late: i%11 == 0, busy: i >= 300,
		}
		traces = append(traces, trace)
		addReachSpan(first, &trace, released, 1, map[string]string{"n": fmt.Sprint(trace.n), "rare": fmt.Sprint(trace.rare), "busy": fmt.Sprint(trace.busy)})
		if trace.late {
			addReachSpan(later, &trace, released.Add(time.Duration(rng.Int64N(int64(40*time.Minute)))), 2, map[string]string{"late": "yes"})
		}
	}
	writeExplained(t, w, first)
	writeExplained(t, w, later)

	is := func(key, value string) tracestore.SpanConditions {
		return tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: key, Op: tracestore.OpEqual, Text: value}}}
	}
	matches := tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "n", Op: tracestore.OpRegex, Regex: regexp.MustCompile("[35]")}}}
	for _, test := range []struct {
		name  string
		where tracestore.Conditions
		holds func(of *reachTrace) bool
	}{
		{"value", tracestore.Conditions{Span: is("n", "3")}, func(of *reachTrace) bool { return of.n == 3 }},
		{"rare value", tracestore.Conditions{Span: is("rare", "true")}, func(of *reachTrace) bool { return of.rare }},
		{"no such value", tracestore.Conditions{Span: is("n", "13")}, func(*reachTrace) bool { return false }},
		{"many, none of them new", tracestore.Conditions{Span: is("busy", "true")}, func(of *reachTrace) bool { return of.busy }},
		{
			"on a span of the operation",
			tracestore.Conditions{Span: tracestore.SpanConditions{Service: "shop", Operation: "GET /", Attributes: is("n", "3").Attributes}},
			func(of *reachTrace) bool { return of.n == 3 },
		},
		{"of the second release", tracestore.Conditions{Span: is("late", "yes")}, func(of *reachTrace) bool { return of.late }},
		{
			"of both releases",
			tracestore.Conditions{Span: is("n", "3"), And: []tracestore.Conditions{{Span: is("late", "yes")}}},
			func(of *reachTrace) bool { return of.n == 3 && of.late },
		},
		{
			"or of the second release",
			tracestore.Conditions{Span: is("rare", "false"), Or: []tracestore.Conditions{{Span: is("n", "3")}, {Span: is("late", "yes")}}},
			func(of *reachTrace) bool { return !of.rare && (of.n == 3 || of.late) },
		},
		{
			"of long traces",
			tracestore.Conditions{Span: is("n", "3"), Trace: tracestore.TraceConditions{MinDuration: 50 * time.Millisecond}},
			func(of *reachTrace) bool { return of.n == 3 && of.duration >= 50*time.Millisecond },
		},
		{"expression", tracestore.Conditions{Span: matches}, func(of *reachTrace) bool { return of.n == 3 || of.n == 5 }},
	} {
		for _, window := range []struct{ start, end time.Time }{
			{now.Add(-24 * time.Hour), now.Add(time.Hour)}, {now.Add(-time.Hour), now}, {now.Add(-6 * time.Hour), now.Add(-5 * time.Hour)},
		} {
			var want []string
			for i := range traces {
				if of := &traces[i]; test.holds(of) && !of.start.Before(window.start) && of.start.Before(window.end) {
					want = append(want, fmt.Sprintf("%020d %s", of.start.UnixNano(), of.id))
				}
			}
			slices.Sort(want)
			slices.Reverse(want)
			for _, limit := range []int{8, 1200} {
				t.Run(fmt.Sprintf("%s, %v back, %d", test.name, now.Sub(window.start), limit), func(t *testing.T) {
					var got []string
					query := tracestore.SearchQuery{Start: window.start, End: window.end, Limit: limit, Where: test.where}
					for _, row := range allPages(t, store, query) {
						got = append(got, fmt.Sprintf("%020d %s", row.Start, row.TraceID))
					}
					require.Equal(t, want, got)
				})
			}
		}
	}
}

// askedConn keeps the statements that it is asked, and calls a function before each is, if there is one.
type askedConn struct {
	driver.Conn
	before func(text string)

	mu         sync.Mutex
	statements []string // guarded by mu
}

func (c *askedConn) Query(ctx context.Context, text string, args ...any) (driver.Rows, error) {
	c.mu.Lock()
	c.statements = append(c.statements, text)
	c.mu.Unlock()
	if c.before != nil {
		c.before(text)
	}
	return c.Conn.Query(ctx, text, args...)
}

// take answers how many were asked that begin so, and forgets all.
func (c *askedConn) take(begin string) (n int) {
	for _, text := range c.takeAll() {
		if strings.HasPrefix(text, begin) {
			n++
		}
	}
	return n
}

func (c *askedConn) takeAll() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.statements
	c.statements = nil
	return all
}

// asking is a store that asks by the connection.
func (s *Store) asking(c *askedConn) *Store {
	c.Conn = s.db
	return &Store{options: s.options, schema: s.schema, db: c, ready: s.ready, ctx: s.ctx}
}

// TestOldWindow: what a window's newest traces want to know of quarters is asked once, however long ago the window ended, and behind a cursor too.
func TestOldWindow(t *testing.T) {
	options := testOptions(t)
	options.firstReach, options.upTo = 40, 2
	store, w := openStore(t, options), newWriter(t, options)
	var asked askedConn
	old := store.asking(&asked)
	now := time.Now()
	td := ptrace.NewTraces()
	for i := range 300 { // half of them in the last minutes, half three days ago
		trace := reachTrace{
			id: pcommon.TraceID{0: 1, 14: byte(i >> 8), 15: byte(i)}, start: now.Add(-time.Duration(i/150)*3*24*time.Hour - time.Duration(i)*time.Second),
			duration: time.Millisecond,
		}
		addReachSpan(td, &trace, trace.start.Add(time.Second), 1, map[string]string{"n": fmt.Sprint(i / 150)})
	}
	writeExplained(t, w, td)

	for name, window := range map[string]struct{ start, end time.Time }{
		"long ago": {now.Add(-9 * 24 * time.Hour), now.Add(-2 * 24 * time.Hour)}, "behind a cursor": {now.Add(-9 * 24 * time.Hour), now},
	} {
		t.Run(name, func(t *testing.T) {
			query := tracestore.SearchQuery{Start: window.start, End: window.end, Limit: 8}
			query.Where.Span.Attributes = []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: "n", Op: tracestore.OpEqual, Text: "1"}}
			lists := 0 // of the last search
			for range 2 {
				page, err := old.Search(t.Context(), "", &query)
				require.NoError(t, err)
				require.Len(t, page.Traces, query.Limit)
				lists = asked.take("SELECT Quarter")
				query.Cursor = page.NextCursor
			}
			require.Equal(t, 1, lists)
		})
	}
}

// writeExplained writes what was released, with what trace_analysis says of it.
func writeExplained(t *testing.T, w tracestore.Writer, td ptrace.Traces) {
	t.Helper()
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	require.NoError(t, w.WriteCall(t.Context(), td))
}

// TestReachWithoutQuarters: a search finds nothing, and does not fail, where retention drops all of its window between its two lists of quarters.
func TestReachWithoutQuarters(t *testing.T) {
	options := testOptions(t)
	store, w := openStore(t, options), newWriter(t, options)
	now := time.Now()
	trace := reachTrace{id: pcommon.TraceID{1}, start: now.Add(-time.Minute), duration: time.Millisecond}
	td := ptrace.NewTraces()
	addReachSpan(td, &trace, now, 1, map[string]string{"n": "1"})
	writeExplained(t, w, td)

	query := &tracestore.SearchQuery{Start: now.Add(-7 * 24 * time.Hour), End: now, Order: tracestore.OrderRecency, Limit: 20}
	query.Where.Span.Attributes = []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: "n", Op: tracestore.OpEqual, Text: "2"}}
	r := &search{store: store, ctx: t.Context(), query: query, filter: tracestore.NewFilter(&query.Where)}
	r.prepareReach()
	quarters, err := r.findQuarters(nil)
	require.NoError(t, err)
	require.Len(t, quarters, 1)
	require.False(t, r.listed.IsZero()) // there will be a second list
	r.quarters = quarters
	require.NoError(t, store.db.Exec(t.Context(), "TRUNCATE TABLE "+store.table("trace_quarters")))
	require.NoError(t, r.widen(0))
	next, err := r.next(0)
	require.NoError(t, err)
	require.Nil(t, next)
	require.True(t, r.listed.IsZero())
}

// addReachSpan adds a release of a trace: its root with the first version, a span in it with a later one.
func addReachSpan(td ptrace.Traces, trace *reachTrace, released time.Time, version byte, attributes map[string]string) {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, released.UnixNano())
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(trace.id)
	span.SetSpanID(pcommon.SpanID{7: version})
	span.SetName("GET /")
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(trace.start))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(trace.start.Add(trace.duration)))
	span.Attributes().PutInt(conventions.AttrVersion, int64(version))
	span.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
	if version > 1 {
		span.SetParentSpanID(pcommon.SpanID{7: 1})
		span.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeLate)
	}
	for key, value := range attributes {
		span.Attributes().PutStr(key, value)
	}
}
