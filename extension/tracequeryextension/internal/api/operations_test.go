package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// operationRequests has a request of each operation of the document, by operationId. An operation about traces answers it with something
// of storedShop where that is stored, and otherwise without. What must hold for every operation is asked with these.
var operationRequests = map[string]func() *http.Request{
	"compareTraces":      func() *http.Request { return get("/traces/" + knownID + "/compare?with=" + knownID) },
	"createBackup":       func() *http.Request { return postBackup("{}") },
	"deleteTrace":        func() *http.Request { return deleteTrace(knownID) },
	"getAttributeValues": func() *http.Request { return get("/traces/attributes/http.route/values") },
	"getAttributes":      func() *http.Request { return get("/traces/attributes") },
	"getDependencies":    func() *http.Request { return get("/traces/dependencies?service=inventory") },
	"getDocument":        func() *http.Request { return get("/openapi.yaml") },
	"getErrors":          func() *http.Request { return get("/traces/errors") },
	"getInsights":        func() *http.Request { return get("/traces/insights") },
	"getLiveness":        func() *http.Request { return get("/healthz") },
	"getOperations":      func() *http.Request { return get("/traces/operations") },
	"getPerformance":     func() *http.Request { return get("/traces/performance") },
	"getReadiness":       func() *http.Request { return get("/readyz") },
	"getServices":        func() *http.Request { return get("/traces/services") },
	"getTrace":           func() *http.Request { return get("/traces/" + knownID) },
	"searchTraces":       func() *http.Request { return postSearch("{}") },
	"tailTraces":         func() *http.Request { return get("/traces/live").WithContext(left) }, // else it has no end
}

// left is the context of a client that has left already.
var left = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// pageRequests asks for the first page, of one, where cursor is empty, and for the one after it else.
var pageRequests = map[string]func(cursor string) *http.Request{
	"getOperations": func(cursor string) *http.Request {
		if cursor != "" {
			cursor = "&cursor=" + cursor
		}
		return get("/traces/operations?limit=1" + cursor)
	},
	"searchTraces": func(cursor string) *http.Request {
		if cursor != "" {
			cursor = fmt.Sprintf(`, "cursor": %q`, cursor)
		}
		return postSearch(`{"limit": 1` + cursor + `}`)
	},
}

// tenantless are the operations that are about no tenant's traces, or, as tailTraces, about those to come: see TestTail.
var tenantless = []string{"createBackup", "getDocument", "getLiveness", "getReadiness", "tailTraces"}

// routeList collects the routes of all operations.
type routeList []openapi.Route

func (l *routeList) Handle(route openapi.Route, _ http.HandlerFunc) { *l = append(*l, route) }

// forEveryOperation runs a test for each operation of the document, with a request of it.
func forEveryOperation(t *testing.T, test func(t *testing.T, route openapi.Route, request func() *http.Request)) {
	t.Helper()
	var routes routeList
	openapi.Register(&routes, &handler{})
	require.NotEmpty(t, routes)
	for _, route := range routes {
		t.Run(route.ID, func(t *testing.T) {
			request, ok := operationRequests[route.ID]
			require.True(t, ok, "no request of the operation in operationRequests")
			require.Equal(t, route.Method, request().Method)
			test(t, route, request)
		})
	}
	require.Len(t, operationRequests, len(routes), "a request of no operation in operationRequests")
}

// documented are the operations of the document by their ids.
func documented(t *testing.T) map[string]*openapi3.Operation {
	t.Helper()
	operations := make(map[string]*openapi3.Operation)
	for _, item := range document(t).Paths.Map() {
		for _, operation := range item.Operations() {
			operations[operation.OperationID] = operation
		}
	}
	return operations
}

// What an operation needs is what the document says, and whatever may change something says it.
func TestAccessIsAsDocumented(t *testing.T) {
	operations := documented(t)
	forEveryOperation(t, func(t *testing.T, route openapi.Route, _ func() *http.Request) {
		want, security := openapi.AccessRead, operations[route.ID].Security
		if route.Method != http.MethodGet {
			require.NotNil(t, security, "an operation that is not GET says in its security what it needs: read, or manage")
		}
		if security != nil {
			schemes := []string{}
			for _, requirement := range *security {
				schemes = slices.AppendSeq(schemes, maps.Keys(requirement))
			}
			access, known := map[string]openapi.Access{
				"[]": openapi.AccessOpen, "[read]": openapi.AccessRead, "[manage]": openapi.AccessManage,
			}[fmt.Sprint(schemes)]
			require.True(t, known, schemes)
			want = access
		}
		require.Equal(t, want, route.Access)
		for status, given := range map[string]bool{
			"401": route.Access != openapi.AccessOpen, "403": route.Access != openapi.AccessOpen, "429": route.Access != openapi.AccessOpen,
		} {
			require.Equal(t, given, operations[route.ID].Responses.Value(status) != nil, "status %s in the document", status)
		}
	})
}

// TestEveryOperationAsksWhoItIs: 401 for whom nobody knows, 403 for a reader who would change something, and nothing is changed.
func TestEveryOperationAsksWhoItIs(t *testing.T) {
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		s := settings(nil)
		s.Service.Storage = storageOf(storeOf(t, storedShop()))
		s.ReadAuthenticator, s.ManageAuthenticator = tokens{"Bearer reader": {}}, tokens{"Bearer manager": {}}
		h := newHandler(s, func() time.Time { return testNow })
		for token, want := range map[string]map[openapi.Access]int{
			"":               {openapi.AccessRead: 401, openapi.AccessManage: 401},
			"Bearer x":       {openapi.AccessRead: 401, openapi.AccessManage: 401},
			"Bearer reader":  {openapi.AccessManage: 403},
			"Bearer manager": {openapi.AccessRead: 401},
		} {
			r := request()
			r.Header.Set("Authorization", token)
			status := do(h, r).Code
			if refused := want[route.Access]; refused != 0 {
				require.Equal(t, refused, status, token)
				continue
			}
			require.NotContains(t, []int{401, 403}, status, token)
			if token == "Bearer manager" {
				continue // who may delete the trace
			}
			shown := get("/traces/" + knownID)
			shown.Header.Set("Authorization", "Bearer reader")
			require.Equal(t, http.StatusOK, do(h, shown).Code, "the trace is gone")
		}
	})
}

func storeOf(t *testing.T, calls ...ptrace.Traces) *memstore.Store {
	t.Helper()
	store := memstore.New(24*time.Hour, func() time.Time { return testNow })
	for _, call := range calls {
		require.NoError(t, store.WriteCall(t.Context(), annotated(call)))
	}
	return store
}

// ofTenant is the shop's trace, and another one with the same names, as a tenant's.
func ofTenant(name string) (calls []ptrace.Traces) {
	for i := range 2 {
		td := storedShop()
		for _, rs := range td.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, name)
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				id := span.TraceID()
				id[0] += byte(i) // the first keeps its id
				span.SetTraceID(id)
				span.Attributes().PutStr("http.route", "/of/"+name)
			}
		}
		calls = append(calls, td)
	}
	return calls
}

// ownTrace is a trace of another kind.
func ownTrace(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	span := shopSpan(shopService(td, "own"), "x", 1, 0, ptrace.SpanKindServer, 1, 2)
	span.SetTraceID(pcommon.TraceID{15: 9})
	resource := td.ResourceSpans().At(0).Resource().Attributes()
	resource.PutStr(conventions.AttrTenant, name)
	resource.PutInt(conventions.AttrReleasedAt, int64(shopTime(1000)))
	return td
}

// TestNoOperationTellsOfAnotherTenant: whatever a tenant asks, with another's ids and cursors, the answer is to the letter the one that it
// would get if the other had nothing stored; and what the other has stays.
func TestNoOperationTellsOfAnotherTenant(t *testing.T) {
	operations := documented(t)
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		requests := []func() *http.Request{request}
		page, pages := pageRequests[route.ID]
		require.Equal(t, takesCursor(operations[route.ID]), pages, "pageRequests has the operations that take a cursor")
		both := storeOf(t, append(ofTenant("red"), ownTrace("blue"))...)
		alone := storeOf(t, ownTrace("blue"))
		if pages {
			var first struct {
				NextCursor string `json:"next_cursor"`
			}
			answer := do(handlerAs("red", both), page(""))
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &first))
			require.NotEmpty(t, first.NextCursor)
			requests = append(requests, func() *http.Request { return page(first.NextCursor) })
		}
		for _, request := range requests {
			for _, header := range []string{"", "red", "blue"} { // the claim overrules it
				r := request()
				r.Header.Set(tenantHeader, header)
				got := do(handlerAs("blue", both), r)
				want := do(handlerAs("blue", alone), request())
				require.Equal(t, want.Code, got.Code)
				require.Equal(t, want.Header(), got.Header())
				require.Equal(t, want.Body.String(), got.Body.String())
			}
			// By the header alone, where no authenticator names a tenant.
			r := request()
			r.Header.Set(tenantHeader, "blue")
			require.Equal(t, do(handlerAs("blue", alone), request()).Body.String(), do(handlerAs("", both), r).Body.String())
		}
		require.Equal(t, http.StatusOK, do(handlerAs("red", both), get("/traces/"+knownID)).Code)
		// The other one's own answer differs, so that there was something to hide.
		tells := do(handlerAs("red", both), request()).Body.String() != do(handlerAs("blue", both), request()).Body.String()
		require.Equal(t, !slices.Contains(tenantless, route.ID), tells)
	})
}

func takesCursor(operation *openapi3.Operation) bool {
	if body := operation.RequestBody; body != nil {
		if _, ok := body.Value.Content.Get("application/json").Schema.Value.Properties["cursor"]; ok {
			return true
		}
	}
	return operation.Parameters.GetByInAndName("query", "cursor") != nil
}

// handlerAs lets everybody do everything, as this tenant; with an empty name, as the one in the header.
func handlerAs(name string, store tracestore.Backend) http.Handler {
	s := settings(nil)
	s.Service.Storage = storageOf(store)
	known := tokens{"": {}}
	if name != "" {
		known = tokens{"": {tenant.Claim: name}}
	}
	s.ReadAuthenticator, s.ManageAuthenticator = known, known
	return newHandler(s, func() time.Time { return testNow })
}

// withoutDeadline are the operations that may take as long as they do: a backup copies everything, and who follows goes on.
var withoutDeadline = []string{"createBackup", "getDocument", "tailTraces"}

func TestEveryOperationHasADeadline(t *testing.T) {
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		if slices.Contains(withoutDeadline, route.ID) || route.Access == openapi.AccessOpen {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			s := settings(nil)
			s.Service.Storage = storageOf(blockedStorage{})
			began := time.Now()
			p := requireProblem(t, http.StatusGatewayTimeout, do(NewHandler(s), request()))
			require.Contains(t, p.Detail, "query_timeout")
			require.LessOrEqual(t, time.Since(began), s.Service.Timeout)
		})
	})
}

// Every operation but probes is refused while the server is busy, or its client has asked too often, and served again after it.
func TestEveryOperationIsLimited(t *testing.T) {
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		for _, limits := range []Limits{{RatePerClient: 0.5, BurstPerClient: 1}, {Concurrent: 1}, {ConcurrentPerClient: 1}} {
			s := settings(&fakeStorage{})
			s.Limits = limits
			h := &handler{Settings: s, now: time.Now, hosts: newHosts(s.AllowedHosts), limiter: newLimiter(limits, time.Now)}
			asked := 0
			serve := h.guard(route, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				asked++
				if asked == 1 && limits.RatePerClient == 0 { // while the first one is being served
					refused := do(h.guard(route, http.NotFoundHandler()), request())
					assert.Equal(t, map[bool]int{true: 404, false: 429}[route.Access == openapi.AccessOpen], refused.Code)
				}
			}))
			require.Equal(t, http.StatusOK, do(serve, request()).Code)
			again := do(serve, request())
			if route.Access == openapi.AccessOpen || limits.RatePerClient == 0 {
				require.Equal(t, http.StatusOK, again.Code)
				continue
			}
			require.Equal(t, 429, again.Code)
			require.Contains(t, []string{"1", "2"}, again.Header().Get("Retry-After"))
			require.Contains(t, again.Body.String(), "limits::rate_per_client")
			require.Equal(t, 1, asked)
		}
	})
}

// A name that is not the server's is refused for every operation but probes, and the answer says what to do about it.
func TestEveryOperationChecksTheHost(t *testing.T) {
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		s := settings(&fakeStorage{})
		s.Service.Storage = func() (tracestore.Backend, error) { return nil, errors.New("asked") }
		r := request()
		r.Host = "evil.example"
		response := do(NewHandler(s), r)
		if route.Access == openapi.AccessOpen {
			require.NotEqual(t, http.StatusForbidden, response.Code)
			return
		}
		p := requireProblem(t, http.StatusForbidden, response)
		require.Equal(t, "Host", p.Field)
		require.Contains(t, p.Detail, "allowed_hosts")
	})
}
