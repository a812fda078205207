package pebblestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"

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
