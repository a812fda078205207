package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// caller makes traces of two spans: a service that calls stock under a name, and stock's answer.
//
//	shop   GET /cart   server
//	shop   POST        client   names stock in some way
//	stock  take        server
type caller struct{ trace byte }

func (c *caller) call(names map[string]any) []span {
	c.trace++
	return []span{
		{trace: c.trace, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * ms},
		{trace: c.trace, id: 2, parent: 1, service: "shop", name: "POST", kind: ptrace.SpanKindClient, to: 60 * ms, attributes: names},
		{trace: c.trace, id: 3, parent: 2, service: "stock", name: "take", kind: ptrace.SpanKindServer, to: 50 * ms},
	}
}

// many are n answered and lost calls whose answers are in traces of their own, as if the context did not come across.
func (c *caller) many(answered, lost int, names map[string]any) (list []span) {
	for range answered {
		list = append(list, c.call(names)...)
	}
	for range lost {
		call := c.call(names)
		c.trace++
		call[2].trace, call[2].parent = c.trace, 0
		list = append(list, call...)
	}
	return list
}

func contexts(t *testing.T, store Store, minutes int) []tracestore.ContextAggregate {
	t.Helper()
	query := &tracestore.AggregateQuery{Start: now, End: now.Add(time.Duration(minutes) * time.Minute)}
	return collect(t, store.Contexts(t.Context(), "", query))
}

// testContexts: calls are counted towards the service that a peer is, by whatever names it.
func testContexts(t *testing.T, store Store) {
	var c caller
	alias, balancer := map[string]any{"peer.service": "stock-v2"}, map[string]any{"server.address": "lb.example.com", "server.port": 443}
	write(t, store, explained(call(c.many(3, 2, map[string]any{"service.peer.name": "stock"})...)))
	write(t, store, explained(call(c.many(0, 1, map[string]any{"server.address": "stock.shop.svc", "server.port": 8080})...)))
	write(t, store, explained(call(c.many(0, 1, map[string]any{"url.full": "http://stock:8080/take"})...)))
	write(t, store, explained(call(c.many(2, 1, alias)...)))
	write(t, store, explained(call(c.many(1, 3, balancer)...)))
	// Not stock's: somebody of the internet, a queue and a database that are called so, and a host that two services answer.
	for _, names := range []map[string]any{
		{"server.address": "stock.example.com"},
		{"messaging.system": "kafka", "messaging.destination.name": "stock"},
		{"db.system.name": "postgresql", "peer.service": "stock"},
	} {
		write(t, store, explained(call(c.many(0, 1, names)...)))
	}
	shared := map[string]any{"server.address": "gateway.example.com"}
	other := c.call(shared)
	other[2].service = "cart"
	write(t, store, explained(call(c.many(1, 1, shared)...)), explained(call(other...)))
	// A service that calls itself is answered by its own spans.
	own := c.call(map[string]any{"server.address": "shop"})
	own[2].service = "shop"
	write(t, store, explained(call(own...)))

	require.ElementsMatch(t, []tracestore.ContextAggregate{
		{
			Parent: "shop", Child: "stock", Calls: 3 + 2 + 1 + 1, Unanswered: 2 + 1 + 1 + 1 + 3,
			Peers: []string{"lb.example.com:443", "stock", "stock-v2", "stock.shop.svc:8080", "stock:8080"},
		},
		{Parent: "shop", Child: "cart", Calls: 1},
	}, contexts(t, store, 1))

	// Roots are those of the lost calls.
	roots := make(map[string]int64)
	for _, o := range collect(t, store.Operations(t.Context(), "", bothMinutes())) {
		roots[o.Service+" "+o.Kind] += o.Roots
	}
	require.Equal(t, map[string]int64{"shop server": 21, "shop client": 0, "stock server": 12, "cart server": 0}, roots)
}

// testContextMinutes: calls count in the minutes in which the service sends spans, and take back what was answered late.
func testContextMinutes(t *testing.T, store Store) {
	var c caller
	names := map[string]any{"service.peer.name": "stock"}
	silent := c.many(0, 5, names)
	for i := range silent { // stock is down
		if silent[i].service == "stock" {
			silent[i].service = "cart"
		}
	}
	early := c.call(names)
	write(t, store,
		explained(callAt(now, c.many(4, 2, names)...)),
		explained(callAt(now.Add(time.Minute), silent...)),
		explained(callAt(now, early[:2]...)),
	)
	require.Equal(t, []tracestore.ContextAggregate{{Parent: "shop", Child: "stock", Calls: 4, Unanswered: 3, Peers: []string{"stock"}}},
		contexts(t, store, 2))
	late := early[2]
	late.version, late.outcome = 2, conventions.OutcomeLate
	late.attributes = map[string]any{ // as trace_assembly writes them
		conventions.AttrEntryService: "shop", conventions.AttrEntryOperation: "GET /cart",
		conventions.AttrParentService: "shop", conventions.AttrParentOperation: "POST",
		conventions.AttrRetractedPeerService: "stock", conventions.AttrRetractedPeerKind: conventions.KindExternal,
		conventions.AttrRetractedProtocol: "unknown",
	}
	repair := explained(callAt(now.Add(2*time.Minute), late))
	write(t, store, repair, repair)
	require.Equal(t, []tracestore.ContextAggregate{{Parent: "shop", Child: "stock", Calls: 5, Unanswered: 2, Peers: []string{"stock"}}},
		contexts(t, store, 3))
	// A window that holds the late span alone.
	query := &tracestore.AggregateQuery{Start: now.Add(2 * time.Minute), End: now.Add(3 * time.Minute)}
	require.Equal(t, []tracestore.ContextAggregate{{Parent: "shop", Child: "stock", Calls: 1, Peers: []string{"stock"}}},
		collect(t, store.Contexts(t.Context(), "", query)))
	// Services are those of the answer.
	for service, want := range map[string]int{"stock": 1, "shop": 1, "cart": 0} {
		query := &tracestore.AggregateQuery{Start: now, End: now.Add(3 * time.Minute), Service: service}
		require.Len(t, collect(t, store.Contexts(t.Context(), "", query)), want, service)
	}
	require.Empty(t, collect(t, store.Contexts(t.Context(), "nobody", bothMinutes())))
}

// testViolations: rules that spans break count by service and by who called.
func testViolations(t *testing.T, store Store) {
	var c caller
	first, second := c.call(nil), c.call(nil)
	first[0].attributes, second[0].attributes = map[string]any{"": "x"}, map[string]any{"": "x"}
	first[2].attributes = map[string]any{"": "x", "http.response.status_code": "200"}
	second[2].attributes = map[string]any{"http.response.status_code": "200"}
	calls := explained(call(append(first, second...)...))
	write(t, store, calls, calls)
	require.ElementsMatch(t, []tracestore.ContextAggregate{
		{Child: "shop", Violations: map[string]int64{conventions.ViolationEmptyAttributeKey: 2}},
		{Parent: "shop", Child: "stock", Calls: 2, Violations: map[string]int64{
			conventions.ViolationEmptyAttributeKey: 1, conventions.ViolationWrongAttributeType: 2,
		}},
	}, contexts(t, store, 1))
}

// testVersions: a version's calls are told apart where they are asked for, and weigh what their senders say.
func testVersions(t *testing.T, store Store) {
	versions := func(version string, trace byte, weight any) ptrace.Traces {
		s := lone(trace, 0)
		s.resource = map[string]any{"service.version": version}
		td := explained(call(s)) // which writes no weight, for the span has no tracestate
		if weight != nil {
			attrs := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
			require.NoError(t, attrs.PutEmpty(conventions.AttrWeight).FromRaw(weight))
		}
		return td
	}
	write(t, store,
		versions("1", 1, nil), versions("1", 2, 10.5), versions("2", 3, 3), versions("2", 4, 0.5), versions("2", 5, "7"),
	)
	operation := tracestore.Operation{Service: "shop", Operation: "GET /"}
	for byVersion, want := range map[bool][]tracestore.OperationAggregate{
		false: {{Operation: operation, Kind: "server", Calls: 5, Roots: 5, Weight: 16.5}},
		true: {
			{Operation: operation, Version: "1", Kind: "server", Calls: 2, Roots: 2, Weight: 11.5},
			{Operation: operation, Version: "2", Kind: "server", Calls: 3, Roots: 3, Weight: 5},
		},
	} {
		query := bothMinutes()
		query.ByVersion = byVersion
		list := collect(t, store.Operations(t.Context(), "", query))
		for i := range list {
			list[i].Durations, list[i].SelfTime, list[i].CriticalPathTime = nil, 0, 0
		}
		require.ElementsMatch(t, want, list)
	}
	// Operations of edges are told apart likewise.
	write(t, store, shopCalls()...)
	query := bothMinutes()
	query.ByOperation = true
	list := collect(t, store.Edges(t.Context(), "", query))
	for i := range list {
		list[i].Durations = nil
	}
	require.ElementsMatch(t, []tracestore.EdgeAggregate{
		{
			Parent: "shop", ParentOperation: "POST stock", Child: "stock", ChildOperation: "take", ChildKind: conventions.KindService,
			Protocol: "http", Calls: 2, Errors: 1,
		},
		{
			Parent: "stock", ParentOperation: "SELECT", Child: "postgresql:orders", ChildKind: conventions.KindDatabase,
			Protocol: "postgresql", Calls: 1, Errors: 1,
		},
	}, list)
}
