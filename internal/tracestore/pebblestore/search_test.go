package pebblestore

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// TestSearchLimits: a search that may look at few rows says that it stopped, and goes on from there.
func TestSearchLimits(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, MaxSearchTraces: 10})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 35, 2)))

	// What the block tells is not looked at.
	user := tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "user.id", Op: tracestore.OpEqual, Text: "user-4"}}}
	rare := aroundNoon()
	rare.Where.Span = user
	page := mustSearch(t, store, rare)
	require.False(t, page.Truncated)
	require.Len(t, page.Traces, 1)

	// What matches lies behind three times the limit, and blocks are not asked for one or the other.
	rare = aroundNoon()
	rare.Where.Or = []tracestore.Conditions{{Span: user}, {Span: tracestore.SpanConditions{MaxDuration: time.Nanosecond}}}
	var pages, found int
	for {
		page := mustSearch(t, store, rare)
		pages++
		found += len(page.Traces)
		if rare.Cursor = page.NextCursor; rare.Cursor == "" {
			require.False(t, page.Truncated)
			require.False(t, page.Total.Exact)
			break
		}
		require.True(t, page.Truncated)
		require.Equal(t, tracestore.Total{Count: found}, page.Total)
	}
	require.Equal(t, 4, pages)
	require.Equal(t, 1, found)
	require.Equal(t, int64(3), store.Stats().TruncatedSearches)

	// A full page is not truncated, though counting stopped.
	all := aroundNoon()
	all.Limit = 5
	page = mustSearch(t, store, all)
	require.False(t, page.Truncated)
	require.NotEmpty(t, page.NextCursor)
	require.Equal(t, tracestore.Total{Count: 10}, page.Total)
}

func TestSearchTime(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, MaxSearchTime: time.Nanosecond})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 100, 2)))
	query := aroundNoon()
	query.Where.Span.Operation = "nothing"
	require.True(t, mustSearch(t, store, query).Truncated)
}

// TestCorruptBlocks: a block that is broken answers an error that names the trace; searches go on with the other blocks.
func TestCorruptBlocks(t *testing.T) {
	query := aroundNoon()
	query.Where.Span.Operation = "GET /resource/1"
	for name, test := range map[string]struct {
		kind    byte
		value   []byte
		missing bool
	}{
		"body":         {kind: kindBody, value: []byte("broken value")},
		"body missing": {kind: kindBody, missing: true},
		"head":         {kind: kindHead, value: []byte("broken value")},
		"block":        {kind: kindBlock, value: []byte("broken value")},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			store := openStore(t, Options{Path: path, Now: atNoon})
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 3, 2)))
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 10, 3, 2)))
			require.Len(t, mustSearch(t, store, query).Traces, 6)
			list, err := refs(store.db, store.partitions.of(tenantPrefix("")), traceID(1), 0)
			require.NoError(t, err)
			require.Len(t, list, 1)
			key := list[0].at.sequenceKey(test.kind, list[0].sequence)
			if test.missing {
				require.NoError(t, store.db.Delete(key, pebble.Sync))
			} else {
				require.NoError(t, store.db.Set(key, test.value, pebble.Sync))
			}
			if test.kind == kindBody {
				_, err = spanCounts(t, store, traceID(1))
				require.ErrorContains(t, err, "trace "+traceID(1).String())
			}
			require.Len(t, mustSearch(t, store, query).Traces, 3)
			require.Positive(t, store.Stats().CorruptValues)

			// A further release of it is stored all the same.
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 4)))
			mustSearch(t, store, query)
			_, err = spanCounts(t, store, traceID(11))
			require.NoError(t, err)
		})
	}
}

// TestHugeTrace has more spans than a row is made afresh from: the releases are merged into it.
func TestHugeTrace(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const parts, spans = 4, 4_000
	for part := range parts {
		td := newCall(noon.Add(time.Duration(part)*time.Second), 1, 1, spans)
		for _, rs := range td.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				id := span.SpanID()
				id[0] = byte(part)
				span.SetSpanID(id)
				if part > 0 && span.ParentSpanID().IsEmpty() {
					span.SetParentSpanID(pcommon.SpanID{7: 1})
				}
			}
		}
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	page := mustSearch(t, store, aroundNoon())
	require.Len(t, page.Traces, 1)
	row := page.Traces[0]
	require.Equal(t, parts*spans, row.SpanCount)
	require.Equal(t, []string{"service-0", "service-1", "service-2"}, row.Services)
	require.Equal(t, tracestore.Operation{Service: "service-0", Operation: "GET /resource/{id}"}, row.Entry)
	require.Equal(t, noon.UnixNano(), row.Start)
	require.GreaterOrEqual(t, row.Duration, int64((parts-1)*time.Second))
	counts, err := spanCounts(t, store, traceID(1))
	require.NoError(t, err)
	require.Equal(t, []int{spans, spans, spans, spans}, counts)
}

// TestAgainstReference writes the same random calls into this store, reopened now and then, and into the reference, and asks
// both the same questions.
func TestAgainstReference(t *testing.T) {
	const retention = 72 * time.Hour
	path := t.TempDir()
	open := func() *Store { return openStore(t, Options{Path: path, Retention: retention, Now: atNoon}) }
	store, reference := open(), memstore.New(retention, atNoon)
	r := rand.New(rand.NewPCG(3, 4))
	for step := range 150 {
		switch r.IntN(10) {
		case 0:
			require.NoError(t, store.Close())
			store = open()
		case 1:
			require.NoError(t, store.db.Flush())
		default:
			released := noon.Add(-time.Duration(r.IntN(60)) * time.Hour)
			td := newCall(released, r.IntN(60), 1+r.IntN(4), 1+r.IntN(6))
			for range 1 + r.IntN(2) {
				require.NoError(t, store.WriteCall(t.Context(), td))
				require.NoError(t, reference.WriteCall(t.Context(), td))
			}
		}
		query := &tracestore.SearchQuery{Start: noon.Add(-time.Duration(r.IntN(90)) * time.Hour), End: noon, Limit: 1 + r.IntN(80)}
		switch r.IntN(4) {
		case 0:
			query.Where.Span.Service = "service-1"
		case 1:
			query.Where.Span.Operation, query.Where.Trace.MaxDuration = "GET /resource/4", time.Hour
		case 2:
			query.Where.Span.MinDuration = 999 * time.Microsecond
		}
		want, err := reference.Search(t.Context(), "", query)
		require.NoError(t, err)
		got := mustSearch(t, store, query)
		require.Equal(t, want.Traces, got.Traces, "step %d", step)
		require.Equal(t, want.NextCursor == "", got.NextCursor == "", "step %d", step)
		if got.Total.Exact {
			require.Equal(t, want.Total, got.Total)
		}
	}
}
