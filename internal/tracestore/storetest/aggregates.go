package storetest

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const ms = time.Millisecond

var (
	production = map[string]any{"deployment.environment.name": "production", "service.version": "1"}
	canary     = map[string]any{"deployment.environment": "production", "service.version": "2"} // the attribute's previous name
	staging    = map[string]any{"deployment.environment.name": "staging"}

	overHTTP = map[string]any{"http.request.method": "POST"}
	toOrders = map[string]any{"db.system.name": "postgresql", "db.namespace": "orders"}
)

// shopCalls are the calls of two minutes, of traces of a shop:
//
//	                                                 time (ms)   self time and critical path
//	noon, production (a canary in stock)
//	1  complete  shop   GET /cart   server             0 – 100    50
//	             shop   POST stock  client  http      10 –  60    20
//	             stock  take        server  http      20 –  50    10   failed
//	             stock  SELECT      client  database  25 –  45    20   failed: the origin
//	2  complete  shop   GET /cart   server             0 – 200   200
//	3  timeout   shop   GET /cart   server             0 – 400   400
//	             stock  take        server  http     100 – 150    50, none on the path; its parent is missing
//	a minute later
//	3  late      shop   POST stock  client  http      90 – 160    70, none on the path; its child was released before
//	4  quiet     shop   GET /cart   server, staging    0 – 300   300   failed
//
// and at noon a trace of another tenant.
func shopCalls() []ptrace.Traces {
	cart := span{id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, resource: production, version: 1}
	root := func(trace byte, outcome string, to time.Duration) span {
		s := cart
		s.trace, s.outcome, s.to = trace, outcome, to
		return s
	}
	post := span{
		trace: 1, id: 2, parent: 1, service: "shop", name: "POST stock", kind: ptrace.SpanKindClient, resource: production,
		from: 10 * ms, to: 60 * ms, attributes: overHTTP,
	}
	take := span{
		trace: 1, id: 3, parent: 2, service: "stock", name: "take", kind: ptrace.SpanKindServer, resource: canary,
		from: 20 * ms, to: 50 * ms, attributes: overHTTP, failed: true,
	}
	query := span{
		trace: 1, id: 4, parent: 3, service: "stock", name: "SELECT", kind: ptrace.SpanKindClient, resource: canary,
		from: 25 * ms, to: 45 * ms, attributes: toOrders, failed: true,
	}
	orphan := take
	orphan.trace, orphan.from, orphan.to, orphan.failed = 3, 100*ms, 150*ms, false
	late := post
	late.trace, late.from, late.to, late.version, late.outcome = 3, 90*ms, 160*ms, 2, conventions.OutcomeLate
	late.attributes = map[string]any{ // as trace_assembly writes them
		"http.request.method": "POST", conventions.AttrEntryService: "shop", conventions.AttrEntryOperation: "GET /cart",
		conventions.AttrRepaired: 1, conventions.AttrChildService: []any{"stock"}, conventions.AttrChildOperation: []any{"take"},
		conventions.AttrChildEnvironment: []any{"production"}, conventions.AttrChildProtocol: []any{"http"},
		conventions.AttrChildDuration: []any{int64(50 * ms)},
	}
	failing := root(4, conventions.OutcomeQuiet, 300*ms)
	failing.resource, failing.failed = staging, true
	foreign := root(9, conventions.OutcomeComplete, ms)
	foreign.tenant = "other tenant"
	return []ptrace.Traces{
		explained(callAt(now, root(1, conventions.OutcomeComplete, 100*ms), post, take, query, root(2, conventions.OutcomeComplete, 200*ms), foreign)),
		explained(callAt(now.Add(59*time.Second), root(3, conventions.OutcomeTimeout, 400*ms), orphan)),
		explained(callAt(now.Add(time.Minute), late, failing)),
	}
}

// bothMinutes is a query over all shopCalls.
func bothMinutes() *tracestore.AggregateQuery {
	return &tracestore.AggregateQuery{Start: now, End: now.Add(2 * time.Minute)}
}

var (
	cartOperation = tracestore.Operation{Service: "shop", Operation: "GET /cart"}
	postOperation = tracestore.Operation{Service: "shop", Operation: "POST stock"}
	takeOperation = tracestore.Operation{Service: "stock", Operation: "take"}
	readOperation = tracestore.Operation{Service: "stock", Operation: "SELECT"}
)

// collect lists a sequence.
func collect[T any](t *testing.T, sequence iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for value, err := range sequence {
		require.NoError(t, err)
		list = append(list, value)
	}
	return list
}

// lasting compares a distribution with the durations that are in it, which lie further apart than 2 %, and takes it out.
func lasting(t *testing.T, d *tracestore.Durations, want ...time.Duration) {
	t.Helper()
	if len(want) == 0 {
		require.Nil(t, *d)
		return
	}
	require.NotNil(t, *d)
	require.Equal(t, len(want), int((*d).GetCount()))
	for i, duration := range want {
		got, err := (*d).GetValueAtQuantile(float64(i) / float64(max(1, len(want)-1)))
		require.NoError(t, err)
		require.InEpsilon(t, float64(duration), got, 0.01)
	}
	*d = nil
}

func testOperations(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	list := collect(t, store.Operations(t.Context(), "", bothMinutes()))
	for i := range list {
		want := map[tracestore.Operation][]time.Duration{
			cartOperation: {100 * ms, 200 * ms, 300 * ms, 400 * ms}, postOperation: {50 * ms, 70 * ms},
			takeOperation: {30 * ms, 50 * ms}, readOperation: {20 * ms},
		}[list[i].Operation]
		lasting(t, &list[i].Durations, want...)
	}
	require.ElementsMatch(t, []tracestore.OperationAggregate{
		{Operation: cartOperation, Kind: "server", Calls: 4, Errors: 1, Roots: 4, Weight: 4, SelfTime: int64(950 * ms), CriticalPathTime: int64(950 * ms)},
		{Operation: postOperation, Kind: "client", Calls: 2, Weight: 2, SelfTime: int64(90 * ms), CriticalPathTime: int64(20 * ms)},
		{Operation: takeOperation, Kind: "server", Calls: 2, Errors: 1, Weight: 2, SelfTime: int64(60 * ms), CriticalPathTime: int64(10 * ms)},
		{Operation: readOperation, Kind: "client", Calls: 1, Errors: 1, Weight: 1, SelfTime: int64(20 * ms), CriticalPathTime: int64(20 * ms)},
	}, list)
	bare := bothMinutes()
	bare.NoDurations = true
	without := collect(t, store.Operations(t.Context(), "", bare))
	for i := range without {
		without[i].Durations = nil // it may be there
	}
	require.ElementsMatch(t, list, without)

	list = collect(t, store.Operations(t.Context(), "other tenant", bothMinutes()))
	require.Len(t, list, 1)
	require.EqualValues(t, 1, list[0].Calls)
	require.Empty(t, collect(t, store.Operations(t.Context(), "nobody", bothMinutes())))
}

func testEdges(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	list := collect(t, store.Edges(t.Context(), "", bothMinutes()))
	for i := range list {
		want := []time.Duration{20 * ms}
		if list[i].Child == "stock" {
			want = []time.Duration{30 * ms, 50 * ms} // the server spans'
		}
		lasting(t, &list[i].Durations, want...)
	}
	require.ElementsMatch(t, []tracestore.EdgeAggregate{
		{Parent: "shop", Child: "stock", ChildKind: conventions.KindService, Protocol: "http", Calls: 2, Errors: 1},
		{Parent: "stock", Child: "postgresql:orders", ChildKind: conventions.KindDatabase, Protocol: "postgresql", Calls: 1, Errors: 1},
	}, list)
}

func testEntries(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	entries := collect(t, store.Entries(t.Context(), "", bothMinutes()))
	require.Len(t, entries, 1)
	lasting(t, &entries[0].Durations, 100*ms, 200*ms, 300*ms, 400*ms)
	require.Equal(t, tracestore.EntryAggregate{
		Operation: cartOperation, Traces: 4, Errors: 2, Outcomes: map[string]int64{"complete": 2, "timeout": 1, "quiet": 1},
	}, entries[0])

	require.ElementsMatch(t, []tracestore.EntryOperationAggregate{
		{Entry: cartOperation, Operation: cartOperation, Traces: 4, Calls: 4, Errors: 1, SelfTime: int64(950 * ms), CriticalPathTime: int64(950 * ms)},
		{Entry: cartOperation, Operation: postOperation, Traces: 2, Calls: 2, SelfTime: int64(90 * ms), CriticalPathTime: int64(20 * ms)},
		{Entry: cartOperation, Operation: takeOperation, Traces: 2, Calls: 2, Errors: 1, SelfTime: int64(60 * ms), CriticalPathTime: int64(10 * ms)},
		{Entry: cartOperation, Operation: readOperation, Traces: 1, Calls: 1, Errors: 1, SelfTime: int64(20 * ms), CriticalPathTime: int64(20 * ms)},
	}, collect(t, store.EntryOperations(t.Context(), "", bothMinutes())))

	// A trace counts once for an operation, whatever the number of its spans.
	write(t, store, explained(callAt(now,
		span{trace: 20, id: 1, service: "mail", name: "send"},
		span{trace: 20, id: 2, parent: 1, service: "mail", name: "connect"},
		span{trace: 20, id: 3, parent: 1, service: "mail", name: "connect"},
		span{trace: 21, id: 1, service: "mail", name: "send"},
	)))
	mail := bothMinutes()
	mail.Service = "mail"
	send := tracestore.Operation{Service: "mail", Operation: "send"}
	require.ElementsMatch(t, []tracestore.EntryOperationAggregate{
		{Entry: send, Operation: send, Traces: 2, Calls: 2},
		{Entry: send, Operation: tracestore.Operation{Service: "mail", Operation: "connect"}, Traces: 1, Calls: 2},
	}, collect(t, store.EntryOperations(t.Context(), "", mail)))
}

// testErrors has one failure in seven traces of two minutes, and the failures of the shop.
func testErrors(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	for n := range byte(7) {
		released := now.Add(time.Duration(n/4) * time.Minute)
		failing := span{
			trace: 20 - n, id: 1, service: "mail", name: "send", failed: true, resource: production,
			attributes: map[string]any{"error.type": "timeout"},
		}
		write(t, store, explained(callAt(released, failing)))
	}
	list := collect(t, store.Errors(t.Context(), "", bothMinutes()))
	fingerprints := make(map[string]bool)
	for i := range list {
		require.Len(t, list[i].Fingerprint, 16)
		fingerprints[list[i].Fingerprint] = true
		list[i].Fingerprint = ""
		if list[i].Service == "mail" {
			require.Len(t, list[i].TraceIDs, 5)
			for _, id := range list[i].TraceIDs {
				require.Regexp(t, `^0{30}(0e|0f|1[0-4])$`, id)
			}
			list[i].TraceIDs = nil
		}
	}
	require.Len(t, fingerprints, 3)
	send := tracestore.Operation{Service: "mail", Operation: "send"}
	require.ElementsMatch(t, []tracestore.ErrorAggregate{
		{Operation: readOperation, Entry: cartOperation, Count: 1, First: now, Last: now, TraceIDs: []string{traceID(1).String()}},
		{
			Operation: cartOperation, Entry: cartOperation, Count: 1, First: now.Add(time.Minute), Last: now.Add(time.Minute),
			TraceIDs: []string{traceID(4).String()},
		},
		{Operation: send, Entry: send, Count: 7, First: now, Last: now.Add(time.Minute)},
	}, list)
}

func testCompleteness(t *testing.T, store Store) {
	none, err := store.Completeness(t.Context(), "", bothMinutes())
	require.NoError(t, err)
	require.Zero(t, none)
	write(t, store, shopCalls()...)
	for name, test := range map[string]struct {
		environment string
		from, to    time.Duration
		want        tracestore.Completeness
	}{
		"all":        {"*", 0, 2 * time.Minute, tracestore.Completeness{Spans: 9, Partial: 1}},
		"noon":       {"*", 0, time.Minute, tracestore.Completeness{Spans: 7, Unrepaired: 1}},
		"later":      {"*", time.Minute, 2 * time.Minute, tracestore.Completeness{Spans: 2, Partial: 1}},
		"production": {"production", 0, 2 * time.Minute, tracestore.Completeness{Spans: 8, Partial: 1}},
		"staging":    {"staging", 0, 2 * time.Minute, tracestore.Completeness{Spans: 1}},
	} {
		query := &tracestore.AggregateQuery{Start: now.Add(test.from), End: now.Add(test.to)}
		if test.environment != "*" {
			query.Environment = &test.environment
		}
		got, err := store.Completeness(t.Context(), "", query)
		require.NoError(t, err)
		require.Equal(t, test.want, got, name)
	}
}

func testAggregateContexts(t *testing.T, store Store) {
	write(t, store, shopCalls()...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pairs := 0
	for _, err := range store.Operations(ctx, "", bothMinutes()) {
		require.ErrorIs(t, err, context.Canceled)
		pairs++
	}
	require.Equal(t, 1, pairs, "an error ends the sequence")
	_, err := store.Completeness(ctx, "", bothMinutes())
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range store.Operations(t.Context(), "", bothMinutes()) {
		require.NoError(t, err)
		break // a reader may stop early
	}
}
