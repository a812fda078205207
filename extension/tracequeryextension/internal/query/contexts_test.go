package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func rooted(service, name, kind string, calls, roots int64) tracestore.OperationAggregate {
	o := operation(service, name, kind, calls, 0, nil)
	o.Roots = roots
	return o
}

func called(parent, child, childOperation string, calls int64) tracestore.EdgeAggregate {
	e := edge(parent, child, conventions.KindService, "http", calls, 0, nil)
	e.ChildOperation = childOperation
	return e
}

// stockMap is the map of a service that frontend and orders call, as stock and by the name of a balancer, with the rest of its calls.
func stockMap(t *testing.T, calls, unanswered int64, operations ...tracestore.OperationAggregate) *ServiceMap {
	t.Helper()
	a := &aggregates{
		operations: append(operations, operation("frontend", "page", "server", 100, 0, nil), operation("orders", "POST", "server", 100, 0, nil)),
		edges: []tracestore.EdgeAggregate{
			edge("frontend", "lb:80", conventions.KindExternal, "http", unanswered, 0, nil),
			edge("orders", "lb:80", conventions.KindExternal, "http", 3, 0, nil), // another one of the name
			edge("orders", "stock", conventions.KindQueue, "kafka", 5, 0, nil),
			edge("orders", "orders", conventions.KindExternal, "http", 2, 0, nil),
		},
		contexts: []tracestore.ContextAggregate{
			{Parent: "frontend", Child: "stock", Calls: calls, Unanswered: unanswered, Peers: []string{"lb:80"}, Violations: map[string]int64{"missing_time": 2}},
			{Child: "stock", Violations: map[string]int64{"missing_time": 1, "long_name": 1}},
			{Parent: "orders", Child: "stock", Calls: 1},
		},
	}
	if calls > 0 {
		a.edges = append(a.edges, called("frontend", "stock", "take", calls), called("orders", "stock", "count", 1))
	}
	m, err := aggregateService(a).ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
	require.NoError(t, err)
	return m
}

func edgeOf(t *testing.T, m *ServiceMap, parent, child, protocol string) *ServiceEdge {
	t.Helper()
	for i := range m.Edges {
		if e := &m.Edges[i]; e.Parent == parent && e.Child == child && e.Protocol == protocol {
			return e
		}
	}
	require.Fail(t, "no such edge", "%s %s %s: %+v", parent, child, protocol, m.Edges)
	return nil
}

func TestContextOfEdges(t *testing.T) {
	m := stockMap(t, 88, 12, rooted("stock", "take", "server", 100, 12))
	e := edgeOf(t, m, "frontend", "stock", "http")
	require.EqualValues(t, 88, e.Calls)
	require.EqualValues(t, 12, e.Unanswered)
	require.InDelta(t, 0.88, *e.Context.Accuracy, 1e-9)
	require.Equal(t, map[string]int64{"missing_time": 2}, e.Context.Violations)
	// Peers that are no service stay what they are: other callers' of the name, queues of a service's name.
	require.Nil(t, edgeOf(t, m, "orders", "lb:80", "http").Context)
	require.EqualValues(t, 5, edgeOf(t, m, "orders", "stock", "kafka").Calls)
	require.InDelta(t, 1, *edgeOf(t, m, "orders", "stock", "http").Context.Accuracy, 0)
	// A service that calls itself is answered by its own spans.
	own := edgeOf(t, m, "orders", "orders", "http")
	require.EqualValues(t, 2, own.Calls)
	require.Zero(t, own.Unanswered)
	require.Nil(t, own.Context)
	for _, node := range m.Nodes {
		want := map[string]map[string]int64{"stock": {"missing_time": 3, "long_name": 1}}[node.Name]
		require.Equal(t, want, node.Violations, node.Name)
		if node.Name == "stock" || node.Name == "orders" {
			require.Equal(t, conventions.KindService, node.Kind)
			require.EqualValues(t, 100, node.Calls, "its own spans")
		}
	}
}

// A trace context that is lost leaves roots in their place, missing spans do not.
func TestContextLoss(t *testing.T) {
	for name, test := range map[string]struct {
		calls, unanswered int64
		operations        []tracestore.OperationAggregate
		want              ContextLoss
	}{
		"lost":                             {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 100, 12)}, ContextLost},
		"lost, of several operations":      {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 100, 4), rooted("stock", "count", "server", 9, 4)}, ContextLost},
		"missing":                          {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 88, 0)}, SpansMissing},
		"missing, a few roots":             {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 88, 5)}, SpansMissing},
		"roots of messages":                {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 88, 0), rooted("stock", "receive", "consumer", 99, 50)}, SpansMissing},
		"lost, beside an entry":            {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 100, 12), rooted("stock", "GET /", "server", 500, 500)}, ContextLost},
		"an entry's roots explain nothing": {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 88, 0), rooted("stock", "GET /", "server", 500, 500)}, ""},
		"called from outside too":          {88, 12, []tracestore.OperationAggregate{rooted("stock", "take", "server", 100, 90)}, ""},
		"nothing comes across":             {0, 100, []tracestore.OperationAggregate{rooted("stock", "take", "server", 100, 100)}, ContextLost},
		"few":                              {9, 9, []tracestore.OperationAggregate{rooted("stock", "take", "server", 18, 9)}, ""},
		"accurate":                         {9990, 10, []tracestore.OperationAggregate{rooted("stock", "take", "server", 9990, 10)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := stockMap(t, test.calls, test.unanswered, test.operations...)
			require.Equal(t, test.want, edgeOf(t, m, "frontend", "stock", "http").Context.Loss)
		})
	}
}
