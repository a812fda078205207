package clickhousestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// endingConn answers some statements, and then the server's exception.
type endingConn struct {
	driver.Conn
	code int32
	left atomic.Int64
}

func (c *endingConn) Query(ctx context.Context, text string, args ...any) (driver.Rows, error) {
	if c.left.Add(-1) < 0 {
		return nil, &clickhouse.Exception{Code: c.code}
	}
	return c.Conn.Query(ctx, text, args...)
}

// ending is a store that asks by the connection.
func (s *Store) ending(c *endingConn) *Store {
	c.Conn = s.db
	return &Store{options: s.options, schema: s.schema, db: c, ready: s.ready, ctx: s.ctx}
}

// TestTruncatedGoesOn: who follows the cursors of searches that end early, wherever they do, comes to the end and has met each trace once.
func TestTruncatedGoesOn(t *testing.T) {
	options := testOptions(t)
	options.firstReach, options.firstSlice, options.upTo = 20, 20, 2
	store, w := openStore(t, options), newWriter(t, options)
	rng := rand.New(rand.NewPCG(3, 7))
	now := time.Now()
	var traces []reachTrace
	first, later := ptrace.NewTraces(), ptrace.NewTraces()
	for i := range 250 {
		released := now.Add(-time.Duration(rng.Int64N(int64(10 * time.Hour))))
		trace := reachTrace{
			id: pcommon.TraceID{0: 1, 14: byte(i >> 8), 15: byte(i)}, start: released.Add(-time.Duration(rng.Int64N(int64(90 * time.Second)))),
			duration: time.Duration(1+rng.IntN(100)) * time.Millisecond, n: i % 13, rare: i%80 == 7, late: i%11 == 0,
		}
		traces = append(traces, trace)
		addReachSpan(first, &trace, released, 1, map[string]string{"n": fmt.Sprint(trace.n), "rare": fmt.Sprint(trace.rare)})
		if trace.late {
			addReachSpan(later, &trace, released.Add(time.Duration(rng.Int64N(int64(40*time.Minute)))), 2, map[string]string{"late": "yes"})
		}
	}
	writeExplained(t, w, first)
	writeExplained(t, w, later)

	is := func(key, value string) tracestore.SpanConditions {
		return tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: key, Op: tracestore.OpEqual, Text: value}}}
	}
	for _, test := range []struct {
		name  string
		where tracestore.Conditions
		holds func(of *reachTrace) bool
	}{
		{"all", tracestore.Conditions{}, func(*reachTrace) bool { return true }},
		{"value", tracestore.Conditions{Span: is("n", "3")}, func(of *reachTrace) bool { return of.n == 3 }},
		{"rare value", tracestore.Conditions{Span: is("rare", "true")}, func(of *reachTrace) bool { return of.rare }},
		{"no such value", tracestore.Conditions{Span: is("n", "13")}, func(*reachTrace) bool { return false }},
		{
			"of both releases",
			tracestore.Conditions{Span: is("n", "3"), And: []tracestore.Conditions{{Span: is("late", "yes")}}},
			func(of *reachTrace) bool { return of.n == 3 && of.late },
		},
		{
			"long traces",
			tracestore.Conditions{Trace: tracestore.TraceConditions{MinDuration: 99 * time.Millisecond}},
			func(of *reachTrace) bool { return of.duration >= 99*time.Millisecond },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for i := range traces {
				if of := &traces[i]; test.holds(of) {
					want = append(want, fmt.Sprintf("%020d %s", of.start.UnixNano(), of.id))
				}
			}
			slices.Sort(want)
			slices.Reverse(want)
			blind := 0 // pages on which nothing was found, and that went on; of few traces there must be some
			for n := 0; n < 2 || n < 20 && blind == 0 && len(want) < 5; n++ {
				ends := &endingConn{code: []int32{codeTimeout, codeMemoryLimit}[rng.IntN(2)]}
				cut := store.ending(ends)
				query := tracestore.SearchQuery{Start: now.Add(-24 * time.Hour), End: now.Add(time.Hour), Limit: 5 + rng.IntN(60), Where: test.where}
				var got []string
				for statements := int64(1); ; {
					ends.left.Store(statements)
					page, err := cut.Search(t.Context(), "", &query)
					require.NoError(t, err)
					for _, row := range page.Traces {
						got = append(got, fmt.Sprintf("%020d %s", row.Start, row.TraceID))
					}
					if page.NextCursor == "" && !page.Truncated {
						break
					}
					if page.NextCursor == "" { // it did not come on
						require.Empty(t, page.Traces)
						statements++
						continue
					}
					require.NotEqual(t, query.Cursor, page.NextCursor)
					if len(page.Traces) == 0 {
						blind++
					}
					query.Cursor, statements = page.NextCursor, 1+rng.Int64N(6)
				}
				require.Equal(t, want, got)
			}
			if len(want) < 5 {
				require.Positive(t, blind)
			}
		})
	}
}
