package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func operationNamed(service, name string) tracestore.Operation {
	return tracestore.Operation{Service: service, Operation: name}
}

// Both windows hold the same here: nothing changed. Ten requests of 100 ms, 60 of them the shop's and 40 those of two calls to the database.
func TestPerformanceAnswer(t *testing.T) {
	busy := operationOf("shop", "GET /", "server", 10, 1)
	busy.SelfTime = 1_800e9
	entry := operationNamed("shop", "GET /")
	h := testHandler(&fakeStorage{
		operations: []tracestore.OperationAggregate{busy},
		entries: []tracestore.EntryAggregate{
			{Operation: entry, Traces: 11, Errors: 2, Outcomes: map[string]int64{"complete": 10, "part": 1}},
			{Operation: operationNamed("shop", "GET /idle"), Traces: 1},
		},
		parts: []tracestore.EntryOperationAggregate{
			{Entry: entry, Operation: entry, Traces: 10, Calls: 10, CriticalPathTime: 600e6},
			{Entry: entry, Operation: operationNamed("shop", "SELECT"), Traces: 10, Calls: 20, CriticalPathTime: 400e6},
		},
		completeness: tracestore.Completeness{Spans: 80},
	})
	response := do(h, get("/traces/performance?limit=1&start=2026-01-02T11:00:00Z"))
	requireSafe(t, response)
	require.JSONEq(t, `{
		"entries": [{
			"entry": {"service": "shop", "operation": "GET /"}, "traces": 11, "errors": 2, "previous_traces": 11, "previous_errors": 2,
			"mean_ns": 100000000, "previous_mean_ns": 100000000, "change_ns": 0,
			"parts": [
				{"service": "shop", "operation": "GET /", "mean_ns": 60000000, "previous_mean_ns": 60000000, "share": 0.6, "calls": 1,
				 "previous_calls": 1, "change_ns": 0, "change_by_calls_ns": 0, "change_by_time_ns": 0},
				{"service": "shop", "operation": "SELECT", "mean_ns": 40000000, "previous_mean_ns": 40000000, "share": 0.4, "calls": 2,
				 "previous_calls": 2, "change_ns": 0, "change_by_calls_ns": 0, "change_by_time_ns": 0}
			],
			"other_parts_ns": 0
		}],
		"more": true,
		"services": [{"service": "shop", "busy_time_ns": 1800000000000, "concurrency": 0.5, "previous_concurrency": 0.5}],
		"window": {"start": "2026-01-02T11:00:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"},
		"previous_window": {"start": "2026-01-02T10:00:00.000000000Z", "end": "2026-01-02T11:00:00.000000000Z"},
		"completeness": {
			"spans": 80, "partial_spans": 0, "partial_share": 0, "unrepaired_spans": 0, "unrepaired_share": 0, "other_spans": 0, "other_share": 0
		}
	}`, response.Body.String())
	require.Empty(t, answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?service=other").Entries)
	require.Len(t, answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?operation=GET+/idle").Entries, 1)
}

func TestManyParts(t *testing.T) {
	storage := &fakeStorage{entries: []tracestore.EntryAggregate{{Operation: operationNamed("a", "b"), Traces: 1}}}
	for range maxParts + 50 {
		storage.parts = append(storage.parts, tracestore.EntryOperationAggregate{
			Entry: operationNamed("a", "b"), Operation: operationNamed("s", strings.Repeat("x", len(storage.parts))), Calls: 1, CriticalPathTime: 10,
		})
	}
	entry := answerTo[openapi.PerformanceAnswer](t, testHandler(storage), "/traces/performance").Entries[0]
	require.Len(t, entry.Parts, maxParts)
	require.EqualValues(t, 50*10, entry.OtherPartsNS)
	require.EqualValues(t, (maxParts+50)*10, entry.MeanNS)
}

func TestDependenciesAnswer(t *testing.T) {
	entry := operationNamed("web", "GET /")
	h := testHandler(&fakeStorage{
		operations: []tracestore.OperationAggregate{
			operationOf("web", "GET /", "server", 10, 0), operationOf("cart", "get", "server", 5, 0), operationOf("auth", "get", "server", 5, 0),
		},
		edges: []tracestore.EdgeAggregate{
			{Parent: "web", Child: "cart", ChildKind: "service", Protocol: "http", Calls: 5},
			{Parent: "web", Child: "auth", ChildKind: "service", Protocol: "grpc", Calls: 5},
			{Parent: "cart", Child: "auth", ChildKind: "service", Protocol: "grpc", Calls: 5},
			{Parent: "auth", Child: "cart", ChildKind: "service", Protocol: "http", Calls: 1},
			{Parent: "auth", Child: "ldap", ChildKind: "external", Protocol: "ldap", Calls: 5},
		},
		entries: []tracestore.EntryAggregate{{Operation: entry, Traces: 10}},
		parts: []tracestore.EntryOperationAggregate{
			{Entry: entry, Operation: operationNamed("cart", "get"), Traces: 4},
			{Entry: entry, Operation: operationNamed("cart", "GET"), Traces: 3},
			{Entry: entry, Operation: operationNamed("auth", "get"), Traces: 10},
		},
	})
	got := answerTo[openapi.DependenciesAnswer](t, h, "/traces/dependencies?service=cart&from=web&to=ldap")
	require.Equal(t, []string{"auth", "cart", "ldap", "web"}, []string{got.Services[0].Name, got.Services[1].Name, got.Services[2].Name, got.Services[3].Name})
	require.EqualValues(t, 3, got.Services[2].Depth, "auth and cart call one another and count once")
	require.EqualValues(t, 2, got.Services[0].Callers)
	require.EqualValues(t, 2, got.Services[0].Callees)
	require.Equal(t, openapi.NodeKindExternal, got.Services[2].Kind)
	require.Equal(t, [][]string{{"auth", "cart"}}, got.Cycles)
	require.Equal(t, []openapi.SinglePoint{{Service: "auth", CutOff: 1, Splits: true}, {Service: "web", CutOff: 3}}, got.SinglePoints)
	require.Equal(t, [][]string{{"web", "auth", "ldap"}, {"web", "cart", "auth", "ldap"}}, got.Ways)
	require.False(t, *got.WaysTruncated)
	require.Equal(t, []openapi.Reach{{Entry: openapi.Operation{Service: "web", Operation: "GET /"}, Traces: 10, AtLeast: 0.4, AtMost: 0.7}}, got.BlastRadius)
	require.Equal(t, []openapi.Neighbour{{Service: "auth", Distance: 1}, {Service: "web", Distance: 1}}, got.Callers)
	require.Equal(t, []openapi.Neighbour{{Service: "auth", Distance: 1}, {Service: "ldap", Distance: 2}}, got.Callees)
	require.Len(t, answerTo[openapi.DependenciesAnswer](t, h, "/traces/dependencies?service=cart&depth=1").Callees, 1)
	require.Len(t, answerTo[openapi.DependenciesAnswer](t, h, "/traces/dependencies?from=web&to=ldap&limit=1").Ways, 1)

	plain := answerTo[openapi.DependenciesAnswer](t, h, "/traces/dependencies")
	require.Nil(t, plain.BlastRadius)
	require.Nil(t, plain.Callers)
	require.Nil(t, plain.Callees)
	require.Nil(t, plain.Ways)
	require.Nil(t, plain.WaysTruncated)
	require.Contains(t, do(testHandler(&fakeStorage{}), get("/traces/dependencies")).Body.String(), `"services":[],"cycles":[],"single_points":[]`)
}

func TestBadQuestionsOfAnalysis(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for target, field := range map[string]string{
		"/traces/dependencies?from=a":                                 "from",
		"/traces/dependencies?to=a":                                   "from",
		"/traces/dependencies?from=&to=a":                             "from",
		"/traces/dependencies?limit=101":                              "limit",
		"/traces/dependencies?service=a&depth=21":                     "depth",
		"/traces/dependencies?service=a&depth=0":                      "depth",
		"/traces/dependencies?start=now":                              "start",
		"/traces/dependencies?from=a&to=" + strings.Repeat("b", 4097): "to",
		"/traces/performance?limit=0":                                 "limit",
		"/traces/performance?operation=":                              "operation",
		"/traces/performance?service=%FF":                             "service",
		"/traces/performance?from=a":                                  "from",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, get(target))).Field, target)
	}
}

// The shop's trace as the reference storage adds it up: the parts are what the trace itself says, and before there was nothing.
func TestAnalysisOfAStoredTrace(t *testing.T) {
	h := storedHandler(t, storedShop())
	got := answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance")
	require.Len(t, got.Entries, 1)
	entry := got.Entries[0]
	require.Equal(t, openapi.Operation{Service: "frontend", Operation: "GET /cart"}, entry.Entry)
	require.EqualValues(t, 100e6, entry.MeanNS)
	require.EqualValues(t, 100e6, entry.ChangeNS)
	require.Zero(t, entry.PreviousTraces)
	require.InEpsilon(t, 100e6, *entry.P50Ns, 0.01)
	require.Nil(t, entry.PreviousP50Ns)
	sum := int64(0)
	for _, part := range entry.Parts {
		sum += part.MeanNS
	}
	require.EqualValues(t, 100e6, sum)
	require.Equal(t, "inventory", entry.Parts[0].Service)
	require.InDelta(t, 0.3, entry.Parts[0].Share, 1e-9)

	d := answerTo[openapi.DependenciesAnswer](t, h, "/traces/dependencies?service=inventory&from=frontend&to=inventory")
	require.Equal(t, [][]string{{"frontend", "orders", "inventory"}}, d.Ways)
	require.Equal(t, []openapi.SinglePoint{{Service: "frontend", CutOff: 2}, {Service: "orders", CutOff: 1, Splits: true}}, d.SinglePoints)
	require.InDelta(t, 1, d.BlastRadius[0].AtLeast, 0)

	// The window before the next is this one.
	later := answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?start=2026-01-02T12:00:00Z&end=2026-01-02T13:00:00Z")
	require.EqualValues(t, -100e6, later.Entries[0].ChangeNS)
	require.EqualValues(t, 1, later.Entries[0].PreviousTraces)
	for _, far := range []string{"?start=1678-01-01T00:00:00Z", "?start=1678-01-01T00:00:00Z&end=1679-01-01T00:00:00Z", "?end=2262-04-11T23:47:16Z"} {
		require.Equal(t, http.StatusOK, do(h, get("/traces/performance"+far)).Code, far)
		require.Equal(t, http.StatusOK, do(h, get("/traces/dependencies"+far)).Code, far)
	}
}
