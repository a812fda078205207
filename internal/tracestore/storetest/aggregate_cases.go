package storetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// testAggregateWindow: a window takes whole minutes, those that [start, end) touches.
func testAggregateWindow(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	for name, test := range map[string]struct {
		from, to time.Duration
		traces   int64
	}{
		"both":                {0, 2 * time.Minute, 4},
		"first":               {0, time.Minute, 3},
		"a moment of it":      {30 * time.Second, 30*time.Second + 1, 3},
		"a moment too long":   {0, time.Minute + 1, 4},
		"second":              {time.Minute, 2 * time.Minute, 1},
		"the first's end too": {time.Minute - 1, 2 * time.Minute, 4},
		"before":              {-time.Hour, 0, 0},
		"after":               {2 * time.Minute, time.Hour, 0},
		"empty":               {time.Minute, time.Minute, 0},
		"from the end":        {2 * time.Minute, 0, 0},
		"days":                {-100 * 24 * time.Hour, 100 * 24 * time.Hour, 4},
		"everything":          {math.MinInt64, math.MaxInt64, 4},
	} {
		query := &tracestore.AggregateQuery{Start: now.Add(test.from), End: now.Add(test.to)}
		traces := int64(0)
		for _, entry := range collect(t, store.Entries(t.Context(), "", query)) {
			traces += entry.Traces
		}
		require.Equal(t, test.traces, traces, name)
	}
	forever := &tracestore.AggregateQuery{Start: time.Time{}, End: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	require.Len(t, collect(t, store.Entries(t.Context(), "", forever)), 1)
}

// testOperationMinutes: what a storage reads of several minutes together is what it says of each.
func testOperationMinutes(t *testing.T, store Store) {
	together, ok := part[tracestore.MinutesReader](store)
	if !ok {
		return // it reads one by one
	}
	write(t, store, shopCalls()...)
	minutes := []time.Time{now.Add(time.Minute), now, now.Add(5 * time.Minute)}
	var want []tracestore.OperationMinute
	for _, minute := range minutes {
		for _, o := range collect(t, store.Operations(t.Context(), "", &tracestore.AggregateQuery{Start: minute, End: minute.Add(time.Minute)})) {
			want = append(want, tracestore.OperationMinute{Minute: minute, Operation: o.Operation, Kind: o.Kind, Calls: o.Calls, SelfTime: o.SelfTime})
		}
	}
	require.NotEmpty(t, want)
	got, err := together.OperationMinutes(t.Context(), "", minutes)
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
	got, err = together.OperationMinutes(t.Context(), "nobody", minutes)
	require.NoError(t, err)
	require.Empty(t, got)
}

func testAggregateFilters(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	for name, test := range map[string]struct {
		environment, service string // of all for *
		operations           []tracestore.Operation
		calls                int64
		children             []string
	}{
		"all": {
			"*", "",
			[]tracestore.Operation{cartOperation, postOperation, takeOperation, readOperation},
			9,
			[]string{"stock", "postgresql:orders"},
		},
		"production": {
			"production", "",
			[]tracestore.Operation{cartOperation, postOperation, takeOperation, readOperation},
			8,
			[]string{"stock", "postgresql:orders"},
		},
		"staging":       {"staging", "", []tracestore.Operation{cartOperation}, 1, nil},
		"none named":    {"", "", nil, 0, nil},
		"unknown":       {"moon", "", nil, 0, nil},
		"shop":          {"*", "shop", []tracestore.Operation{cartOperation, postOperation}, 6, []string{"stock"}},
		"stock":         {"*", "stock", []tracestore.Operation{takeOperation, readOperation}, 3, []string{"stock", "postgresql:orders"}},
		"database":      {"*", "postgresql:orders", nil, 0, []string{"postgresql:orders"}},
		"stock staging": {"staging", "stock", nil, 0, nil},
		"nobody":        {"*", "nobody", nil, 0, nil},
	} {
		query := bothMinutes()
		query.Service = test.service
		if test.environment != "*" {
			query.Environment = &test.environment
		}
		var operations []tracestore.Operation
		calls := int64(0)
		for _, o := range collect(t, store.Operations(t.Context(), "", query)) {
			operations = append(operations, o.Operation)
			calls += o.Calls
		}
		require.ElementsMatch(t, test.operations, operations, name)
		require.Equal(t, test.calls, calls, name)
		var children []string
		for _, edge := range collect(t, store.Edges(t.Context(), "", query)) {
			children = append(children, edge.Child)
		}
		require.ElementsMatch(t, test.children, children, name)
	}
	stock := bothMinutes()
	stock.Service = "stock"
	require.Empty(t, collect(t, store.Entries(t.Context(), "", stock)))
	require.Len(t, collect(t, store.EntryOperations(t.Context(), "", stock)), 2)
	require.Len(t, collect(t, store.Errors(t.Context(), "", stock)), 1)
}

func testAggregateRepeated(t *testing.T, store Store) {
	calls := shopCalls()
	write(t, store, calls...)
	once := collect(t, store.EntryOperations(t.Context(), "", bothMinutes()))
	write(t, store, calls...)
	require.ElementsMatch(t, once, collect(t, store.EntryOperations(t.Context(), "", bothMinutes())))
	done, err := store.Completeness(t.Context(), "", bothMinutes())
	require.NoError(t, err)
	require.EqualValues(t, 9, done.Spans)
}

// testAggregateOddSpans has a trace that nobody has annotated, with a span that is repeated, one that conflicts with another, and
// times that no clock shows.
func testAggregateOddSpans(t *testing.T, store Store) {
	backwards := span{trace: 1, id: 2, parent: 1, service: "shop", name: "backwards", from: 20 * ms, to: 10 * ms}
	conflicting := span{
		trace: 1, id: 4, parent: 1, service: "shop", name: "conflict", to: ms,
		attributes: map[string]any{conventions.AttrViolations: []any{conventions.ViolationConflictingSpanID}},
	}
	spans := []span{
		{trace: 1, id: 1, service: "shop", name: "GET /", kind: ptrace.SpanKindServer, to: 100 * ms},
		backwards, backwards, conflicting,
		{trace: 1, id: 3, parent: 1, name: "endless", kind: 77},
	}
	if lossesOf(store).has(LostUnanalysed) {
		spans = slices.Delete(spans, 1, 2) // as trace_assembly would
	}
	td := call(spans...)
	endless := td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0)
	endless.SetStartTimestamp(1)
	endless.SetEndTimestamp(math.MaxInt64)
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().Remove(conventions.AttrReleasedAt)
	}
	if lossesOf(store).has(LostUnanalysed) {
		explained(td)
	}
	td.MarkReadOnly()
	write(t, store, td, td)
	list := collect(t, store.Operations(t.Context(), "", bothMinutes()))
	for i := range list {
		want := map[string]time.Duration{"GET /": 100 * ms, "endless": math.MaxInt64}[list[i].Operation.Operation]
		if want == 0 {
			require.Equal(t, 1, int(list[i].Durations.GetZeroCount()))
		}
		if want > 0 {
			lasting(t, &list[i].Durations, want)
		}
		list[i].Durations, list[i].SelfTime, list[i].CriticalPathTime = nil, 0, 0
	}
	op := func(service, name string) tracestore.Operation {
		return tracestore.Operation{Service: service, Operation: name}
	}
	require.ElementsMatch(t, []tracestore.OperationAggregate{
		{Operation: op("shop", "GET /"), Kind: "server", Calls: 1, Roots: 1, Weight: 1},
		{Operation: op("shop", "backwards"), Kind: "unspecified", Calls: 1, Weight: 1},
		{Operation: op(conventions.UnknownService, "endless"), Kind: "unspecified", Calls: 1, Weight: 1},
	}, list)
	entries := collect(t, store.Entries(t.Context(), "", bothMinutes()))
	require.Len(t, entries, 1)
	require.Equal(t, map[string]int64{"": 1}, entries[0].Outcomes)
}

// testEarlyPeer: a client span that nobody answers in its release names a virtual peer; that a server span did answer it shows
// when that one is late, and takes the call of the peer back. Another call of the peer stays.
func testEarlyPeer(t *testing.T, store Store) {
	post := span{
		trace: 1, id: 2, parent: 1, service: "shop", name: "POST stock", kind: ptrace.SpanKindClient, to: 60 * ms, failed: true,
		attributes: map[string]any{"rpc.system.name": "grpc", "server.address": "stock.local", "server.port": 80},
	}
	take := span{
		trace: 1, id: 3, parent: 2, service: "stock", name: "take", kind: ptrace.SpanKindServer, to: 50 * ms,
		version: 2, outcome: conventions.OutcomeLate,
		attributes: map[string]any{
			"rpc.system.name": "grpc", conventions.AttrEntryService: "shop", conventions.AttrEntryOperation: "GET /cart",
			conventions.AttrParentService: "shop", conventions.AttrParentOperation: "POST stock",
			conventions.AttrRetractedPeerService: "stock.local:80", conventions.AttrRetractedPeerKind: conventions.KindExternal,
			conventions.AttrRetractedProtocol: "grpc", conventions.AttrRetractedError: true,
		},
	}
	root := span{trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * ms, version: 1, outcome: "quiet"}
	edges := func() []tracestore.EdgeAggregate {
		list := collect(t, store.Edges(t.Context(), "", bothMinutes()))
		for i := range list {
			list[i].Durations = nil
		}
		return list
	}
	peer := tracestore.EdgeAggregate{Parent: "shop", Child: "stock.local:80", ChildKind: conventions.KindExternal, Protocol: "grpc", Calls: 1, Errors: 1}
	answered := tracestore.EdgeAggregate{Parent: "shop", Child: "stock", ChildKind: conventions.KindService, Protocol: "grpc", Calls: 1}
	write(t, store, explained(call(root, post)))
	require.Equal(t, []tracestore.EdgeAggregate{peer}, edges())
	write(t, store, explained(callAt(now.Add(time.Minute), take)))
	require.Equal(t, []tracestore.EdgeAggregate{answered}, edges())
	done, err := store.Completeness(t.Context(), "", bothMinutes())
	require.NoError(t, err)
	require.Equal(t, tracestore.Completeness{Spans: 3, Partial: 1}, done)
	later := collect(t, store.Edges(t.Context(), "", &tracestore.AggregateQuery{Start: now.Add(time.Minute), End: now.Add(2 * time.Minute)}))
	require.Len(t, later, 1, "a window that holds the retraction alone")
	require.Equal(t, "stock", later[0].Child)
	entries := collect(t, store.Entries(t.Context(), "", bothMinutes()))
	require.Len(t, entries, 1)
	require.EqualValues(t, 1, entries[0].Traces, "the late fragment is no trace of its own")

	other := post
	other.trace, other.failed = 2, false
	root.trace = 2
	write(t, store, explained(call(root, other)))
	peer.Errors = 0
	require.ElementsMatch(t, []tracestore.EdgeAggregate{peer, answered}, edges())
}

// testLateEntry: a trace of which the root is late was counted under the service that seemed to be its entry, as one that did
// not fail. The root moves it, and a span later still makes it one that failed.
func testLateEntry(t *testing.T, store Store) {
	take := span{trace: 1, id: 3, parent: 2, service: "stock", name: "take", kind: ptrace.SpanKindServer, to: 50 * ms, version: 1, outcome: "quiet"}
	root := span{
		trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * ms, version: 2, outcome: conventions.OutcomeLate,
		attributes: map[string]any{
			conventions.AttrEntryService: "shop", conventions.AttrEntryOperation: "GET /cart", conventions.AttrEntryOutcome: "quiet",
			conventions.AttrRetractedEntryService: "stock", conventions.AttrRetractedEntryOperation: "take",
		},
	}
	failing := span{
		trace: 1, id: 4, parent: 1, service: "shop", name: "pay", to: 9 * ms, version: 3, outcome: conventions.OutcomeLate, failed: true,
		attributes: map[string]any{
			conventions.AttrEntryService: "shop", conventions.AttrEntryOperation: "GET /cart", conventions.AttrEntryOutcome: "quiet",
			conventions.AttrEntryError: true,
		},
	}
	for i, want := range []tracestore.EntryAggregate{
		{Operation: takeOperation, Traces: 1, Outcomes: map[string]int64{"quiet": 1}},
		{Operation: cartOperation, Traces: 1, Outcomes: map[string]int64{"quiet": 1}},
		{Operation: cartOperation, Traces: 1, Errors: 1, Outcomes: map[string]int64{"quiet": 1}},
	} {
		write(t, store, explained(call([]span{take, root, failing}[i])))
		list := collect(t, store.Entries(t.Context(), "", bothMinutes()))
		require.Len(t, list, 1)
		lasting(t, &list[0].Durations, []time.Duration{50 * ms, 100 * ms, 100 * ms}[i])
		require.Equal(t, want, list[0])
	}
}

// testQuantiles has spans of 1, 2, … 1,000 ms over calls of two minutes.
func testQuantiles(t *testing.T, store Store) {
	for part := range 20 {
		td := callAt(now.Add(time.Duration(part%2)*time.Minute), span{trace: 1, id: 1, service: "shop", name: "work"})
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		spans.RemoveIf(func(ptrace.Span) bool { return true })
		for n := part + 1; n <= 1000; n += 20 {
			s := spans.AppendEmpty()
			s.SetTraceID(pcommon.TraceID{14: byte(n >> 8), 15: byte(n)})
			s.SetSpanID(spanID(1))
			s.SetName("work")
			s.SetStartTimestamp(1)
			s.SetEndTimestamp(1 + pcommon.Timestamp(time.Duration(n)*ms))
		}
		write(t, store, explained(td))
	}
	list := collect(t, store.Operations(t.Context(), "", bothMinutes()))
	require.Len(t, list, 1)
	require.EqualValues(t, 1000, list[0].Calls)
	for quantile, want := range map[float64]time.Duration{0: ms, 0.5: 500 * ms, 0.95: 950 * ms, 0.99: 990 * ms, 1: 1000 * ms} {
		got, err := list[0].Durations.GetValueAtQuantile(quantile)
		require.NoError(t, err)
		require.InEpsilon(t, float64(want), got, 0.01, quantile)
	}
}

// numbered names one of many operations such that nobody takes the number for an id.
func numbered(n int) string { return fmt.Sprintf("operation%dx%d", n/100, n%100) }

// testSeriesLimit has 9,999 operations, then the last of them, one for which there is room and 30 more, of two spans each; and
// five in the next minute.
func testSeriesLimit(t *testing.T, store Store) {
	const limit = 10_000
	minute := func(trace byte, released time.Time, from, to, repeat int) ptrace.Traces {
		td := callAt(released, span{trace: trace, id: 1, service: "shop", name: "first"})
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		spans.RemoveIf(func(ptrace.Span) bool { return true })
		for n := range (to - from) * repeat {
			s := spans.AppendEmpty()
			s.SetTraceID(traceID(trace))
			s.SetSpanID(pcommon.SpanID{5: byte(n >> 8), 6: byte(n), 7: 1})
			s.SetName(numbered(from + n%(to-from)))
		}
		return explained(td)
	}
	write(t, store,
		minute(1, now, 0, limit-1, 1), minute(2, now, limit-2, limit+30, 2), minute(3, now.Add(time.Minute), limit+20, limit+25, 1))
	calls := make(map[string]int64)
	for _, o := range collect(t, store.Operations(t.Context(), "", &tracestore.AggregateQuery{Start: now, End: now.Add(time.Minute)})) {
		require.Zero(t, calls[o.Operation.Operation], "every key once")
		calls[o.Operation.Operation] = o.Calls
		if o.Operation.Operation == "other" {
			require.Equal(t, "other", o.Service)
		}
	}
	require.Len(t, calls, limit+1)
	require.EqualValues(t, 1, calls[numbered(0)])
	require.EqualValues(t, 3, calls[numbered(limit-2)])
	require.EqualValues(t, 2, calls[numbered(limit-1)])
	require.EqualValues(t, 60, calls["other"])

	// The second trace has another entry: of its 32 operations one finds room among the operations of entries.
	done, err := store.Completeness(t.Context(), "", bothMinutes())
	require.NoError(t, err)
	require.Equal(t, tracestore.Completeness{Spans: limit - 1 + 64 + 5, Other: 62}, done)
	// Whose the others are is not known.
	shop := bothMinutes()
	shop.Service = "shop"
	for _, o := range collect(t, store.Operations(t.Context(), "", shop)) {
		require.Equal(t, "shop", o.Service)
	}
}
