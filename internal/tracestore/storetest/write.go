package storetest

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func testEmptyCall(t *testing.T, store Store) {
	write(t, store, ptrace.NewTraces())
	require.Empty(t, found(search(t, store, "", wholeDay())))
}

// testRoundTrip writes everything that OTLP can say of a span.
func testRoundTrip(t *testing.T, store Store) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.40.0")
	rs.Resource().SetDroppedAttributesCount(3)
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, now.UnixNano())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
	ss.Scope().SetName("scope \xff")
	ss.Scope().SetVersion("1")
	ss.Scope().SetDroppedAttributesCount(4)
	ss.Scope().Attributes().PutBool("scoped", true)
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(traceID(1))
	s.SetSpanID(spanID(1))
	s.SetParentSpanID(spanID(9))
	s.TraceState().FromRaw("ot=th:8")
	s.SetFlags(0x301)
	s.SetName("invalid UTF-8: \xc3\x28 \xff")
	s.SetKind(ptrace.SpanKind(77))
	s.SetStartTimestamp(math.MaxUint64)
	s.SetEndTimestamp(1)
	s.SetDroppedAttributesCount(5)
	s.SetDroppedEventsCount(6)
	s.SetDroppedLinksCount(7)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("broken \x80")
	attrs := s.Attributes()
	attrs.PutStr("", "an empty key")
	attrs.PutStr("key \xf0\x28", "\xfe\xff")
	attrs.PutEmpty("empty")
	attrs.PutDouble("not a number", math.NaN())
	attrs.PutDouble("minus zero", math.Copysign(0, -1))
	attrs.PutInt("smallest", math.MinInt64)
	attrs.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 0xff})
	attrs.PutEmptyBytes("no bytes")
	attrs.PutEmptySlice("empty slice")
	nested := attrs.PutEmptyMap("nested")
	for range 20 {
		nested.PutEmptySlice("list").AppendEmpty().SetInt(1)
		nested = nested.PutEmptyMap("deeper")
	}
	event := s.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(12)
	event.SetDroppedAttributesCount(8)
	event.Attributes().PutStr("exception.message", "out of stock")
	link := s.Links().AppendEmpty()
	link.SetTraceID(traceID(2))
	link.SetSpanID(spanID(2))
	link.SetFlags(1)
	link.TraceState().FromRaw("a=b")
	link.SetDroppedAttributesCount(9)
	link.Attributes().PutStr("k", "v")
	ss.Spans().AppendEmpty().SetTraceID(traceID(1)) // and a span that says nothing, not even its id

	write(t, store, td)
	releases := read(t, store, "", traceID(1))
	require.Len(t, releases, 1)
	requireKept(t, store, td, releases[0])
}

// testCut has two traces whose spans alternate over two resources and three scopes.
func testCut(t *testing.T, store Store) {
	build := func(want func(trace byte) bool) ptrace.Traces {
		td := ptrace.NewTraces()
		for r, service := range []string{"shop", "stock"} {
			rs := ptrace.NewResourceSpans()
			rs.SetSchemaUrl("resource schema " + service)
			rs.Resource().Attributes().PutStr("service.name", service)
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, now.UnixNano())
			for sc := range r + 1 {
				ss := ptrace.NewScopeSpans()
				ss.SetSchemaUrl("scope schema " + service)
				ss.Scope().SetName(strings.Repeat("scope ", sc+1))
				for i := range byte(6) {
					trace := i%2 + 1
					if want(trace) {
						s := span{trace: trace, id: byte(r)<<4 | byte(sc)<<3 | i + 1, name: strings.Repeat("n", 1<<(2*i))}
						s.write(ss.Spans().AppendEmpty())
					}
				}
				if ss.Spans().Len() > 0 {
					ss.MoveTo(rs.ScopeSpans().AppendEmpty())
				}
			}
			rs.MoveTo(td.ResourceSpans().AppendEmpty())
		}
		return td
	}
	write(t, store, build(func(byte) bool { return true }))
	for trace := byte(1); trace <= 2; trace++ {
		releases := read(t, store, "", traceID(trace))
		require.Len(t, releases, 1)
		want := build(func(n byte) bool { return n == trace })
		requireKept(t, store, want, releases[0])
	}
}

func testCallUnchanged(t *testing.T, store Store) {
	td := explained(call(lone(1, 0), lone(2, 0), span{trace: 1, id: 2, parent: 1, service: "stock", name: "take"}))
	before := wire(t, td)
	td.MarkReadOnly()
	require.NoError(t, store.WriteCall(t.Context(), td))
	require.Equal(t, before, wire(t, td))
	// What is read is the reader's, and changing it changes nothing that is stored.
	read(t, store, "", traceID(1))[0].ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
	require.Equal(t, 2, read(t, store, "", traceID(1))[0].SpanCount())
}

func testRepeatedCall(t *testing.T, store Store) {
	first := explained(call(lone(1, 0), lone(2, 0)))
	write(t, store, first, first)
	require.Len(t, read(t, store, "", traceID(1)), 1)
	page := search(t, store, "", wholeDay())
	require.Equal(t, []byte{2, 1}, found(page))
	require.Equal(t, 1, page.Traces[0].SpanCount)

	// The same traces in another call are another call.
	write(t, store, explained(call(lone(1, 0))))
	require.Len(t, read(t, store, "", traceID(1)), 2)
	require.Len(t, read(t, store, "", traceID(2)), 1)
	require.Equal(t, 1, search(t, store, "", wholeDay()).Traces[1].SpanCount, "a span that stands in two releases counts once")
}

// testReleaseOrder writes four releases of a trace out of order; a release is told by the id of its span.
func testReleaseOrder(t *testing.T, store Store) {
	release := func(id byte, version, part int) ptrace.Traces {
		return explained(call(span{trace: 1, id: id, service: "shop", name: "work", version: version, part: part, outcome: "part"}))
	}
	write(t, store, release(1, 2, 0), release(2, 1, 1), release(3, 1, 0), release(4, 1, 1), release(5, 1, 10))
	var order []byte
	for _, td := range read(t, store, "", traceID(1)) {
		require.Equal(t, 1, td.SpanCount())
		order = append(order, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SpanID()[7])
	}
	require.Equal(t, []byte{3, 2, 4, 5, 1}, order) // version 1: part 0, part 1 twice in the order of writing, part 10; version 2
	require.Equal(t, 5, search(t, store, "", wholeDay()).Traces[0].SpanCount)
}

// testOneRow has a whole trace and a late fragment that ends later, fails and is of another service.
func testOneRow(t *testing.T, store Store) {
	root := span{trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * time.Millisecond, version: 1, outcome: "quiet"}
	late := span{trace: 1, id: 2, parent: 1, service: "stock", name: "take", from: 50 * time.Millisecond, to: 150 * time.Millisecond, failed: true, version: 2, outcome: "late"}
	write(t, store, explained(call(root)), explained(call(lone(2, time.Minute))), explained(call(late)))
	page := search(t, store, "", wholeDay())
	require.Equal(t, []byte{2, 1}, found(page))
	require.Equal(t, tracestore.Total{Count: 2, Exact: true}, page.Total)
	row := page.Traces[1]
	require.Equal(t, tracestore.Operation{Service: "shop", Operation: "GET /cart"}, row.Entry)
	require.Equal(t, start.UnixNano(), row.Start)
	require.Equal(t, int64(150*time.Millisecond), row.Duration)
	require.Equal(t, 2, row.SpanCount)
	require.Equal(t, 1, row.ErrorCount)
	require.Equal(t, []string{"shop", "stock"}, row.Services)
	require.Equal(t, "quiet", row.Outcome)
	require.Equal(t, 2, row.Version)
	require.Zero(t, row.MissingParents)

	// It matches by spans of either release.
	for _, service := range []string{"shop", "stock"} {
		query := wholeDay()
		query.Where.Span = tracestore.SpanConditions{Service: service, MinDuration: 100 * time.Millisecond}
		query.Where.Trace.MinDuration = 150 * time.Millisecond
		require.Equal(t, []byte{1}, found(search(t, store, "", query)), service)
	}
}

// testLateRoot has a fragment that is stored before its trace's root, which starts earlier: the row moves.
func testLateRoot(t *testing.T, store Store) {
	fragment := span{trace: 1, id: 2, parent: 1, service: "stock", name: "take", from: time.Minute, to: time.Minute + time.Second, version: 1, outcome: "timeout"}
	root := span{trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 2 * time.Minute, version: 2, outcome: "complete"}
	write(t, store, explained(call(fragment)), explained(call(lone(2, 30*time.Second))))
	require.Equal(t, []byte{1, 2}, found(search(t, store, "", wholeDay())))
	write(t, store, explained(call(root)))
	page := search(t, store, "", wholeDay())
	require.Equal(t, []byte{2, 1}, found(page))
	require.Equal(t, tracestore.Operation{Service: "shop", Operation: "GET /cart"}, page.Traces[1].Entry)
	require.Equal(t, start.UnixNano(), page.Traces[1].Start)
	require.Equal(t, "complete", page.Traces[1].Outcome)
}

// testUnannotated stores what no trace_assembly and no trace_analysis has seen.
func testUnannotated(t *testing.T, store Store) {
	td := call(
		span{trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * time.Millisecond},
		span{trace: 1, id: 2, parent: 1, name: "take", from: 10 * time.Millisecond, to: 90 * time.Millisecond, failed: true},
	)
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().Remove(conventions.AttrReleasedAt)
	}
	write(t, store, td)
	row := search(t, store, "", wholeDay()).Traces[0]
	require.Equal(t, tracestore.Operation{Service: "shop", Operation: "GET /cart"}, row.Entry)
	require.Equal(t, int64(100*time.Millisecond), row.Duration)
	require.Equal(t, []string{"shop", conventions.UnknownService}, row.Services)
	require.Equal(t, 2, row.SpanCount)
	require.Equal(t, 1, row.ErrorCount)
	require.Empty(t, row.Outcome)
	require.Zero(t, row.Version)
	// The child of 80 ms holds the path for 80 of the 100 ms.
	require.NotNil(t, row.Bottleneck)
	require.Equal(t, spanID(2), row.Bottleneck.SpanID)
	require.InDelta(t, 0.8, row.Bottleneck.Share, 1e-9)
}

func testTenants(t *testing.T, store Store) {
	long := strings.Repeat("x", 200)
	tenants := []string{"", "a", "ab", "b", "tenant \xff\x00", long + "1", long + "2"}
	for i, tenant := range tenants {
		s := lone(1, 0)
		s.tenant, s.name = tenant, "in "+tenant
		own := lone(byte(10+i), 0)
		own.tenant = tenant
		write(t, store, explained(call(s, own)))
	}
	for i, tenant := range tenants {
		releases := read(t, store, tenant, traceID(1))
		require.Len(t, releases, 1, tenant)
		require.Equal(t, "in "+tenant, releases[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
		require.Equal(t, []byte{byte(10 + i), 1}, found(search(t, store, tenant, wholeDay())), tenant)
	}
	for _, err := range store.Trace(t.Context(), "a", traceID(10)) {
		require.ErrorIs(t, err, tracestore.ErrNotFound)
	}
	require.Empty(t, found(search(t, store, "nobody", wholeDay())))
}

func testStopEarly(t *testing.T, store Store) {
	for id := range byte(3) {
		write(t, store, call(span{trace: 1, id: id + 1, service: "shop"}))
	}
	n := 0
	for _, err := range store.Trace(t.Context(), "", traceID(1)) {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
}

func testNotFound(t *testing.T, store Store) {
	write(t, store, call(lone(1, 0)))
	n := 0
	for td, err := range store.Trace(t.Context(), "", pcommon.TraceID{0: 1}) {
		require.ErrorIs(t, err, tracestore.ErrNotFound)
		require.Equal(t, ptrace.Traces{}, td)
		n++
	}
	require.Equal(t, 1, n)
}

// What a storage reads together is what it reads one by one.
func testTracesTogether(t *testing.T, store Store) {
	together, ok := part[tracestore.TracesReader](store)
	if !ok {
		return // it reads one by one
	}
	random := newTraffic(3)
	for range often(store, 60, 15) {
		write(t, store, random.call())
	}
	for trace := range byte(5) {
		tenant := trafficTenant(trace)
		ids, want := []pcommon.TraceID{{0: 9}}, map[pcommon.TraceID][][]byte{}
		for other := range byte(trafficTraces) {
			id := traceID(other)
			ids = append(ids, id, id)
			if releases := releasesOf(t, store, tenant, id); len(releases) > 0 {
				want[id] = releases
			}
		}
		got, last := map[pcommon.TraceID][][]byte{}, pcommon.TraceID{}
		for r, err := range together.Traces(t.Context(), tenant, ids) {
			require.NoError(t, err)
			require.True(t, r.ID == last || got[r.ID] == nil, "the releases of a trace come one after the other")
			got[r.ID], last = append(got[r.ID], wire(t, r.Release)), r.ID
		}
		require.NotEmpty(t, want)
		require.Equal(t, want, got)
		for _, err := range together.Traces(t.Context(), tenant, ids) {
			require.NoError(t, err)
			break // a reader may stop early
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range together.Traces(ctx, "", []pcommon.TraceID{traceID(1)}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func testEndedContexts(t *testing.T, store Store) {
	write(t, store, call(lone(1, 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Search(ctx, "", wholeDay())
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range store.Trace(ctx, "", traceID(1)) {
		require.ErrorIs(t, err, context.Canceled)
	}
	// A call whose context ended may be stored or not; repeating it leaves it stored once.
	if err := store.WriteCall(ctx, call(lone(2, 0))); err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	write(t, store, call(lone(2, 0)))
	require.Len(t, read(t, store, "", traceID(2)), 1)
}
