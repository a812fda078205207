package pebblestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// attributeIs is a span with an attribute of this text.
func attributeIs(scope tracestore.AttributeScope, key, text string) tracestore.AttributeCondition {
	return tracestore.AttributeCondition{Scope: scope, Key: key, Op: tracestore.OpEqual, Text: text}
}

// TestJoinedByHeads: a trace of several releases is found by what stands in any of their blocks, with its row made or open, and not read for what stands in none.
func TestJoinedByHeads(t *testing.T) {
	const traces = 3
	key := func(release int) string { return fmt.Sprint("key-", release) }
	released := func(release int) time.Time { return noon.Add(time.Duration(release) * time.Second) }
	for _, open := range []bool{false, true} {
		store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
		if open {
			defer holdJoiner(store)()
		}
		for trace := range traces {
			for release := range 2 {
				td := lone(released(release), noon, traceID(trace), byte(release+1))
				td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(key(release), fmt.Sprint(trace))
				require.NoError(t, store.WriteCall(t.Context(), td))
			}
		}
		if !open {
			require.NoError(t, store.finishJoins(t.Context()))
		}
		find := func(where tracestore.Conditions) (found []int) {
			query := aroundNoon()
			query.Where = where
			page := mustSearch(t, store, query)
			require.False(t, page.Truncated)
			for i := range page.Traces {
				for trace := range traces {
					if page.Traces[i].TraceID == traceID(trace) {
						found = append(found, trace)
					}
				}
			}
			return found
		}
		span := func(attributes ...tracestore.AttributeCondition) tracestore.Conditions {
			return tracestore.Conditions{Span: tracestore.SpanConditions{Attributes: attributes}}
		}
		first, second := attributeIs(tracestore.ScopeSpan, key(0), "1"), attributeIs(tracestore.ScopeSpan, key(1), "1")
		require.Equal(t, []int{1}, find(span(first)))
		require.Equal(t, []int{1}, find(span(second)))
		require.Equal(t, []int{1}, find(tracestore.Conditions{And: []tracestore.Conditions{span(first), span(second)}}))
		require.Empty(t, find(span(first, second)), "not on one span")
		// Joining writes the time of the last release on every resource.
		last := attributeIs(tracestore.ScopeResource, conventions.AttrReleasedAt, fmt.Sprint(released(1).UnixNano()))
		require.Equal(t, []int{1}, find(span(first, last)))

		// What no head has is looked for without bodies.
		for _, d := range store.partitions.all() {
			for _, b := range store.partitions.blocksOf(d.partition) {
				require.NoError(t, store.db.Delete(d.sequenceKey(kindBody, b.sequence), pebble.NoSync))
			}
		}
		require.Empty(t, find(span(attributeIs(tracestore.ScopeSpan, key(0), "nobody's"))))
		require.Zero(t, store.Stats().CorruptValues)
		require.Empty(t, find(span(first)))
		require.NotZero(t, store.Stats().CorruptValues)
	}
}

// releaseWith is a release of a trace with one span, which has an attribute and some padding.
func releaseWith(trace int, span byte, key, value string, padding int) ptrace.Traces {
	td := lone(noon, noon, traceID(trace), span)
	attributes := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	attributes.PutStr(key, value)
	attributes.PutStr("padding", strings.Repeat("x", padding))
	return td
}

// manyReleases are more than a search reads of a trace once its time is over.
const manyReleases = maxRecomputedReleases + 10

// oneOfManyReleases is a store with a trace of two releases and one of many, and a query that both match: of the one of many by its last release.
func oneOfManyReleases(t *testing.T, two, many int) (*Store, *tracestore.SearchQuery) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	for k := range 2 {
		require.NoError(t, store.WriteCall(t.Context(), releaseWith(two, byte(k+1), "step", "last", 0)))
	}
	for k := range manyReleases {
		step := "some"
		if k == manyReleases-1 {
			step = "last"
		}
		require.NoError(t, store.WriteCall(t.Context(), releaseWith(many, byte(k+1), "step", step, 0)))
	}
	require.NoError(t, store.finishJoins(t.Context()))
	query := aroundNoon()
	query.Where.Span.Attributes = []tracestore.AttributeCondition{attributeIs(tracestore.ScopeSpan, "step", "last")}
	return store, query
}

// TestTraceOfManyReleasesIsPassed: a page does not look at one trace for longer than it has time, and the next one begins behind it.
func TestTraceOfManyReleasesIsPassed(t *testing.T) {
	store, query := oneOfManyReleases(t, 1, 2)
	query.Limit = 1
	page := mustSearch(t, store, query)
	require.Equal(t, traceID(2), page.Traces[0].TraceID)
	require.False(t, page.Truncated)

	query.Deadline = time.Now()
	var found []pcommon.TraceID
	for query.Cursor = mustSearch(t, store, query).NextCursor; query.Cursor != ""; query.Cursor = page.NextCursor {
		page = mustSearch(t, store, query)
		require.True(t, page.Truncated || len(page.Traces) == 1)
		for i := range page.Traces {
			found = append(found, page.Traces[i].TraceID)
		}
	}
	require.Equal(t, []pcommon.TraceID{traceID(1)}, found)
}

// asked is a context that does something when it was asked often enough whether it is over.
type asked struct {
	context.Context
	left int
	do   func()
}

func (a *asked) Err() error {
	if a.left--; a.left == 0 {
		a.do()
	}
	return a.Context.Err()
}

// TestTraceIsNotPassedForLackOfTime: where the time is over while a trace is read, and the page came further than the one before it, the next page
// reads it.
func TestTraceIsNotPassedForLackOfTime(t *testing.T) {
	store, query := oneOfManyReleases(t, 2, 1)
	query.Limit = 2
	ctx := &asked{Context: t.Context(), left: manyReleases + manyReleases/2} // the heads of its blocks were looked at then
	run, err := store.newSearch(ctx, "", query)
	require.NoError(t, err)
	ctx.do = func() { run.deadline = time.Now().Add(-time.Second) }
	page, err := run.answer()
	require.NoError(t, err)
	require.Negative(t, ctx.left)
	require.True(t, page.Truncated)
	require.Len(t, page.Traces, 1)
	require.Equal(t, traceID(2), page.Traces[0].TraceID)
	query.Cursor = page.NextCursor
	page = mustSearch(t, store, query)
	require.Len(t, page.Traces, 1)
	require.Equal(t, traceID(1), page.Traces[0].TraceID)
}

// TestLargeTraceIsReadByReleases: a trace that is too large to be held is found by its single spans; where these do not answer, the page says that it looked at less.
func TestLargeTraceIsReadByReleases(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	for k := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), releaseWith(1, byte(k+1), "step", fmt.Sprint(k), maxRecomputedBytes*2/5)))
	}
	require.NoError(t, store.finishJoins(t.Context()))
	step := func(value string) tracestore.SpanConditions {
		return tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{attributeIs(tracestore.ScopeSpan, "step", value)}}
	}
	find := func(where tracestore.Conditions) (found int, truncated bool) {
		query := aroundNoon()
		query.Where = where
		page := mustSearch(t, store, query)
		require.Zero(t, store.Stats().CorruptValues)
		return len(page.Traces), page.Truncated
	}
	and := func(list ...tracestore.SpanConditions) (where tracestore.Conditions) {
		for _, conditions := range list {
			where.And = append(where.And, tracestore.Conditions{Span: conditions})
		}
		return where
	}
	for name, test := range map[string]struct {
		where     tracestore.Conditions
		found     int
		truncated bool
	}{
		"the last release": {and(step("2")), 1, false},
		"two releases":     {and(step("0"), step("2")), 1, false},
		"no span":          {and(tracestore.SpanConditions{Attributes: slices.Concat(step("0").Attributes, step("2").Attributes)}), 0, false},
		"a structure": {tracestore.Conditions{Structure: []tracestore.Structure{
			{Above: step("0"), Below: step("2"), Relation: tracestore.RelationDescendant},
		}}, 0, true},
		"either": {tracestore.Conditions{Or: []tracestore.Conditions{and(step("0")), and(step("none"))}}, 0, true},
	} {
		found, truncated := find(test.where)
		require.Equal(t, test.found, found, name)
		require.Equal(t, test.truncated, truncated, name)
	}
}
