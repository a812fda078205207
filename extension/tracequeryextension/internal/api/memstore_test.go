package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// annotated is a call as it reaches the store.
func annotated(td ptrace.Traces) ptrace.Traces {
	for _, release := range tracetree.Releases(td) {
		analysis.Annotate(&release, analysis.Analyze(&release))
	}
	return td
}

func storedHandler(t *testing.T, calls ...ptrace.Traces) http.Handler {
	t.Helper()
	store := memstore.New(24*time.Hour, func() time.Time { return testNow })
	for _, call := range calls {
		require.NoError(t, store.WriteCall(t.Context(), annotated(call)))
	}
	s := settings(nil)
	s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	return newHandler(s, func() time.Time { return testNow })
}

// storedShop is the shop's trace, released when it was over.
func storedShop() ptrace.Traces {
	td := shopTrace()
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, int64(shopTime(1000)))
	}
	return td
}

func searchFor(t *testing.T, h http.Handler, body string) (answer openapi.SearchAnswer) {
	t.Helper()
	response := do(h, postSearch(body))
	text := response.Body.String()
	require.Equal(t, http.StatusOK, response.Code, text)
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	return answer
}

// What a search says of a trace is what the trace says of itself.
func TestSearchRowIsTheTrace(t *testing.T) {
	h := storedHandler(t, storedShop())
	found := searchFor(t, h, `{}`)
	require.Equal(t, openapi.Total{Count: 1, Exact: true}, found.Total)
	require.Nil(t, found.NextCursor)
	row, err := json.Marshal(found.Traces[0])
	require.NoError(t, err)
	var want, trace map[string]any
	require.NoError(t, json.Unmarshal(row, &want))
	require.NoError(t, json.Unmarshal(do(h, get("/traces/"+knownID)).Body.Bytes(), &trace))
	require.Len(t, want, 11)
	for name, value := range want {
		require.Equal(t, value, trace[name], name)
	}
}

func TestSearchConditionsReachTheStorage(t *testing.T) {
	h := storedHandler(t, storedShop())
	for body, found := range map[string]bool{
		`{"service": "inventory", "operation": "reserve", "kind": "server", "errors": true}`:    true,
		`{"service": "inventory", "kind": "client"}`:                                            false,
		`{"service": "frontend", "errors": true}`:                                               false,
		`{"service": "frontend", "errors": false}`:                                              true,
		`{"category": "service_call", "outcome": "complete", "entry": {"service": "frontend"}}`: true,
		`{"category": "database_operation"}`:                                                    false,
		`{"outcome": "late"}`:                                                                   false,
		`{"entry": {"operation": "GET /orders"}}`:                                               false,
		`{"min_duration": "30ms", "max_duration": "30ms"}`:                                      true,
		`{"min_duration": "101ms"}`:                                                             false,
		`{"trace_duration": {"min": "100ms", "max": "100ms"}}`:                                  true,
		`{"trace_duration": {"max": "99ms"}}`:                                                   false,
		`{"attributes": [{"key": "http.response.status_code", "op": "=", "value": 200}]}`:       true,
		`{"attributes": [{"key": "http.response.status_code", "op": ">", "value": 200}]}`:       false,
		`{"attributes": [{"key": "cart.value", "op": "<", "value": "12.6"}]}`:                   true,
		`{"attributes": [{"key": "cart.value", "op": "!=", "value": 12.5}]}`:                    false,
		`{"attributes": [{"key": "url.path", "op": "regex", "value": "^/cart"}]}`:               true,
		`{"attributes": [{"key": "resource.service.name", "op": "exists"}]}`:                    true,
		`{"attributes": [{"key": "span.service.name", "op": "exists"}]}`:                        false,
		`{"service": "orders", "attributes": [{"key": "url.path", "op": "exists"}]}`:            false,
		`{"start": "2026-01-02T11:59:00.123456789Z"}`:                                           true,
		`{"start": "2026-01-02T11:59:00.123456790Z"}`:                                           false,
		`{"end": "2026-01-02T11:59:00.123456789Z"}`:                                             false,
		`{"start": "-59s"}`: false,
	} {
		require.Equal(t, found, len(searchFor(t, h, body).Traces) == 1, body)
	}
}

func TestPages(t *testing.T) {
	var calls []ptrace.Traces
	for i := range 5 {
		td := ptrace.NewTraces()
		span := shopSpan(shopService(td, "a"), "x", 1, 0, ptrace.SpanKindServer, i, i+1)
		span.SetTraceID(pcommon.TraceID{15: byte(i + 1)})
		td.ResourceSpans().At(0).Resource().Attributes().PutInt(conventions.AttrReleasedAt, int64(shopTime(1000)))
		calls = append(calls, td)
	}
	h := storedHandler(t, calls...)
	var order []string
	cursor := ""
	for range 3 {
		page := searchFor(t, h, fmt.Sprintf(`{"limit": 2%s}`, cursor))
		for _, trace := range page.Traces {
			order = append(order, trace.TraceID[30:])
		}
		if page.NextCursor == nil {
			break
		}
		cursor = fmt.Sprintf(`, "cursor": %q`, *page.NextCursor)
		p := requireProblem(t, http.StatusBadRequest, do(h, postSearch(`{"service": "b"`+cursor+`}`)))
		require.Equal(t, "cursor", p.Field, "a cursor of another search")
		r := postSearch(`{"limit": 2` + cursor + `}`)
		r.Header.Set(tenantHeader, "other")
		requireProblem(t, http.StatusBadRequest, do(h, r))
	}
	require.Equal(t, []string{"05", "04", "03", "02", "01"}, order)
}

func TestTenantsDoNotSeeEachOther(t *testing.T) {
	td := storedShop()
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr(conventions.AttrTenant, "shop")
	}
	h := storedHandler(t, td)
	for tenant, found := range map[string]bool{"shop": true, "other": false, "": false} {
		byID, search := get("/traces/"+knownID), postSearch("")
		byID.Header.Set(tenantHeader, tenant)
		search.Header.Set(tenantHeader, tenant)
		require.Equal(t, found, do(h, byID).Code == http.StatusOK, tenant)
		var answer openapi.SearchAnswer
		require.NoError(t, json.Unmarshal(do(h, search).Body.Bytes(), &answer))
		require.Equal(t, found, len(answer.Traces) == 1, tenant)
	}
}

// TestUsualSelfTime: the bottleneck, inventory's reserve, took 30 ms itself. It took 10 ms in the mean of 30 calls over the hour
// before, and 1 s in the minutes that do not count: the trace's own, and those of a past hour.
func TestUsualSelfTime(t *testing.T) {
	history := func(minutes int, took int, calls int) ptrace.Traces {
		td := ptrace.NewTraces()
		spans := shopService(td, "inventory")
		td.ResourceSpans().At(0).Resource().Attributes().PutInt(conventions.AttrReleasedAt,
			shopStart.Add(-time.Duration(minutes)*time.Minute).UnixNano())
		for n := range calls {
			span := shopSpan(spans, "reserve", 1, 0, ptrace.SpanKindServer, 0, took)
			span.SetTraceID(pcommon.TraceID{1: byte(minutes), 2: byte(took), 15: byte(n + 1)})
			other := shopSpan(spans, "reserve", 2, 1, ptrace.SpanKindClient, 0, 0) // another kind
			other.SetTraceID(span.TraceID())
		}
		return td
	}
	for name, test := range map[string]struct {
		history []ptrace.Traces
		usual   int64
	}{
		"every fifth minute": {[]ptrace.Traces{history(5, 6, 15), history(60, 14, 15), history(0, 1000, 50), history(65, 1000, 50)}, 10e6},
		"a moment ago":       {[]ptrace.Traces{history(10, 6, 10), history(2, 12, 20)}, 10e6},
		"too few":            {[]ptrace.Traces{history(5, 10, 29)}, 0},
		"none":               {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := storedHandler(t, append(test.history, storedShop())...)
			for range 2 {
				trace := answerTo[struct {
					Bottleneck openapi.Bottleneck `json:"bottleneck"`
				}](t, h, "/traces/"+knownID)
				if test.usual == 0 {
					require.Nil(t, trace.Bottleneck.UsualSelfTimeNS)
					require.Nil(t, trace.Bottleneck.TimesUsual)
					continue
				}
				require.Equal(t, test.usual, *trace.Bottleneck.UsualSelfTimeNS)
				require.InDelta(t, 3, *trace.Bottleneck.TimesUsual, 1e-9)
			}
		})
	}
}
