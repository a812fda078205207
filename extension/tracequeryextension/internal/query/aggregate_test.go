package query

import (
	"context"
	"errors"
	"iter"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// aggregates answers what it holds, or fails.
type aggregates struct {
	tracestore.AggregateReader // panics where it is not overridden below
	operations                 []tracestore.OperationAggregate
	edges                      []tracestore.EdgeAggregate
	contexts                   []tracestore.ContextAggregate
	completeness               tracestore.Completeness
	// fail makes one of the questions fail: operations, edges, contexts or completeness.
	fail string
}

var errBroken = errors.New("broken")

func (a *aggregates) Operations(
	_ context.Context, _ string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	return sequence(a.operations, a.fail == "operations", func(o *tracestore.OperationAggregate) bool {
		return query.Service == "" || o.Service == query.Service
	})
}

func (a *aggregates) Edges(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.EdgeAggregate, error] {
	return sequence(a.edges, a.fail == "edges", func(e *tracestore.EdgeAggregate) bool {
		return query.Service == "" || e.Parent == query.Service || e.Child == query.Service
	})
}

func (a *aggregates) Contexts(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.ContextAggregate, error] {
	return sequence(a.contexts, a.fail == "contexts", func(c *tracestore.ContextAggregate) bool {
		return query.Service == "" || c.Parent == query.Service || c.Child == query.Service
	})
}

func (a *aggregates) Completeness(context.Context, string, *tracestore.AggregateQuery) (tracestore.Completeness, error) {
	if a.fail == "completeness" {
		return tracestore.Completeness{}, errBroken
	}
	return a.completeness, nil
}

func sequence[T any](values []T, broken bool, match func(*T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, value := range values {
			if match(&value) && !yield(value, nil) {
				return
			}
		}
		if broken {
			var none T
			yield(none, errBroken)
		}
	}
}

func aggregateService(a *aggregates) *Service { return service(storage{AggregateReader: a}) }

// sketchOf holds one call of each duration.
func sketchOf(t *testing.T, durations ...float64) tracestore.Durations {
	t.Helper()
	sketch, err := ddsketch.NewDefaultDDSketch(0.01)
	require.NoError(t, err)
	for _, d := range durations {
		require.NoError(t, sketch.Add(d))
	}
	return sketch
}

func operation(service, name, kind string, calls, failed int64, durations tracestore.Durations) tracestore.OperationAggregate {
	return tracestore.OperationAggregate{
		Operation: tracestore.Operation{Service: service, Operation: name}, Kind: kind, Calls: calls, Errors: failed, Durations: durations,
	}
}

func edge(parent, child, kind, protocol string, calls, failed int64, durations tracestore.Durations) tracestore.EdgeAggregate {
	return tracestore.EdgeAggregate{
		Parent: parent, Child: child, ChildKind: kind, Protocol: protocol, Calls: calls, Errors: failed, Durations: durations,
	}
}

// A shop: frontend → orders → inventory, orders → its database, and a worker that reads what orders puts in a queue.
func shop(t *testing.T) *aggregates {
	return &aggregates{
		operations: []tracestore.OperationAggregate{
			operation("orders", "POST /orders", "server", 10, 2, sketchOf(t, 10, 20)),
			operation("orders", "GET /orders", "server", 5, 0, sketchOf(t, 30)),
			operation("orders", "POST", "client", 12, 3, sketchOf(t, 1e9)),
			operation("frontend", "page", "internal", 7, 0, sketchOf(t, 1e9)),
			operation("inventory", "reserve", "server", 8, 1, sketchOf(t, 5)),
			operation("worker", "receive", "consumer", 4, 0, nil),
			operation("idle", "tick", "internal", 1, 0, nil),
		},
		edges: []tracestore.EdgeAggregate{
			edge("frontend", "orders", conventions.KindService, "http", 15, 2, sketchOf(t, 10, 20, 30)),
			edge("orders", "inventory", conventions.KindService, "http", 8, 1, sketchOf(t, 5)),
			edge("orders", "inventory", conventions.KindExternal, "http", 4, 4, sketchOf(t, 1e9)),
			edge("orders", "inventory", conventions.KindService, "grpc", 1, 0, nil),
			edge("orders", "postgresql:orders", conventions.KindDatabase, "postgresql", 20, 5, sketchOf(t, 2)),
			edge("inventory", "postgresql:orders", conventions.KindExternal, "unknown", 3, 0, sketchOf(t, 4)),
			edge("orders", "mail", conventions.KindQueue, "kafka", 4, 0, sketchOf(t, 1)),
		},
		completeness: tracestore.Completeness{Spans: 99, Partial: 3, Unrepaired: 2, Other: 1},
	}
}

func TestServiceMap(t *testing.T) {
	m, err := aggregateService(shop(t)).ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
	require.NoError(t, err)
	require.Equal(t, tracestore.Completeness{Spans: 99, Partial: 3, Unrepaired: 2, Other: 1}, m.Completeness)

	// What a service answered are its server and consumer spans; a virtual peer's calls are those of all its callers, and it is
	// what it is to most of them.
	counts := make(map[string]float64)
	for i, node := range m.Nodes {
		if node.Durations != nil {
			counts[node.Name] = node.Durations.GetCount()
		}
		m.Nodes[i].Durations = nil
	}
	require.Equal(t, []ServiceNode{
		{Name: "frontend", Kind: "service"},
		{Name: "idle", Kind: "service"},
		{Name: "inventory", Kind: "service", Calls: 8, Errors: 1},
		{Name: "mail", Kind: "queue", Calls: 4},
		{Name: "orders", Kind: "service", Calls: 15, Errors: 2},
		{Name: "postgresql:orders", Kind: "database", Calls: 23, Errors: 5},
		{Name: "worker", Kind: "service", Calls: 4},
	}, m.Nodes)
	require.Equal(t, map[string]float64{"inventory": 1, "mail": 1, "orders": 3, "postgresql:orders": 2}, counts)

	// Calls to inventory that it has no span of are unanswered: it does send spans.
	for i := range m.Edges {
		m.Edges[i].Durations = nil
	}
	require.Equal(t, []ServiceEdge{
		{Parent: "frontend", Child: "orders", Protocol: "http", Calls: 15, Errors: 2},
		{Parent: "inventory", Child: "postgresql:orders", Protocol: "unknown", Calls: 3},
		{Parent: "orders", Child: "inventory", Protocol: "grpc", Calls: 1},
		{Parent: "orders", Child: "inventory", Protocol: "http", Calls: 8, Errors: 1, Unanswered: 4},
		{Parent: "orders", Child: "mail", Protocol: "kafka", Calls: 4},
		{Parent: "orders", Child: "postgresql:orders", Protocol: "postgresql", Calls: 20, Errors: 5},
	}, m.Edges)
}

func TestServiceMapAroundOneService(t *testing.T) {
	asked := &tracestore.AggregateQuery{Service: "inventory"}
	m, err := aggregateService(shop(t)).ServiceMap(t.Context(), "", asked)
	require.NoError(t, err)
	var names []string
	for _, node := range m.Nodes {
		names = append(names, node.Name)
	}
	require.Equal(t, []string{"inventory", "orders", "postgresql:orders"}, names)
	require.EqualValues(t, 15, m.Nodes[1].Calls, "all calls of a neighbour")
	require.Len(t, m.Edges, 3)
	require.Equal(t, "inventory", asked.Service, "the question stays")

	m, err = aggregateService(shop(t)).ServiceMap(t.Context(), "", &tracestore.AggregateQuery{Service: "nobody"})
	require.NoError(t, err)
	require.Empty(t, m.Nodes)
	require.Empty(t, m.Edges)
}

// The storage's own sketches are not added to: it may keep them.
func TestServiceMapLeavesSketchesAlone(t *testing.T) {
	a := shop(t)
	_, err := aggregateService(a).ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
	require.NoError(t, err)
	require.EqualValues(t, 2, a.operations[0].Durations.GetCount())
	require.EqualValues(t, 1, a.edges[4].Durations.GetCount())
}

func TestVirtualPeerOfTwoKinds(t *testing.T) {
	a := &aggregates{edges: []tracestore.EdgeAggregate{
		edge("a", "x", conventions.KindQueue, "kafka", 3, 0, nil), edge("a", "x", conventions.KindExternal, "kafka", 3, 1, nil),
	}}
	m, err := aggregateService(a).ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
	require.NoError(t, err)
	require.Equal(t, []ServiceNode{
		{Name: "a", Kind: "service"}, {Name: "x", Kind: "external", Calls: 6, Errors: 1},
	}, m.Nodes)
	require.Equal(t, []ServiceEdge{{Parent: "a", Child: "x", Protocol: "kafka", Calls: 6, Errors: 1}}, m.Edges)
}

func TestOperationsAreSortedAndPaged(t *testing.T) {
	start := time.Date(2026, 1, 2, 11, 0, 0, 0, time.UTC)
	end := start.Add(time.Hour)
	a := &aggregates{operations: []tracestore.OperationAggregate{
		operation("b", "x", "server", 5, 0, nil),
		operation("a", "y", "client", 5, 0, nil),
		operation("a", "x", "server", 5, 0, nil),
		operation("a", "x", "client", 5, 0, nil),
		operation("z", "z", "internal", math.MaxInt64, 0, nil),
		operation("a", "a", "server", 1, 0, nil),
	}}
	a.operations = append(a.operations, a.operations[2])
	a.operations[6].Version = "2"
	want := []string{"z z internal ", "a x client ", "a x server ", "a x server 2", "a y client ", "b x server ", "a a server "}
	for limit := 1; limit <= 8; limit++ {
		var got []string
		var cursor *Cursor
		for pages := 0; pages == 0 || cursor != nil; pages++ {
			asked := &tracestore.AggregateQuery{Start: start, End: end}
			if cursor != nil {
				parsed, err := ParseCursor(cursor.String()) // as a client sends it
				require.NoError(t, err)
				cursor, asked.Start = &parsed, end
			}
			page, err := aggregateService(a).Operations(t.Context(), "t", asked, limit, cursor)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Operations), limit)
			require.True(t, asked.Start.Equal(start), "the window of the first page")
			for _, o := range page.Operations {
				got = append(got, o.Service+" "+o.Operation.Operation+" "+o.Kind+" "+o.Version)
			}
			cursor = page.Next
		}
		require.Equal(t, want, got, "limit %d", limit)
	}
}

func TestCursorOfOtherOperations(t *testing.T) {
	a := shop(t)
	environment, none := "prod", ""
	questions := []tracestore.AggregateQuery{
		{}, {Environment: &none}, {Environment: &environment}, {Service: "orders"}, {Service: "orders", Environment: &none}, {ByVersion: true},
	}
	for i := range questions {
		page, err := aggregateService(a).Operations(t.Context(), "t", &questions[i], 1, nil)
		require.NoError(t, err)
		for j := range questions {
			other := questions[j]
			_, err = aggregateService(a).Operations(t.Context(), "t", &other, 1, page.Next)
			require.Equal(t, i == j, err == nil, "%d %d", i, j)
			if i != j {
				require.ErrorIs(t, err, tracestore.ErrCursor)
			}
		}
		_, err = aggregateService(a).Operations(t.Context(), "other", &questions[i], 1, page.Next)
		require.ErrorIs(t, err, tracestore.ErrCursor)
	}
}

func TestAggregatesThatFail(t *testing.T) {
	for _, part := range []string{"operations", "edges", "contexts", "completeness"} {
		s := aggregateService(&aggregates{fail: part})
		_, err := s.ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
		require.ErrorIs(t, err, errBroken, part)
		_, err = s.Operations(t.Context(), "", &tracestore.AggregateQuery{}, 1, nil)
		require.Equal(t, part == "operations" || part == "completeness", errors.Is(err, errBroken), part)
	}
	s := aggregateService(&aggregates{})
	s.Storage = func() (tracestore.Backend, error) { return nil, tracestore.ErrClosed }
	_, err := s.ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
	require.ErrorIs(t, err, tracestore.ErrClosed)
	_, err = s.Operations(t.Context(), "", &tracestore.AggregateQuery{}, 1, nil)
	require.ErrorIs(t, err, tracestore.ErrClosed)
}

// slow yields nothing until its context ends, and then does not say so.
type slow struct{ aggregates }

func (s *slow) Operations(
	ctx context.Context, _ string, _ *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	return func(func(tracestore.OperationAggregate, error) bool) { <-ctx.Done() }
}

func TestAggregatesEndWithTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service(storage{AggregateReader: &slow{}})
		_, err := s.ServiceMap(t.Context(), "", &tracestore.AggregateQuery{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.Operations(t.Context(), "", &tracestore.AggregateQuery{}, 1, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func FuzzOperationCursor(f *testing.F) {
	o := operation("shop", "GET /", "server", 7, 0, nil)
	f.Add(encodeOperation(&o, 1))
	f.Add("")
	f.Add(encodeOperation(&o, 1)[:20])
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := decodeOperation(text, 1)
		if err != nil {
			require.ErrorIs(t, err, tracestore.ErrCursor)
			return
		}
		again, err := decodeOperation(encodeOperation(decoded, 1), 1)
		require.NoError(t, err)
		require.Equal(t, decoded, again)
	})
}
