package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// visit is a trace of two services, with what contrasts look at.
func visit(trace byte, took time.Duration, version, tier string, failed bool) []span {
	entry := span{
		trace: trace, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: took,
		attributes: map[string]any{"http.response.status_code": 200},
		resource:   map[string]any{"service.version": "1", "k8s.node.name": "n1"},
	}
	if tier != "" {
		entry.attributes["user.tier"] = tier
	}
	if failed {
		entry.attributes["http.response.status_code"] = 500
	}
	take := span{
		trace: trace, id: 2, parent: 1, service: "stock", name: "take", to: took / 2, failed: failed,
		resource: map[string]any{"service.version": version, "k8s.node.name": "n2"},
	}
	again := take
	again.id, again.resource = 3, map[string]any{"service.version": version, "k8s.node.name": "n3"} // another instance
	return []span{entry, take, again}
}

func contrast(service, key, value string, traces, errors, slow, judged int64) tracestore.ContrastAggregate {
	return tracestore.ContrastAggregate{
		Entry: cartOperation, Service: service, Key: key, Value: value, Traces: traces, Errors: errors, Slow: slow, Judged: judged,
	}
}

// testContrasts has the traces of an hour, of 1 to 100 ms, and of the one after: four, of which one is as slow as the slowest twentieth
// of the hour before.
func testContrasts(t *testing.T, store Store) {
	hour := now.Truncate(time.Hour)
	var before []span
	for n := range byte(100) {
		before = append(before, visit(n, time.Duration(n+1)*ms, "6", "", false)[0])
	}
	write(t, store, explained(callAt(hour.Add(-time.Minute), before...)))
	calls := explained(callAt(hour,
		append(append(append(visit(201, 50*ms, "6", "gold", false), visit(202, 90*ms, "7", "gold", true)...),
			visit(203, 99*ms, "7", "", false)...), visit(204, 10*ms, "6", "", false)...)...))
	write(t, store, calls, calls)
	query := &tracestore.AggregateQuery{Start: hour, End: hour.Add(time.Minute)}
	require.ElementsMatch(t, []tracestore.ContrastAggregate{
		contrast("shop", "service.version", "1", 4, 1, 1, 4),
		contrast("shop", "k8s.node.name", "n1", 4, 1, 1, 4), // the entry's alone
		contrast("shop", "http.response.status_code", "200", 3, 0, 1, 3),
		contrast("shop", "http.response.status_code", "500", 1, 1, 0, 1),
		contrast("shop", "user.tier", "gold", 2, 1, 0, 2),
		contrast("stock", "service.version", "6", 2, 0, 0, 2),
		contrast("stock", "service.version", "7", 2, 1, 1, 2),
	}, collect(t, store.Contrasts(t.Context(), "", query)))
	query.Service = "stock"
	require.Len(t, collect(t, store.Contrasts(t.Context(), "", query)), 2)
	query.Service, query.Environment = "", new("moon")
	require.Empty(t, collect(t, store.Contrasts(t.Context(), "", query)))
	// How long the entry usually takes was not known in the hour before.
	query = &tracestore.AggregateQuery{Start: hour.Add(-time.Hour), End: hour}
	for _, c := range collect(t, store.Contrasts(t.Context(), "", query)) {
		require.Zero(t, c.Judged)
	}
	// A late fragment is no trace of its own.
	late := visit(201, 50*ms, "8", "gold", false)[1:]
	late[0].version, late[0].outcome = 2, "late"
	write(t, store, explained(callAt(hour, late...)))
	query = &tracestore.AggregateQuery{Start: hour, End: hour.Add(time.Minute)}
	require.Len(t, collect(t, store.Contrasts(t.Context(), "", query)), 7)
}

// testContrastLimit has more values of a key than are told apart, over two calls.
func testContrastLimit(t *testing.T, store Store) {
	value := func(n int) span {
		s := lone(byte(n), 0)
		s.attributes = map[string]any{"user.tier": fmt.Sprint("tier ", n)}
		return s
	}
	for _, values := range [][2]int{{0, tracestore.MaxContrastValues - 1}, {tracestore.MaxContrastValues - 2, 100}, {0, 2}} {
		var spans []span
		for n := values[0]; n < values[1]; n++ {
			spans = append(spans, value(n))
		}
		write(t, store, explained(call(spans...)))
	}
	traces := make(map[string]int64)
	for _, c := range collect(t, store.Contrasts(t.Context(), "", bothMinutes())) {
		traces[c.Value] = c.Traces
	}
	require.Len(t, traces, tracestore.MaxContrastValues+1)
	require.EqualValues(t, 2, traces["tier 0"])
	require.EqualValues(t, 2, traces[fmt.Sprint("tier ", tracestore.MaxContrastValues-2)])
	require.EqualValues(t, 1, traces[fmt.Sprint("tier ", tracestore.MaxContrastValues-1)])
	require.EqualValues(t, 100-tracestore.MaxContrastValues, traces["other"])
}
