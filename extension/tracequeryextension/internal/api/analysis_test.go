package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/analysis/cost"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func operationNamed(service, name string) tracestore.Operation {
	return tracestore.Operation{Service: service, Operation: name}
}

// Both windows hold the same here: nothing changed. Ten requests of 100 ms, 60 of them the shop's and 40 those of two calls to the database.
func TestPerformanceAnswer(t *testing.T) {
	busy := operationOf("shop", "GET /", "server", 10, 1)
	busy.SelfTime = 30e9
	entry := operationNamed("shop", "GET /")
	storage := settings(&fakeStorage{
		operations: []tracestore.OperationAggregate{busy},
		entries: []tracestore.EntryAggregate{
			{Operation: entry, Traces: 11, Errors: 2, Outcomes: map[string]int64{"complete": 10, "part": 1}},
			{Operation: operationNamed("shop", "GET /idle"), Traces: 1},
		},
		parts: []tracestore.EntryOperationAggregate{
			{Entry: entry, Operation: entry, Traces: 10, Calls: 10, SelfTime: 2e9, CriticalPathTime: 600e6},
			{Entry: entry, Operation: operationNamed("shop", "SELECT"), Traces: 10, Calls: 20, Errors: 3, SelfTime: 20e9, CriticalPathTime: 400e6},
		},
		completeness: tracestore.Completeness{Spans: 80},
	})
	storage.Service.Prices, storage.Service.Currency = cost.Prices{"shop": 0.5}, "EUR"
	h := newHandler(storage, func() time.Time { return testNow })
	response := do(h, get("/traces/performance?limit=1&start=2026-01-02T11:59:00Z"))
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
			"other_parts_ns": 0,
			"efficiency": {"busy_ns": 2000000000, "parallelism": 22, "yield_per_second": 0.4090909090909091, "failed_calls_share": 0.1},
			"previous_efficiency": {"busy_ns": 2000000000, "parallelism": 22, "yield_per_second": 0.4090909090909091, "failed_calls_share": 0.1},
			"cost": {
				"currency": "EUR", "total": 11, "per_trace": 1, "previous_per_trace": 1, "unpriced_time_ns": 0,
				"services": [{"service": "shop", "busy_time_ns": 22000000000, "cost": 11}]
			},
			"points": [{"start": "2026-01-02T11:59:00.000000000Z", "traces": 11, "errors": 2}]
		}],
		"more": true,
		"bottlenecks": [
			{"service": "shop", "operation": "GET /", "wait_ns": 600000000, "previous_wait_ns": 600000000, "share": 0.6, "entries": 1},
			{"service": "shop", "operation": "SELECT", "wait_ns": 400000000, "previous_wait_ns": 400000000, "share": 0.4, "entries": 1}
		],
		"services": [{"service": "shop", "busy_time_ns": 30000000000, "concurrency": 0.5, "peak_concurrency": 0.5, "previous_concurrency": 0.5}],
		"limits": [],
		"window": {"start": "2026-01-02T11:59:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"},
		"previous_window": {"start": "2026-01-02T11:58:00.000000000Z", "end": "2026-01-02T11:59:00.000000000Z"},
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
		"/traces/dependencies?from=a":                                                 "from",
		"/traces/dependencies?to=a":                                                   "from",
		"/traces/dependencies?from=&to=a":                                             "from",
		"/traces/dependencies?limit=101":                                              "limit",
		"/traces/dependencies?service=a&depth=21":                                     "depth",
		"/traces/dependencies?service=a&depth=0":                                      "depth",
		"/traces/dependencies?start=now":                                              "start",
		"/traces/dependencies?from=a&to=" + strings.Repeat("b", 4097):                 "to",
		"/traces/performance?limit=0":                                                 "limit",
		"/traces/performance?operation=":                                              "operation",
		"/traces/performance?service=%FF":                                             "service",
		"/traces/performance?from=a":                                                  "from",
		"/traces/dependencies?from=a&to=" + strings.Repeat("b", 4097):                 "to",
		"/traces/performance?what_if_service=a":                                       "what_if_service",
		"/traces/performance?what_if_operation=a":                                     "what_if_service",
		"/traces/performance?what_if_factor=1":                                        "what_if_factor",
		"/traces/performance?what_if_factor=NaN":                                      "what_if_factor",
		"/traces/performance?what_if_factor=0x1p1":                                    "what_if_factor",
		"/traces/performance?what_if_service=a&what_if_operation=b&what_if_factor=-1": "what_if_factor",
		"/traces/performance?sample_time=11s":                                         "sample_time",
		"/traces/performance?sample_time=soon":                                        "sample_time",
		"/traces/errors?limit=0":                                                      "limit",
		"/traces/errors?entry=":                                                       "entry",
		"/traces/errors?fingerprint=" + strings.Repeat("a", 4097):                     "fingerprint",
		"/traces/errors?new=1":                                                        "new",
		"/traces/insights?kind=magic":                                                 "kind",
		"/traces/insights?limit=201":                                                  "limit",
		"/traces/insights?entry=":                                                     "entry",
		"/traces/insights?baseline=yesterday":                                         "baseline",
		"/traces/insights?baseline=-1h59m":                                            "baseline",
		"/traces/insights?start=-5m&baseline=-9m":                                     "baseline",
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
	require.Nil(t, entry.ChangeNS, "there was nothing before")
	require.Nil(t, entry.PreviousMeanNS)
	require.Nil(t, entry.PreviousEfficiency)
	require.Nil(t, entry.Parts[0].ChangeNS)
	require.Nil(t, entry.Cost, "without prices")
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
	require.Nil(t, later.Entries[0].ChangeNS, "there is nothing now")
	require.EqualValues(t, 100e6, *later.Entries[0].PreviousMeanNS)
	require.EqualValues(t, 1, later.Entries[0].PreviousTraces)
	for _, far := range []string{"?start=1678-01-01T00:00:00Z", "?start=1678-01-01T00:00:00Z&end=1679-01-01T00:00:00Z", "?end=2262-04-11T23:47:16Z"} {
		require.Equal(t, http.StatusOK, do(h, get("/traces/performance"+far)).Code, far)
		require.Equal(t, http.StatusOK, do(h, get("/traces/dependencies"+far)).Code, far)
		require.Equal(t, http.StatusOK, do(h, get("/traces/errors"+far)).Code, far)
		require.Equal(t, http.StatusOK, do(h, get("/traces/insights"+far)).Code, far)
	}
}

// What if inventory's own 30 ms of the 100 took half of that? 15 ms less.
func TestWhatIfAnswer(t *testing.T) {
	h := storedHandler(t, storedShop())
	got := answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?what_if_service=inventory&what_if_operation=reserve&sample_time=5s").WhatIf
	require.InDelta(t, 0.5, got.Factor, 0)
	require.Len(t, got.Entries, 1)
	entry := got.Entries[0]
	require.EqualValues(t, 15e6, entry.AtMostNS)
	require.Equal(t, openapi.Sample{Traces: 1, All: 1}, entry.Sample)
	require.EqualValues(t, 100e6, *entry.MeanNS)
	require.EqualValues(t, 85e6, *entry.MeanIfNS)
	require.EqualValues(t, 85e6, *entry.P95IfNS)
	require.InDelta(t, 1, *entry.FasterShare, 0)
	slower := answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?what_if_service=inventory&what_if_operation=reserve&what_if_factor=3").WhatIf
	require.EqualValues(t, -60e6, slower.Entries[0].AtMostNS)
	none := answerTo[openapi.PerformanceAnswer](t, h, "/traces/performance?what_if_service=nobody&what_if_operation=x").WhatIf
	require.Empty(t, none.Entries)
}

// inventory's failure went up to the frontend, which answered as if nothing had happened: there it was caught.
func TestErrorsAnswer(t *testing.T) {
	h := storedHandler(t, storedShop())
	got := answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors")
	require.EqualValues(t, 1, got.Failures)
	require.Len(t, got.Patterns, 1)
	p := got.Patterns[0]
	require.Equal(t, "inventory", p.Service)
	require.Equal(t, "reserve", p.Operation)
	require.EqualValues(t, 1, p.Count)
	require.Nil(t, p.New, "nothing was there before")
	require.Equal(t, []openapi.BefallenEntry{{Service: "frontend", Operation: "GET /cart", Count: 1, Share: 1, RequestsShare: 1}}, p.Entries)
	require.Equal(t, []string{knownID}, p.TraceIds)
	require.Equal(t, "KeyError", *p.Example.ErrorType)
	require.Equal(t, "no shelf", *p.Example.NormalizedMessage)
	require.Equal(t, openapi.Operation{Service: "inventory", Operation: "reserve"}, p.Example.Path[0])
	require.Equal(t, openapi.Operation{Service: "frontend", Operation: "GET /cart"}, p.Example.Path[len(p.Example.Path)-1])
	sum := int64(0)
	for _, point := range p.Points {
		sum += point.Count
	}
	require.EqualValues(t, 1, sum)
	require.LessOrEqual(t, len(p.Points), 30)

	require.Len(t, answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?service=inventory&fingerprint="+p.Fingerprint).Patterns, 1)
	require.Empty(t, answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?service=orders").Patterns)
	require.Empty(t, answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?entry=GET+/").Patterns)
	require.Contains(t, do(testHandler(&fakeStorage{}), get("/traces/errors")).Body.String(), `"patterns":[],"more":false,"failures":0`)
}

// Two patterns over two windows: one is new, one befalls two entries. The sample traces are gone.
func TestErrorPatterns(t *testing.T) {
	buy, look := operationNamed("web", "buy"), operationNamed("web", "look")
	at := func(minute int) time.Time { return testNow.Add(time.Duration(minute) * time.Minute) }
	h := testHandler(&fakeStorage{
		entries: []tracestore.EntryAggregate{{Operation: buy, Traces: 10}, {Operation: look, Traces: 40}},
		failures: func(query *tracestore.AggregateQuery) []tracestore.ErrorAggregate {
			if !query.End.After(at(-10)) {
				return []tracestore.ErrorAggregate{{Fingerprint: "aa", Operation: operationNamed("pay", "charge"), Entry: look, Count: 7}}
			}
			return []tracestore.ErrorAggregate{
				{Fingerprint: "aa", Operation: operationNamed("pay", "charge"), Entry: buy, Count: 20, First: at(-9), Last: at(-3), TraceIDs: []string{"no id"}},
				{Fingerprint: "bb", Operation: operationNamed("pay", "charge"), Entry: buy, Count: 30, First: at(-1), Last: at(-1)},
				{Fingerprint: "aa", Operation: operationNamed("pay", "charge"), Entry: look, Count: 20, First: at(-8), Last: at(-2), TraceIDs: []string{knownID}},
			}
		},
		completeness: tracestore.Completeness{Spans: 5},
	})
	got := answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?start=-10m")
	require.EqualValues(t, 70, got.Failures)
	require.EqualValues(t, 7, got.PreviousFailures)
	require.Equal(t, "aa", got.Patterns[0].Fingerprint)
	require.EqualValues(t, 40, got.Patterns[0].Count)
	require.EqualValues(t, 7, got.Patterns[0].PreviousCount)
	require.False(t, *got.Patterns[0].New)
	require.True(t, *got.Patterns[1].New)
	require.True(t, *got.Patterns[0].Rising, "40 of 50 requests, 7 of 50 before")
	require.Equal(t, formatInstant(at(-9)), got.Patterns[0].FirstSeen)
	require.Equal(t, formatInstant(at(-2)), got.Patterns[0].LastSeen)
	require.Equal(t, []openapi.BefallenEntry{
		{Service: "web", Operation: "buy", Count: 20, Share: 0.5, RequestsShare: 1}, {Service: "web", Operation: "look", Count: 20, Share: 0.5, RequestsShare: 0.5},
	}, got.Patterns[0].Entries)
	require.Len(t, got.Patterns[0].Points, 10)
	require.Nil(t, got.Patterns[0].Example)

	fresh := answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?start=-10m&new=true")
	require.Len(t, fresh.Patterns, 1)
	require.Equal(t, "bb", fresh.Patterns[0].Fingerprint)
	require.True(t, answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?start=-10m&limit=1").More)
	one := answerTo[openapi.ErrorsAnswer](t, h, "/traces/errors?start=-10m&entry=look").Patterns
	require.Len(t, one, 1)
	require.EqualValues(t, 20, one[0].Count)
}

func TestInsightsAnswer(t *testing.T) {
	h := storedHandler(t, storedShop())
	got := answerTo[openapi.InsightsAnswer](t, h, "/traces/insights?sample_time=5s")
	require.Empty(t, got.Insights, "one trace says nothing")
	require.Equal(t, openapi.Sample{Traces: 1, All: 1}, got.Sample)
	require.Equal(t, openapi.Sample{}, got.BaselineSample)
	require.Equal(t, "2026-01-02T10:00:00.000000000Z", got.BaselineWindow.Start)
	other := answerTo[openapi.InsightsAnswer](t, h, "/traces/insights?start=-1h&baseline=-25h&sample_time=0")
	require.Equal(t, "2026-01-01T11:00:00.000000000Z", other.BaselineWindow.Start)
	require.Equal(t, "2026-01-01T12:00:00.000000000Z", other.BaselineWindow.End)
	require.True(t, other.Sample.Cut)
	require.Len(t, other.Notes, 2)
	require.Contains(t, other.Notes[0], "baseline has no requests")
	require.Contains(t, other.Notes[1], "Only 0 of 1 traces")

	// A zone that fails: rollups know, and the search is asked for traces that show it.
	zone := func(name string, errors int64) tracestore.ContrastAggregate {
		return tracestore.ContrastAggregate{
			Entry: operationNamed("web", "GET /"), Service: "web", Key: "cloud.availability_zone", Value: name, Traces: 100, Errors: errors,
		}
	}
	var asked *tracestore.SearchQuery
	h = testHandler(&fakeStorage{
		operations: []tracestore.OperationAggregate{operationOf("web", "GET /", "server", 200, 51)},
		entries:    []tracestore.EntryAggregate{{Operation: operationNamed("web", "GET /"), Traces: 200}},
		contrasts:  []tracestore.ContrastAggregate{zone("a", 1), zone("b", 50)},
		search: func(_ context.Context, _ string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
			asked = query
			return tracestore.SearchPage{}, nil
		},
	})
	outliers := answerTo[openapi.InsightsAnswer](t, h, "/traces/insights?start=2026-01-02T11:30:00Z&kind=outlier_attribute").Insights
	require.Len(t, outliers, 1)
	require.Equal(t, &openapi.InsightAttribute{Key: "cloud.availability_zone", Value: "b"}, outliers[0].Attribute)
	require.EqualValues(t, 49, *outliers[0].SavingFailures)
	require.Equal(t, []tracestore.Conditions{
		{Span: tracestore.SpanConditions{Service: "web", Attributes: []tracestore.AttributeCondition{
			{Scope: tracestore.ScopeAny, Key: "cloud.availability_zone", Op: tracestore.OpEqual, Text: "b"},
		}}},
		{Trace: tracestore.TraceConditions{Entry: operationNamed("web", "GET /"), Errors: tracestore.CountRange{Min: 1}}},
	}, asked.Where.And)

	// A service that is not called by its name: rollups alone know, and no trace is there to show it.
	h = testHandler(&fakeStorage{
		operations: []tracestore.OperationAggregate{operationOf("web", "GET /", "server", 100, 0), operationOf("cart", "get", "server", 60, 0)},
		contexts:   []tracestore.ContextAggregate{{Parent: "web", Child: "cart", Calls: 60, Unanswered: 40}},
		entries:    []tracestore.EntryAggregate{{Operation: operationNamed("web", "GET /"), Traces: 100}},
		parts: []tracestore.EntryOperationAggregate{
			{Entry: operationNamed("web", "GET /"), Operation: operationNamed("cart", "get"), Traces: 60, Calls: 60, CriticalPathTime: 60},
		},
	})
	target := "/traces/insights?start=2026-01-02T11:30:00Z"
	of := answerTo[openapi.InsightsAnswer](t, h, target).Insights
	require.Len(t, of, 1)
	require.Equal(t, openapi.InsightKindContextLoss, of[0].Kind)
	require.Equal(t, []string{"web"}, of[0].Others)
	require.Equal(t, "/traces/services?end=2026-01-02T12%3A00%3A00.000000000Z&service=cart&start=2026-01-02T11%3A30%3A00.000000000Z", of[0].Details)
	require.Equal(t, []openapi.InsightEntry{{Service: "web", Operation: "GET /", Share: new(0.6)}}, of[0].Entries)
	for suffix, count := range map[string]int{
		"&service=cart": 1, "&service=web": 1, "&service=other": 0, "&kind=context_loss": 1, "&kind=suspect": 0,
		"&entry=GET+/": 1, "&entry=POST+/": 0, "&limit=1": 1,
	} {
		require.Len(t, answerTo[openapi.InsightsAnswer](t, h, target+suffix).Insights, count, suffix)
	}
}
