package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

func testRandom(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 1)) }

func traceID(n int) pcommon.TraceID {
	return pcommon.TraceID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// newCall makes a call of traces first, first+1, …, each a root and children of it, released at a time and annotated.
func newCall(releasedAt time.Time, first, traces, spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	var lists []ptrace.SpanSlice
	for s := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		attrs := rs.Resource().Attributes()
		attrs.PutStr("service.name", fmt.Sprint("service-", s))
		attrs.PutStr("service.version", "1.2.3")
		attrs.PutStr("host.name", "host-17.example.com")
		attrs.PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
		scope := rs.ScopeSpans().AppendEmpty()
		scope.Scope().SetName("instrumentation")
		lists = append(lists, scope.Spans())
	}
	for n := first; n < first+traces; n++ {
		start := releasedAt.Add(time.Duration(n-first) * time.Millisecond)
		for i := range spans {
			span := lists[i%len(lists)].AppendEmpty()
			span.SetTraceID(traceID(n))
			span.SetSpanID(pcommon.SpanID{6: byte(i >> 8), 7: byte(i) + 1})
			span.SetName(fmt.Sprint("GET /resource/", i%7))
			span.SetKind(ptrace.SpanKindServer)
			if i > 0 {
				span.SetParentSpanID(pcommon.SpanID{7: 1})
				span.SetKind(ptrace.SpanKindInternal)
			}
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i) * time.Microsecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(1000-i) * time.Microsecond)))
			attrs := span.Attributes()
			attrs.PutStr("http.request.method", "GET")
			attrs.PutStr("url.path", fmt.Sprint("/resource/", n*31+i))
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("user.id", fmt.Sprint("user-", n%997))
			attrs.PutStr("network.protocol.version", "1.1")
			if i == 0 {
				attrs.PutInt(conventions.AttrVersion, 1)
				attrs.PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
			}
		}
	}
	return annotated(td)
}

// annotated writes the annotations anew.
func annotated(td ptrace.Traces) ptrace.Traces {
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}

// aroundNoon is a query for what newCall makes at noon.
func aroundNoon() *tracestore.SearchQuery {
	return &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: noon.Add(time.Hour), Limit: 1000}
}

func mustSearch(t testing.TB, store *Store, query *tracestore.SearchQuery) tracestore.SearchPage {
	t.Helper()
	page, err := store.Search(t.Context(), "", query)
	require.NoError(t, err)
	return page
}

// spanCounts reads a trace: the number of spans of each of its releases.
func spanCounts(t testing.TB, store *Store, id pcommon.TraceID) ([]int, error) {
	t.Helper()
	var counts []int
	for td, err := range store.Trace(t.Context(), "", id) {
		if err != nil {
			return counts, err
		}
		counts = append(counts, td.SpanCount())
	}
	return counts, nil
}
