package storetest

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// writeShop stores three traces:
//
//	1  shop GET /cart 100 ms ─ stock SELECT 60 ms, failed
//	2  shop GET /home 20 ms
//	3  mail send 1 s, failed
func writeShop(t *testing.T, store tracestore.Writer) {
	write(t, store, explained(call(
		span{
			trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, from: 0, to: 100 * time.Millisecond,
			version: 1, outcome: "complete", attributes: map[string]any{
				"http.response.status_code": 500, "user": "ann", "level": "7", "ratio": 0.5, "on": true,
				conventions.AttrService: "shop-normalised", conventions.AttrOperation: "GET /{page}",
			},
			resource: map[string]any{"region": "eu", "user": "nobody"},
		},
		span{
			trace: 1, id: 2, parent: 1, service: "stock", name: "SELECT", kind: ptrace.SpanKindClient, from: 20 * time.Millisecond, to: 80 * time.Millisecond,
			failed: true, attributes: map[string]any{"db.system.name": "sqlite", "tags": []any{"a", "b"}},
		},
		span{
			trace: 2, id: 1, service: "shop", name: "GET /home", kind: ptrace.SpanKindServer, from: time.Millisecond, to: 21 * time.Millisecond,
			version: 1, outcome: "quiet", attributes: map[string]any{"http.response.status_code": 200, "user": "bob", "level": "x"},
			resource: map[string]any{"region": "us"},
		},
		span{
			trace: 3, id: 1, service: "mail", name: "send", kind: ptrace.SpanKindProducer, from: 2 * time.Millisecond, to: 1002 * time.Millisecond,
			version: 1, outcome: "timeout", failed: true, resource: map[string]any{"region": "eu"},
		},
	)))
}

func pointer[T any](v T) *T { return &v }

func testSpanConditions(t *testing.T, store Store) {
	writeShop(t, store)
	for _, test := range []struct {
		name string
		span tracestore.SpanConditions
		want []byte
	}{
		{"none", tracestore.SpanConditions{}, []byte{3, 2, 1}},
		{"service", tracestore.SpanConditions{Service: "shop"}, []byte{2, 1}},
		{"service of a child", tracestore.SpanConditions{Service: "stock"}, []byte{1}},
		{"unknown service", tracestore.SpanConditions{Service: "sho"}, []byte{}},
		{"operation", tracestore.SpanConditions{Operation: "GET /cart"}, []byte{1}},
		{"operation of a child", tracestore.SpanConditions{Operation: "SELECT"}, []byte{1}},
		{"unknown operation", tracestore.SpanConditions{Operation: "get /cart"}, []byte{}},
		{"kind", tracestore.SpanConditions{Kind: pointer(ptrace.SpanKindServer)}, []byte{2, 1}},
		{"kind of a child", tracestore.SpanConditions{Kind: pointer(ptrace.SpanKindClient)}, []byte{1}},
		{"no such kind", tracestore.SpanConditions{Kind: pointer(ptrace.SpanKindConsumer)}, []byte{}},
		{"kind unspecified is a kind", tracestore.SpanConditions{Kind: pointer(ptrace.SpanKindUnspecified)}, []byte{}},
		{"category", tracestore.SpanConditions{Category: conventions.CategoryDatabaseOperation}, []byte{1}},
		{"shortest", tracestore.SpanConditions{MinDuration: 100 * time.Millisecond}, []byte{3, 1}},
		{"shortest, inclusive", tracestore.SpanConditions{MinDuration: time.Second}, []byte{3}},
		{"longest", tracestore.SpanConditions{MaxDuration: 20 * time.Millisecond}, []byte{2}},
		{"longest, of a child", tracestore.SpanConditions{MaxDuration: 60 * time.Millisecond}, []byte{2, 1}},
		{"between", tracestore.SpanConditions{MinDuration: 30 * time.Millisecond, MaxDuration: 90 * time.Millisecond}, []byte{1}},
		{"errors", tracestore.SpanConditions{Errors: pointer(true)}, []byte{3, 1}},
		{"no errors", tracestore.SpanConditions{Errors: pointer(false)}, []byte{2, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			query := wholeDay()
			query.Where.Span = test.span
			page := search(t, store, "", query)
			require.Equal(t, test.want, found(page))
			require.Equal(t, tracestore.Total{Count: len(test.want), Exact: true}, page.Total)
			require.Empty(t, page.NextCursor)
		})
	}
}

func testAttributeConditions(t *testing.T, store Store) {
	writeShop(t, store)
	for _, test := range []struct {
		name string
		attr tracestore.AttributeCondition
		want []byte
	}{
		{"equal", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpEqual, Text: "ann"}, []byte{1}},
		{"equal to a number", tracestore.AttributeCondition{Key: "http.response.status_code", Op: tracestore.OpEqual, Text: "500"}, []byte{1}},
		{"equal to a truth", tracestore.AttributeCondition{Key: "on", Op: tracestore.OpEqual, Text: "true"}, []byte{1}},
		{"equal to a list", tracestore.AttributeCondition{Key: "tags", Op: tracestore.OpEqual, Text: `["a","b"]`}, []byte{1}},
		{"the span's hides the resource's", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpEqual, Text: "nobody"}, []byte{}},
		{"resource", tracestore.AttributeCondition{Key: "region", Op: tracestore.OpEqual, Text: "eu"}, []byte{3, 1}},
		{"only resource", tracestore.AttributeCondition{Scope: tracestore.ScopeResource, Key: "user", Op: tracestore.OpEqual, Text: "nobody"}, []byte{1}},
		{"only span", tracestore.AttributeCondition{Scope: tracestore.ScopeSpan, Key: "region", Op: tracestore.OpExists}, []byte{}},
		{"not equal wants it there", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpNotEqual, Text: "ann"}, []byte{2}},
		{"less", tracestore.AttributeCondition{Key: "http.response.status_code", Op: tracestore.OpLess, Number: 500}, []byte{2}},
		{"greater", tracestore.AttributeCondition{Key: "http.response.status_code", Op: tracestore.OpGreater, Number: 499.5}, []byte{1}},
		{"greater is strict", tracestore.AttributeCondition{Key: "http.response.status_code", Op: tracestore.OpGreater, Number: 500}, []byte{}},
		{"less, a double", tracestore.AttributeCondition{Key: "ratio", Op: tracestore.OpLess, Number: 0.6}, []byte{1}},
		{"text that reads as a number", tracestore.AttributeCondition{Key: "level", Op: tracestore.OpGreater, Number: -1e9}, []byte{1}},
		{"a truth is no number", tracestore.AttributeCondition{Key: "on", Op: tracestore.OpGreater, Number: -1}, []byte{}},
		{"exists", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpExists}, []byte{2, 1}},
		{"does not exist", tracestore.AttributeCondition{Key: "User", Op: tracestore.OpExists}, []byte{}},
		{"regex", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpRegex, Regex: regexp.MustCompile("^[a-b]")}, []byte{2, 1}},
		{"regex is not anchored", tracestore.AttributeCondition{Key: "user", Op: tracestore.OpRegex, Regex: regexp.MustCompile("o")}, []byte{2}},
		{"an annotation", tracestore.AttributeCondition{Key: conventions.AttrOutcome, Op: tracestore.OpEqual, Text: "timeout"}, []byte{3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			query := wholeDay()
			query.Where.Span.Attributes = []tracestore.AttributeCondition{test.attr}
			page := search(t, store, "", query)
			require.Equal(t, test.want, found(page))
			require.Equal(t, tracestore.Total{Count: len(test.want), Exact: true}, page.Total)
		})
	}
}

func testSameSpan(t *testing.T, store Store) {
	writeShop(t, store)
	for _, test := range []struct {
		name string
		span tracestore.SpanConditions
		want []byte
	}{
		{"service and its failure", tracestore.SpanConditions{Service: "stock", Errors: pointer(true)}, []byte{1}},
		{"service and another's failure", tracestore.SpanConditions{Service: "shop", Errors: pointer(true)}, []byte{}},
		{"service and another's operation", tracestore.SpanConditions{Service: "shop", Operation: "SELECT"}, []byte{}},
		{"service and another's duration", tracestore.SpanConditions{Service: "stock", MinDuration: 61 * time.Millisecond}, []byte{}},
		{
			"attributes of two spans",
			tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{
				{Key: "user", Op: tracestore.OpExists}, {Key: "db.system.name", Op: tracestore.OpExists},
			}},
			[]byte{},
		},
		{
			"everything at once",
			tracestore.SpanConditions{
				Service: "stock", Operation: "SELECT", Kind: pointer(ptrace.SpanKindClient), Category: conventions.CategoryDatabaseOperation,
				MinDuration: 60 * time.Millisecond, MaxDuration: 60 * time.Millisecond, Errors: pointer(true),
				Attributes: []tracestore.AttributeCondition{{Key: "db.system.name", Op: tracestore.OpEqual, Text: "sqlite"}},
			},
			[]byte{1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			query := wholeDay()
			query.Where.Span = test.span
			require.Equal(t, test.want, found(search(t, store, "", query)))
		})
	}
}

func testTraceConditions(t *testing.T, store Store) {
	writeShop(t, store)
	for _, test := range []struct {
		name  string
		trace tracestore.TraceConditions
		span  tracestore.SpanConditions
		want  []byte
	}{
		{name: "entry service", trace: tracestore.TraceConditions{Entry: tracestore.Operation{Service: "mail"}}, want: []byte{3}},
		{name: "a service that is no entry", trace: tracestore.TraceConditions{Entry: tracestore.Operation{Service: "stock"}}, want: []byte{}},
		{name: "entry operation", trace: tracestore.TraceConditions{Entry: tracestore.Operation{Operation: "GET /home"}}, want: []byte{2}},
		{name: "outcome", trace: tracestore.TraceConditions{Outcome: "timeout"}, want: []byte{3}},
		{name: "shortest", trace: tracestore.TraceConditions{MinDuration: 100 * time.Millisecond}, want: []byte{3, 1}},
		{name: "longest", trace: tracestore.TraceConditions{MaxDuration: 100 * time.Millisecond}, want: []byte{2, 1}},
		{
			name: "with a span's", trace: tracestore.TraceConditions{MinDuration: 100 * time.Millisecond},
			span: tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "region", Op: tracestore.OpEqual, Text: "eu"}}, MaxDuration: 999 * time.Millisecond},
			want: []byte{1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			query := wholeDay()
			query.Where.Trace, query.Where.Span = test.trace, test.span
			page := search(t, store, "", query)
			require.Equal(t, test.want, found(page))
			require.Equal(t, tracestore.Total{Count: len(test.want), Exact: true}, page.Total)
		})
	}
}

func testWindow(t *testing.T, store Store) {
	for n := range byte(4) {
		write(t, store, explained(call(lone(n, time.Duration(n)))))
	}
	query := &tracestore.SearchQuery{Start: start.Add(1), End: start.Add(3), Limit: 10}
	page := search(t, store, "", query)
	require.Equal(t, []byte{2, 1}, found(page))
	require.Equal(t, tracestore.Total{Count: 2, Exact: true}, page.Total)
	query.Start, query.End = start.Add(3), start.Add(3)
	require.Empty(t, found(search(t, store, "", query)))
	query.Start, query.End = time.Time{}, start.Add(1)
	require.Equal(t, []byte{0}, found(search(t, store, "", query)))
	query.Start, query.End = start.Add(3), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, []byte{3}, found(search(t, store, "", query)))
}

// testClampedStart stores traces whose clocks are years off; their rows keep what the sender said.
func testClampedStart(t *testing.T, store Store) {
	const year = 365 * 24 * time.Hour
	write(t, store, explained(call(lone(1, -10*year), lone(2, 0), lone(3, 10*year))))
	query := &tracestore.SearchQuery{Start: now.Add(-retention), End: now.Add(-retention + 1), Limit: 10}
	page := search(t, store, "", query)
	require.Equal(t, []byte{1}, found(page))
	require.Equal(t, start.Add(-10*year).UnixNano(), page.Traces[0].Start)
	query.Start, query.End = now.Add(time.Hour), now.Add(time.Hour+1)
	require.Equal(t, []byte{3}, found(search(t, store, "", query)))
	query.Start, query.End = now.Add(-retention), now.Add(time.Hour)
	require.Equal(t, []byte{2, 1}, found(search(t, store, "", query)))
}

func testOrder(t *testing.T, store Store) {
	for _, n := range []byte{3, 1, 4, 5, 2} {
		write(t, store, explained(call(lone(n, time.Duration(n/2)*time.Minute)))) // 1 | 2, 3 | 4, 5 start together
	}
	require.Equal(t, []byte{5, 4, 3, 2, 1}, found(search(t, store, "", wholeDay())))
}
