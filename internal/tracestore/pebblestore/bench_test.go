package pebblestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// renumber gives the spans of the n-th call of a benchmark ids of their own.
func renumber(td ptrace.Traces, n int) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				id := span.TraceID()
				id[8], id[9], id[10], id[11] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
				span.SetTraceID(id)
			}
		}
	}
}

// BenchmarkWriteCall writes calls of 100 traces of 20 spans.
func BenchmarkWriteCall(b *testing.B) {
	const traces, spans = 100, 20
	store := openStore(b, Options{Path: b.TempDir(), Retention: 168 * time.Hour, Now: atNoon})
	td := newCall(noon, 0, traces, spans)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		renumber(td, n)
		n++
		require.NoError(b, store.WriteCall(b.Context(), td))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*traces*spans), "ns/span")
	b.ReportMetric(float64(store.Stats().SpanBytes)/float64(n*traces*spans), "bytes/span")
}

// newFullCall makes a call as large as assembly makes them: 409 traces of 20 spans with 300 operations.
func newFullCall(releasedAt time.Time) ptrace.Traces {
	td := newCall(releasedAt, 0, 409, 20)
	for s, rs := range td.ResourceSpans().All() {
		n := 0
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			n++
			span.SetName(fmt.Sprint("GET /resource/", s, "/", n*7%100))
			span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(1000*(1+n*n%9973)))
		}
	}
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}

// BenchmarkWriteFullCall writes the sums down every 16 calls, and folds them when that is due, as a store does that is written to as fast
// as it takes. A fold is reported for itself: it is part of a span's cost.
func BenchmarkWriteFullCall(b *testing.B) {
	store := openStore(b, Options{Path: b.TempDir(), Retention: 168 * time.Hour, Now: atNoon})
	td := newFullCall(noon)
	b.ReportAllocs()
	n := 0
	var folding time.Duration
	for b.Loop() {
		renumber(td, n)
		require.NoError(b, store.WriteCall(b.Context(), td))
		if n++; n%16 == 0 {
			require.NoError(b, store.writeSums())
			began := time.Now()
			require.NoError(b, store.foldRollups())
			folding += time.Since(began)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*td.SpanCount()), "ns/span")
	b.ReportMetric(float64(folding.Nanoseconds())/float64(n*td.SpanCount()), "ns/span-folding")
	b.ReportMetric(float64(store.Stats().SpanBytes)/float64(n*td.SpanCount()), "bytes/span")
}

// BenchmarkAggregates asks for the operations of an hour, 300 in each minute.
func BenchmarkAggregates(b *testing.B) {
	clock := newClock(noon)
	store := openStore(b, Options{Path: b.TempDir(), Now: clock.now})
	for n := range 60 {
		td := newFullCall(noon.Add(time.Duration(n) * time.Minute))
		renumber(td, n)
		require.NoError(b, store.WriteCall(b.Context(), td))
	}
	clock.set(noon.Add(time.Hour))
	require.NoError(b, store.foldRollups())
	require.NoError(b, store.db.Flush())
	query := &tracestore.AggregateQuery{Start: noon, End: clock.now()}
	for b.Loop() {
		calls := int64(0)
		for operation, err := range store.Operations(b.Context(), "", query) {
			require.NoError(b, err)
			calls += operation.Calls
		}
		require.EqualValues(b, 60*409*20, calls)
	}
}

// filled opens a store with 10,000 traces of 20 spans.
func filled(b *testing.B) *Store {
	store := openStore(b, Options{Path: b.TempDir(), Now: atNoon})
	td := newCall(noon, 0, 100, 20)
	for n := range 100 {
		renumber(td, n)
		require.NoError(b, store.WriteCall(b.Context(), td))
	}
	require.NoError(b, store.db.Flush())
	return store
}

func BenchmarkTrace(b *testing.B) {
	store := filled(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		counts, err := spanCounts(b, store, pcommon.TraceID{11: byte(n % 100), 15: byte(n % 89)})
		require.NoError(b, err)
		require.Equal(b, []int{20}, counts)
	}
}

func BenchmarkSearch(b *testing.B) {
	store := filled(b)
	for name, query := range map[string]tracestore.SearchQuery{
		"newest":         {},
		"service":        {Where: tracestore.Conditions{Span: tracestore.SpanConditions{Service: "service-1"}}},
		"span":           {Where: tracestore.Conditions{Span: tracestore.SpanConditions{Service: "service-1", Operation: "GET /resource/4"}}},
		"rare attribute": {Where: tracestore.Conditions{Span: tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "user.id", Op: tracestore.OpEqual, Text: "nobody"}}}}},
	} {
		b.Run(name, func(b *testing.B) {
			query.Start, query.End, query.Limit = noon.Add(-time.Hour), noon.Add(time.Hour), 20
			for b.Loop() {
				mustSearch(b, store, &query)
			}
		})
	}
}

// BenchmarkTell says what those who follow cost a writer.
func BenchmarkTell(b *testing.B) {
	td := newFullCall(noon)
	releases := tracetree.Releases(td)
	failed := true
	for name, where := range map[string]*tracestore.Conditions{
		"nobody":     nil,
		"everything": {},
		"some spans": {Span: tracestore.SpanConditions{Operation: "GET /resource/1/93", Errors: &failed, MinDuration: time.Second}},
	} {
		b.Run(name, func(b *testing.B) {
			var tails tracestore.Tails
			if where != nil {
				defer tails.Tail("", where, 1).Close()
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				tails.Tell(releases, tracerow.Told)
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*td.SpanCount()), "ns/span")
		})
	}
}
