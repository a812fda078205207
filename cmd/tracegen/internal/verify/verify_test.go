package verify

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// api is a REST API that answers what it is told to.
type api struct {
	mu                sync.Mutex
	traces            map[string]object // by id; the search lists them too
	edges, operations []object
	notServed         bool
	truncated         map[string]bool   // pages of the search, by their cursors
	next              map[string]string // what the search answers instead as next_cursor
	again             map[string]string // rows that stand in the place of others
	unrepaired        int
	rounds            int    // of questions for the map
	onRound           func() // under mu
	tenants           map[string]int
	token             string
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func row(id string, spans, errors int) object {
	return object{
		"trace_id": id, "entry": object{"service": "edge", "operation": "GET /"}, "start": start.Format(time.RFC3339Nano),
		"duration_ns": 1000, "span_count": spans, "error_count": errors, "services": []string{"edge"}, "outcome": "complete",
	}
}

func edge(parent, child, protocol string, calls, errors int) object {
	return object{"parent": parent, "child": child, "protocol": protocol, "calls": calls, "errors": errors, "p50_ns": 1}
}

func operation(service, operation, kind string, calls, errors int) object {
	return object{"service": service, "operation": operation, "kind": kind, "calls": calls, "errors": errors}
}

// rightAnswers is an API that answers what the run of file sent.
func rightAnswers() *api {
	return &api{
		tenants: map[string]int{},
		traces:  map[string]object{"a": row("a", 8, 0), "b": row("b", 9, 1), "c": row("c", 10, 0)},
		edges: []object{
			edge("edge", "cart", "grpc", 2, 0), edge("edge", "cart", "grpc", 1, 1), // two rows of one edge add up
			edge("cart", "carts-db", "redis", 3, 0),
		},
		operations: []object{operation("edge", "GET /", "server", 3, 1), operation("cart", "Get", "SERVER", 3, 1)},
	}
}

func file(tenant string) *truth.File {
	trace := func(id string, spans, errors int) truth.Trace {
		return truth.Trace{
			TraceID: id, Tenant: tenant, Entry: truth.Operation{Service: "edge", Operation: "GET /"}, Start: start, Duration: 1000,
			Spans: spans, Errors: errors,
		}
	}
	return &truth.File{
		Run:    truth.Run{Started: start.Add(time.Minute), TenantHeader: "x-tenant"},
		Traces: []truth.Trace{trace("a", 8, 0), trace("b", 9, 1), trace("c", 10, 0)},
		Edges: []truth.Edge{
			{Tenant: tenant, Parent: "edge", Child: "cart", Protocol: "grpc", Calls: 3, Errors: 1},
			{Tenant: tenant, Parent: "cart", Child: "carts-db", Protocol: "redis", Calls: 3},
			{Tenant: tenant, Parent: "edge", Child: "stock", Protocol: "grpc", Unanswered: 4},
		},
		Operations: []truth.OperationCounts{
			{Tenant: tenant, Service: "edge", Operation: "GET /", Kind: "server", Calls: 3, Errors: 1},
			{Tenant: tenant, Service: "cart", Operation: "Get", Kind: "server", Calls: 3, Errors: 1},
		},
	}
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tenants[r.Header.Get("x-tenant")]++
	a.token = r.Header.Get("x-token")
	answer := object{}
	switch {
	case r.URL.Path == "/traces/search" && r.Method == http.MethodPost:
		a.search(w, r)
		return
	case r.URL.Path == "/traces/services" && !a.notServed:
		if a.rounds++; a.onRound != nil {
			a.onRound()
		}
		if r.URL.Query().Get("start") != "2026-01-02T03:04:00Z" { // the first minute of the run
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer = object{"edges": a.edges, "completeness": object{"unrepaired_spans": a.unrepaired}}
	case r.URL.Path == "/traces/operations" && !a.notServed:
		answer = object{"operations": a.operations}
	case a.traces[strings.TrimPrefix(r.URL.Path, "/traces/")] != nil:
		answer = a.traces[strings.TrimPrefix(r.URL.Path, "/traces/")]
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// search answers one trace a page.
func (a *api) search(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Start, End time.Time
		Cursor     string
	}
	if json.NewDecoder(r.Body).Decode(&request) != nil || request.Start.After(start) || !request.End.After(start) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ids := slices.Sorted(maps.Keys(a.traces))
	at, _ := slices.BinarySearch(ids, request.Cursor)
	id := ids[at]
	if again := a.again[id]; again != "" {
		id = again
	}
	answer := object{"traces": []object{a.traces[id]}, "truncated": a.truncated[request.Cursor]}
	if next := a.next[request.Cursor]; next != "" {
		answer["next_cursor"] = next
	} else if at+1 < len(ids) {
		answer["next_cursor"] = ids[at+1]
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func verifyAgainst(t *testing.T, a http.Handler, f *truth.File, change func(*Options)) *Report {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	o := Options{API: server.URL + "/", Timeout: 50 * time.Millisecond, Concurrency: 2, Interval: 10 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	v, err := New(f, o)
	require.NoError(t, err)
	report, err := v.Run(t.Context())
	require.NoError(t, err)
	return report
}

func TestVerify(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(*api)
		want   string // the first lines
		detail string
	}{
		"right": {
			func(*api) {},
			"traces      3 sent: 3 found, 0 missing, 0 partial, 0 surplus, 0 differing; 3 of them in the search\n" +
				"edges       3 sent: 0 differ in calls or errors (by 0 of 6 calls; the map says that 0 spans may be wrong)\n" +
				"operations  2 sent: 0 differ in calls or errors\n",
			`completeness of the map {"unrepaired_spans":0}`,
		},
		"missing": {
			func(a *api) { delete(a.traces, "b") },
			"traces      3 sent: 2 found, 1 missing, 0 partial, 0 surplus, 0 differing; 2 of them in the search\n",
			"missing   b",
		},
		"partial": {
			func(a *api) { a.traces["b"]["span_count"] = 7 },
			"traces      3 sent: 2 found, 0 missing, 1 partial, 0 surplus, 0 differing; 3 of them in the search\n",
			"partial   b: 7 spans of 9",
		},
		"too many spans": {
			func(a *api) { a.traces["b"]["span_count"] = 10 },
			"traces      3 sent: 2 found, 0 missing, 0 partial, 0 surplus, 1 differing; 3 of them in the search\n",
			"differs   b: span_count is 10, sent 9",
		},
		"other duration": {
			func(a *api) { a.traces["b"]["duration_ns"] = 1001 },
			"traces      3 sent: 2 found, 0 missing, 0 partial, 0 surplus, 1 differing; 3 of them in the search\n",
			"differs   b: duration_ns is 1001, sent 1000",
		},
		"other start": {
			func(a *api) { a.traces["b"]["start"] = start.Add(1).Format(time.RFC3339Nano) },
			"traces      3 sent: 2 found, 0 missing, 0 partial, 0 surplus, 1 differing; 3 of them in the search\n",
			"differs   b: start is",
		},
		"other errors": {
			func(a *api) { a.traces["b"]["error_count"] = 0 },
			"traces      3 sent: 2 found, 0 missing, 0 partial, 0 surplus, 1 differing; 3 of them in the search\n",
			"differs   b: error_count is 0, sent 1",
		},
		"other entry": {
			func(a *api) { a.traces["b"]["entry"] = object{"service": "cart", "operation": "GET /"} },
			"traces      3 sent: 2 found, 0 missing, 0 partial, 0 surplus, 1 differing; 3 of them in the search\n",
			"differs   b: entry.service is cart, sent edge",
		},
		"surplus": {
			func(a *api) { a.traces["x"] = row("x", 8, 0) },
			"traces      3 sent: 3 found, 0 missing, 0 partial, 1 surplus, 0 differing; 3 of them in the search\n",
			"surplus   x",
		},
		"one in the place of another": {
			func(a *api) { a.again = map[string]string{"c": "b"} },
			"traces      3 sent: 3 found, 0 missing, 0 partial, 0 surplus, 1 differing; 2 of them in the search\n",
			"differs   in the search: b is there again",
		},
		"goes on where a page was cut short": {
			func(a *api) { a.truncated = map[string]bool{"": true, "b": true} },
			"traces      3 sent: 3 found, 0 missing, 0 partial, 0 surplus, 0 differing; 3 of them in the search\n",
			"",
		},
		"cut short": {
			func(a *api) { a.truncated = map[string]bool{"c": true} },
			"traces      3 sent: 3 found, 0 missing, 0 partial, 0 surplus, 0 differing; 3 of them in the search, which the storage cut short\n",
			"",
		},
		"edge with fewer calls": {
			func(a *api) { a.edges[2]["calls"] = 2 },
			"",
			"edge      cart → carts-db (redis): 2 calls, 0 errors; sent 3, 0",
		},
		"edge with other errors": {
			func(a *api) { a.edges[1]["errors"] = 0 },
			"",
			"edge      edge → cart (grpc): 3 calls, 0 errors; sent 3, 1",
		},
		"edge is missing": {
			func(a *api) { a.edges = a.edges[:2] },
			"",
			"edge      cart → carts-db (redis): 0 calls, 0 errors; sent 3, 0",
		},
		"edge that was not sent": {
			func(a *api) { a.edges = append(a.edges, edge("cart", "edge", "http", 1, 0)) },
			"",
			"edge      cart → edge (http): 1 calls, 0 errors; sent 0, 0",
		},
		"edge with other unanswered calls": {
			func(a *api) {
				a.edges = append(a.edges, edge("edge", "stock", "grpc", 0, 0))
				a.edges[3]["unanswered"] = 3
			},
			"",
			"edge      edge → stock (grpc): 0 calls, 0 errors; sent 0, 0; 3 unanswered, sent 4",
		},
		"operation with other calls": {
			func(a *api) { a.operations[0]["calls"] = 4 },
			"",
			"operation edge GET / (server): 4 calls, 1 errors; sent 3, 1",
		},
		"operation of another kind": {
			func(a *api) { a.operations[1]["kind"] = "client" },
			"",
			"operation cart Get (server): 0 calls, 0 errors; sent 3, 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := rightAnswers()
			test.damage(a)
			report := verifyAgainst(t, a, file(""), nil)
			require.Equal(t, name == "right" || strings.HasPrefix(name, "goes on"), report.OK())
			var text strings.Builder
			require.NoError(t, report.Write(&text))
			require.True(t, strings.HasPrefix(text.String(), test.want), text.String())
			require.Contains(t, text.String(), test.detail)
		})
	}
}

func TestVerifySearchWithoutEnd(t *testing.T) {
	a := rightAnswers()
	a.next = map[string]string{"c": "b"}
	server := httptest.NewServer(a)
	defer server.Close()
	v, err := New(file(""), Options{API: server.URL, Concurrency: 1, Interval: time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = v.Run(ctx)
	require.ErrorContains(t, err, `the cursor "b" comes again after 3 traces`)
}

// What is not right yet is asked again.
func TestVerifyWaits(t *testing.T) {
	a := rightAnswers()
	b := a.traces["b"]
	delete(a.traces, "b")
	a.edges[2]["calls"] = 1
	a.onRound = func() {
		switch a.rounds {
		case 2:
			a.traces["b"] = b
		case 3:
			a.edges[2]["calls"] = 3
		}
	}
	report := verifyAgainst(t, a, file(""), func(o *Options) { o.Timeout = time.Minute })
	require.True(t, report.OK())
	require.Equal(t, 3, a.rounds)
}

// The map may lack as many calls as it says itself, of the tenant that it answers, and nothing but that may be wrong.
func TestVerifyUnrepairedEdges(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(*api)
		want   bool
	}{
		"unsaid":                {func(a *api) { a.edges[2]["calls"], a.unrepaired = 2, 0 }, false},
		"said":                  {func(a *api) { a.edges[2]["calls"], a.unrepaired = 2, 1 }, true},
		"more than said":        {func(a *api) { a.edges[2]["calls"], a.unrepaired = 1, 1 }, false},
		"one with its error":    {func(a *api) { a.edges[1]["calls"], a.edges[1]["errors"], a.unrepaired = 0, 0, 1 }, true},
		"client is unanswered":  {func(a *api) { a.edges[2]["calls"], a.edges[2]["unanswered"], a.unrepaired = 2, 1, 1 }, true},
		"errors alone":          {func(a *api) { a.edges[1]["errors"], a.unrepaired = 0, 9 }, false},
		"one too many":          {func(a *api) { a.edges[2]["calls"], a.unrepaired = 4, 9 }, false},
		"an edge of nobody":     {func(a *api) { a.edges, a.unrepaired = append(a.edges, edge("cart", "edge", "http", 1, 0)), 9 }, false},
		"unanswered by nothing": {func(a *api) { a.edges[2]["unanswered"], a.unrepaired = 1, 9 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := rightAnswers()
			a.edges[0]["unanswered"], a.edges[1]["unanswered"], a.edges[2]["unanswered"] = 0, 0, 0
			test.damage(a)
			require.Equal(t, test.want, verifyAgainst(t, a, file(""), nil).OK())
		})
	}
}

// What the map of one tenant says of itself excuses no other tenant's.
func TestVerifyUnrepairedEdgesOfOneTenant(t *testing.T) {
	right, lacking := rightAnswers(), rightAnswers()
	right.unrepaired = 1
	lacking.edges[2]["calls"] = 2
	both := file("right")
	other := file("lacking")
	both.Traces, both.Edges, both.Operations = append(both.Traces, other.Traces...), append(both.Edges, other.Edges...), append(both.Operations, other.Operations...)
	report := verifyAgainst(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-tenant") == "right" {
			right.ServeHTTP(w, r)
			return
		}
		lacking.ServeHTTP(w, r)
	}), both, nil)
	require.False(t, report.OK())
}

func TestVerifyWithoutAggregates(t *testing.T) {
	a := rightAnswers()
	a.notServed = true
	report := verifyAgainst(t, a, file(""), func(o *Options) { o.Timeout = time.Minute }) // it does not wait for them
	require.False(t, report.OK())
	require.Equal(t, []string{"/traces/services", "/traces/operations"}, report.NotServed)
	var text strings.Builder
	require.NoError(t, report.Write(&text))
	require.Contains(t, text.String(), "/traces/services answered 404; verify the traces alone with --only traces")

	report = verifyAgainst(t, a, file(""), func(o *Options) { o.OnlyTraces = true })
	require.True(t, report.OK())
}

func TestVerifyAsksAsTheTenant(t *testing.T) {
	a := rightAnswers()
	require.True(t, verifyAgainst(t, a, file("blue"), func(o *Options) { o.Access.Headers = []access.Header{{Name: "X-Token", Value: "secret"}} }).OK())
	require.Equal(t, "secret", a.token)
	require.Equal(t, []string{"blue"}, slices.Collect(maps.Keys(a.tenants)))
}

func TestVerifyCannotAsk(t *testing.T) {
	v, err := New(file(""), Options{API: "http://localhost:1", Timeout: 30 * time.Millisecond, Concurrency: 1, Interval: 10 * time.Millisecond})
	require.NoError(t, err)
	_, err = v.Run(t.Context())
	require.ErrorContains(t, err, "read the traces: Get ")
	_, err = New(&truth.File{}, Options{})
	require.ErrorContains(t, err, "no traces")
}
