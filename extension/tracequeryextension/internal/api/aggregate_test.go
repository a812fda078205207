package api

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func operationOf(service, name, kind string, calls, failed int64) tracestore.OperationAggregate {
	return tracestore.OperationAggregate{
		Operation: tracestore.Operation{Service: service, Operation: name}, Kind: kind, Calls: calls, Errors: failed,
		Weight: float64(calls),
	}
}

func answerTo[T any](t *testing.T, h http.Handler, target string) (answer T) {
	t.Helper()
	response := do(h, get(target))
	body := response.Body.String()
	require.Equal(t, http.StatusOK, response.Code, body)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	requireSafe(t, response)
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	return answer
}

func TestServicesAnswer(t *testing.T) {
	h := testHandler(&fakeStorage{
		operations: []tracestore.OperationAggregate{
			operationOf("shop", "GET /", "server", 36, 1),
			operationOf("shop", "GET", "client", 20, 5),
			operationOf("stock", "take", "server", 9, 0),
		},
		edges: []tracestore.EdgeAggregate{
			{Parent: "shop", Child: "postgresql:orders", ChildKind: "database", Protocol: "postgresql", Calls: 720, Errors: 2},
			{Parent: "shop", Child: "stock:80", ChildKind: "external", Protocol: "http", Calls: 25, Errors: 25},
		},
		contexts: []tracestore.ContextAggregate{
			{Parent: "shop", Child: "stock", Calls: 75, Unanswered: 25, Peers: []string{"stock:80"}, Violations: map[string]int64{"missing_time": 2, "long_name": 1}},
			{Child: "stock", Violations: map[string]int64{"long_name": 4}},
		},
		completeness: tracestore.Completeness{Spans: 80, Partial: 40, Unrepaired: 8, Other: 4},
	})
	response := do(h, get("/traces/services"))
	requireSafe(t, response)
	require.JSONEq(t, `{
		"services": [
			{"name": "postgresql:orders", "kind": "database", "calls": 720, "errors": 2, "calls_per_second": 0.2},
			{"name": "shop", "kind": "service", "calls": 36, "errors": 1, "calls_per_second": 0.01},
			{"name": "stock", "kind": "service", "calls": 9, "errors": 0, "calls_per_second": 0.0025,
				"violations": [{"violation": "long_name", "spans": 5}, {"violation": "missing_time", "spans": 2}]}
		],
		"edges": [
			{"parent": "shop", "child": "postgresql:orders", "protocol": "postgresql", "calls": 720, "errors": 2, "calls_per_second": 0.2, "unanswered": 0},
			{"parent": "shop", "child": "stock", "protocol": "http", "calls": 0, "errors": 0, "calls_per_second": 0, "unanswered": 25,
				"context_accuracy": 0.75, "unanswered_reason": "spans_missing",
				"violations": [{"violation": "long_name", "spans": 1}, {"violation": "missing_time", "spans": 2}]}
		],
		"window": {"start": "2026-01-02T11:00:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"},
		"completeness": {
			"spans": 80, "partial_spans": 40, "partial_share": 0.5, "unrepaired_spans": 8, "unrepaired_share": 0.1,
			"other_spans": 4, "other_share": 0.05
		}
	}`, response.Body.String())
}

func TestOperationsAnswer(t *testing.T) {
	busy := operationOf("shop", "GET /", "server", 12, 1)
	busy.SelfTime, busy.CriticalPathTime = 300, 200
	busy.Version, busy.Weight = "1.2", 12.5
	storage := &fakeStorage{operations: []tracestore.OperationAggregate{operationOf("db", "SELECT", "client", 6, 0), busy}}
	response := do(testHandler(storage), get("/traces/operations?start=-90s&by_version=true"))
	require.True(t, storage.asked.ByVersion)
	requireSafe(t, response)
	require.JSONEq(t, `{
		"operations": [
			{"service": "shop", "operation": "GET /", "version": "1.2", "kind": "server", "calls": 12, "weight": 12.5, "errors": 1, "calls_per_second": 0.1,
				"self_time_ns": 300, "critical_path_ns": 200},
			{"service": "db", "operation": "SELECT", "kind": "client", "calls": 6, "weight": 6, "errors": 0, "calls_per_second": 0.05,
				"self_time_ns": 0, "critical_path_ns": 0}
		],
		"window": {"start": "2026-01-02T11:58:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"},
		"completeness": {
			"spans": 0, "partial_spans": 0, "partial_share": 0, "unrepaired_spans": 0, "unrepaired_share": 0,
			"other_spans": 0, "other_share": 0
		}
	}`, response.Body.String())
}

func TestAggregatesOfNothing(t *testing.T) {
	h := testHandler(&fakeStorage{})
	services := do(h, get("/traces/services")).Body.String()
	require.Contains(t, services, `"services":[],"edges":[],"window"`)
	require.Contains(t, do(h, get("/traces/operations")).Body.String(), `"operations":[]`)
}

func TestAggregateQuestions(t *testing.T) {
	environment, none := "prod", ""
	start := time.Date(2026, 1, 2, 10, 0, 30, 0, time.UTC)
	for query, want := range map[string]tracestore.AggregateQuery{
		"":                               {Start: testNow.Add(-time.Hour), End: testNow},
		"?start=-2h&end=-1h":             {Start: testNow.Add(-2 * time.Hour), End: testNow.Add(-time.Hour)},
		"?start=2026-01-02T10:00:30Z":    {Start: start, End: testNow},
		"?environment=prod":              {Start: testNow.Add(-time.Hour), End: testNow, Environment: &environment},
		"?environment=":                  {Start: testNow.Add(-time.Hour), End: testNow, Environment: &none},
		"?service=check%20out&end=now":   {Start: testNow.Add(-time.Hour), End: testNow, Service: "check out"},
		"?start=1678-01-01T00:00:00Z":    {Start: time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC), End: testNow},
		"?end=2262-04-11T23:47:16Z":      {Start: testNow.Add(-time.Hour), End: time.Date(2262, 4, 11, 23, 47, 16, 0, time.UTC)},
		"?service=%D1%81%D0%B5%D1%80%D0": {},
	} {
		for _, path := range []string{"/traces/services", "/traces/operations"} {
			storage := &fakeStorage{}
			r := get(path + query)
			r.Header.Set(tenantHeader, "blue")
			response := do(testHandler(storage), r)
			if want == (tracestore.AggregateQuery{}) {
				require.Equal(t, "service", requireProblem(t, http.StatusBadRequest, response).Field)
				continue
			}
			require.Equal(t, http.StatusOK, response.Code, path+query)
			if path == "/traces/services" {
				storage.asked.Service = want.Service // who calls under a host's name shows in all contexts only
			}
			require.Equal(t, want, storage.asked, path+query)
			require.Equal(t, "blue", storage.askedTenant)
		}
	}
}

func TestBadAggregateQuestions(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for query, want := range map[string]struct {
		fields string
		detail string
	}{
		"?start=yesterday":                      {"start", "RFC 3339"},
		"?end=":                                 {"end", "RFC 3339"},
		"?start=-1h&end=-1h":                    {"start", "must be before end"},
		"?start=now":                            {"start", "must be before end"},
		"?start=-1h&end=-2h":                    {"start", "must be before end"},
		"?service=":                             {"service", "must not be empty"},
		"?service=a&service=b":                  {"service", "more than once"},
		"?service=" + strings.Repeat("a", 4097): {"service", "4096 characters"},
		"?environment=" + strings.Repeat("b", 9e3): {"environment", "4096 characters"},
		"?environment=%FF":                         {"environment", "UTF-8"},
		"?envronment=a":                            {"envronment", "known: start, end, environment, service"},
		"?a=%zz":                                   {"", "cannot be read"},
		"?start=x&end=x&service=&b=1":              {"b end service start", "unknown"},
	} {
		for _, path := range []string{"/traces/services", "/traces/operations"} {
			p := requireProblem(t, http.StatusBadRequest, do(h, get(path+query)))
			require.ElementsMatch(t, strings.Split(want.fields, " "), faultFields(p), query)
			require.Contains(t, p.Detail, want.detail, query)
		}
	}
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=10001": "limit", "?limit=1.5": "limit", "?limit=": "limit", "?limit=ten": "limit",
		"?limit=%2010": "limit", "?by_version=": "by_version", "?by_version=yes": "by_version", "?cursor=": "cursor", "?cursor=nonsense": "cursor", "?limit=-1": "limit",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, get("/traces/operations"+query))).Field, query)
		name, _, _ := strings.Cut(query[1:], "=")
		p := requireProblem(t, http.StatusBadRequest, do(h, get("/traces/services"+query)))
		require.Equal(t, name, p.Field)
		require.Contains(t, p.Detail, "unknown query parameter")
	}
}

func TestPagesOfOperations(t *testing.T) {
	var all []tracestore.OperationAggregate
	for _, name := range []string{"e", "c", "a", "d", "b"} {
		all = append(all, operationOf("s", name, "server", 1, 0))
	}
	now := testNow
	storage := &fakeStorage{operations: all}
	h := newHandler(settings(storage), func() time.Time { return now })
	var names []string
	cursor := ""
	for range 3 {
		page := answerTo[openapi.OperationsAnswer](t, h, "/traces/operations?limit=2&start=-2h"+cursor)
		for _, o := range page.Operations {
			names = append(names, o.Operation)
		}
		require.Equal(t, "2026-01-02T10:00:00.000000000Z", page.Window.Start, "the window of the first page")
		require.Equal(t, testNow, storage.asked.End)
		cursor = ""
		if page.NextCursor != nil {
			cursor = "&cursor=" + *page.NextCursor
		}
		now = now.Add(10 * time.Minute)
	}
	require.Empty(t, cursor)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, names)

	first := answerTo[openapi.OperationsAnswer](t, h, "/traces/operations?limit=2")
	for _, other := range []string{"&service=s", "&environment=", "&by_version=true", "&end=2026-01-02T12:00:00Z"} {
		p := requireProblem(t, http.StatusBadRequest, do(h, get("/traces/operations?cursor="+*first.NextCursor+other)))
		require.Equal(t, "cursor", p.Field, other)
	}
	r := get("/traces/operations?cursor=" + *first.NextCursor)
	r.Header.Set(tenantHeader, "other")
	require.Equal(t, "cursor", requireProblem(t, http.StatusBadRequest, do(h, r)).Field)
}

func TestWholeMinutes(t *testing.T) {
	at := func(hour, minute, second, ns int) time.Time {
		return time.Date(2026, 1, 2, hour, minute, second, ns, time.UTC)
	}
	for _, test := range []struct {
		start, end time.Time
		want       openapi.Window
	}{
		{at(10, 0, 0, 0), at(10, 1, 0, 0), openapi.Window{Start: "2026-01-02T10:00:00.000000000Z", End: "2026-01-02T10:01:00.000000000Z"}},
		{at(10, 0, 59, 9), at(10, 1, 0, 1), openapi.Window{Start: "2026-01-02T10:00:00.000000000Z", End: "2026-01-02T10:02:00.000000000Z"}},
		{
			earliest, latest,
			openapi.Window{Start: "1677-09-21T00:12:00.000000000Z", End: "2262-04-11T23:48:00.000000000Z"},
		},
	} {
		require.Equal(t, test.want, wholeMinutes(&tracestore.AggregateQuery{Start: test.start, End: test.end}))
	}
}

func TestQuantiles(t *testing.T) {
	sketch, err := ddsketch.NewDefaultDDSketch(0.01)
	require.NoError(t, err)
	require.Nil(t, quantile(nil, 0.5))
	require.Nil(t, quantile(sketch, 0.5), "nothing is known of no durations")
	// 90 calls of 1 ms and 10 of 1 s: half of them took 1 ms, the longest 5 of 100 took 1 s.
	require.NoError(t, sketch.AddWithCount(1e6, 90))
	require.NoError(t, sketch.AddWithCount(1e9, 10))
	require.InEpsilon(t, 1e6, *quantile(sketch, 0.5), 0.01)
	require.InEpsilon(t, 1e9, *quantile(sketch, 0.95), 0.01)

	require.NoError(t, sketch.AddWithCount(math.MaxInt64, 1e6))
	require.InEpsilon(t, float64(math.MaxInt64), float64(*quantile(sketch, 0.99)), 0.01)
	require.NoError(t, sketch.AddWithCount(0, 1e9))
	require.Zero(t, *quantile(sketch, 0.99))
}

// The shop's trace as the reference storage adds it up: three services in a row, of which the last fails.
func TestAggregatesOfAStoredTrace(t *testing.T) {
	h := storedHandler(t, storedShop())
	services := answerTo[openapi.ServicesAnswer](t, h, "/traces/services")
	require.EqualValues(t, 5, services.Completeness.Spans)
	for i, want := range []openapi.ServiceNode{{Name: "frontend", Calls: 1}, {Name: "inventory", Calls: 1, Errors: 1}, {Name: "orders", Calls: 1}} {
		got := services.Services[i]
		require.InEpsilon(t, []float64{100e6, 30e6, 70e6}[i], *got.P99Ns, 0.01)
		got.P50Ns, got.P95Ns, got.P99Ns, want.Kind = nil, nil, nil, openapi.NodeKindService
		want.CallsPerSecond = 1. / 3600
		require.Equal(t, want, got)
	}
	require.Len(t, services.Edges, 2)
	require.Equal(t, "frontend", services.Edges[0].Parent)
	require.Equal(t, "orders", services.Edges[0].Child)
	require.Equal(t, "inventory", services.Edges[1].Child)
	require.EqualValues(t, 1, services.Edges[1].Errors)

	around := answerTo[openapi.ServicesAnswer](t, h, "/traces/services?service=frontend")
	require.Len(t, around.Services, 2)
	require.Equal(t, services.Edges[:1], around.Edges)
	require.Empty(t, answerTo[openapi.ServicesAnswer](t, h, "/traces/services?environment=prod").Edges)
	require.Empty(t, answerTo[openapi.ServicesAnswer](t, h, "/traces/services?start=-2h&end=-1h").Services)

	operations := answerTo[openapi.OperationsAnswer](t, h, "/traces/operations").Operations
	require.Len(t, operations, 5)
	var path int64
	for _, o := range operations {
		path += o.CriticalPathNS
	}
	require.EqualValues(t, 100e6, path, "what the request waited for adds up to it")
}
