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
		require.NoError(t, w.WriteCall(t.Context(), td))
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
}

// Of how many tenants it is known is bounded.
func TestBegun(t *testing.T) {
	var b begun
	newest := time.Unix(1_700_000_000, 0)
	_, known := b.at("", newest)
	require.False(t, known)
	for i := range 3*maxBegun + 1 {
		b.put(fmt.Sprint(i), beginning{newest, slice{from: newest.Add(-time.Minute)}})
		require.LessOrEqual(t, len(b.last), maxBegun)
	}
	s, known := b.at(fmt.Sprint(3*maxBegun), newest.Add(time.Second))
	require.True(t, known)
	require.Equal(t, newest.Add(-59*time.Second), s.from)
	_, known = b.at(fmt.Sprint(3*maxBegun), newest.Add(time.Hour))
	require.False(t, known)
}
