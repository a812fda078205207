package storetest

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Short for the cases below.
type (
	conditions = tracestore.Conditions
	onSpan     = tracestore.SpanConditions
	onTrace    = tracestore.TraceConditions
	attribute  = tracestore.AttributeCondition
	attributes = []tracestore.AttributeCondition
	structure  = tracestore.Structure
)

func child(above, below onSpan) structure {
	return structure{Above: above, Relation: tracestore.RelationChild, Below: below}
}

func descendant(above, below onSpan) structure {
	return structure{Above: above, Relation: tracestore.RelationDescendant, Below: below}
}

type conditionCase struct {
	name  string
	where conditions
	want  []byte
}

func runConditionCases(t *testing.T, store Store, cases []conditionCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			query := wholeDay()
			query.Where = test.where
			page := search(t, store, "", query)
			require.Equal(t, test.want, found(page))
			require.Equal(t, tracestore.Total{Count: len(test.want), Exact: true}, page.Total)
			require.Empty(t, page.NextCursor)
		})
	}
}

// testMoreOperators has the operators that testAttributeConditions has not.
func testMoreOperators(t *testing.T, store Store) {
	writeShop(t, store)
	on := func(c attribute) conditions { return conditions{Span: onSpan{Attributes: attributes{c}}} }
	const status = "http.response.status_code"
	runConditionCases(t, store, []conditionCase{
		{"at most", on(attribute{Key: status, Op: tracestore.OpLessEqual, Number: 200}), []byte{2}},
		{"at most, more", on(attribute{Key: status, Op: tracestore.OpLessEqual, Number: 500}), []byte{2, 1}},
		{"at least", on(attribute{Key: status, Op: tracestore.OpGreaterEqual, Number: 500}), []byte{1}},
		{"at least, less", on(attribute{Key: status, Op: tracestore.OpGreaterEqual, Number: 200.5}), []byte{1}},
		{"not a number", on(attribute{Key: "user", Op: tracestore.OpGreaterEqual, Number: -1e300}), []byte{}},
		{"not there", on(attribute{Key: "user", Op: tracestore.OpNotExists}), []byte{3, 1}},
		{"not there, on the span", on(attribute{Scope: tracestore.ScopeSpan, Key: "region", Op: tracestore.OpNotExists}), []byte{3, 2, 1}},
		{"not there, on the resource", on(attribute{Scope: tracestore.ScopeResource, Key: "region", Op: tracestore.OpNotExists}), []byte{1}},
		{"an unknown operator", on(attribute{Key: "user", Op: "like", Text: "ann"}), []byte{}},
		{"a regex with none", on(attribute{Key: "user", Op: tracestore.OpRegex}), []byte{}},
		{"a regex on a resource", on(attribute{Scope: tracestore.ScopeResource, Key: "region", Op: tracestore.OpRegex, Regex: regexp.MustCompile("^u")}), []byte{2}},
		{"a regex on a number", on(attribute{Key: status, Op: tracestore.OpRegex, Regex: regexp.MustCompile("^5..$")}), []byte{1}},
	})
}

// testSpanTree has trees on one span.
func testSpanTree(t *testing.T, store Store) {
	writeShop(t, store)
	failed, fine := onSpan{Errors: pointer(true)}, onSpan{Errors: pointer(false)}
	on := func(c onSpan) conditions { return conditions{Span: c} }
	runConditionCases(t, store, []conditionCase{
		{"and", on(onSpan{And: []onSpan{{Service: "stock"}, failed}}), []byte{1}},
		{"and, of two spans", on(onSpan{And: []onSpan{{Service: "shop"}, failed}}), []byte{}},
		{"or", on(onSpan{Or: []onSpan{{Service: "mail"}, {Operation: "GET /home"}}}), []byte{3, 2}},
		{"or with what stands beside it", on(onSpan{Service: "shop", Or: []onSpan{{Operation: "GET /home"}, {Operation: "SELECT"}}}), []byte{2}},
		{"and of ors", on(onSpan{And: []onSpan{
			{Or: []onSpan{{Service: "stock"}, {Service: "mail"}}},
			{Or: []onSpan{{Kind: pointer(ptrace.SpanKindProducer)}, {Kind: pointer(ptrace.SpanKindServer)}}},
		}}), []byte{3}},
		{"not", on(onSpan{Not: &onSpan{Service: "shop"}}), []byte{3, 1}},
		{"not, with what stands beside it", on(onSpan{Service: "shop", Not: &onSpan{Attributes: attributes{{Key: "user", Op: tracestore.OpEqual, Text: "ann"}}}}), []byte{2}},
		{"not not", on(onSpan{Not: &onSpan{Not: &onSpan{Service: "stock"}}}), []byte{1}},
		{"not of all there is", on(onSpan{Not: &onSpan{}}), []byte{}},
		{"not of an or", on(onSpan{Not: &onSpan{Or: []onSpan{{Service: "shop"}, {Service: "stock"}}}}), []byte{3}},
		{"not of several", on(onSpan{Not: &onSpan{Service: "shop", Operation: "GET /cart"}}), []byte{3, 2, 1}},
		{"nothing in an and", on(onSpan{And: []onSpan{{}}}), []byte{3, 2, 1}},
		{"nothing in an or", on(onSpan{Or: []onSpan{{Service: "nobody"}, {}}}), []byte{3, 2, 1}},
		{"fine spans of a failed trace", on(onSpan{And: []onSpan{fine, {Service: "shop"}}}), []byte{2, 1}},
	})
}

// testTraceTree has trees on the trace.
func testTraceTree(t *testing.T, store Store) {
	writeShop(t, store)
	failed := conditions{Span: onSpan{Errors: pointer(true)}}
	service := func(name string) conditions { return conditions{Span: onSpan{Service: name}} }
	rare := conditions{Span: onSpan{Attributes: attributes{{Key: "user", Op: tracestore.OpEqual, Text: "ann"}}}}
	runConditionCases(t, store, []conditionCase{
		{"and, of two spans", conditions{And: []conditions{service("shop"), failed}}, []byte{1}},
		{"and, with what stands beside it", conditions{Trace: onTrace{Outcome: "complete"}, And: []conditions{service("stock")}}, []byte{1}},
		{"or", conditions{Or: []conditions{service("mail"), service("stock")}}, []byte{3, 1}},
		{"or, with what stands beside it", conditions{Span: onSpan{Errors: pointer(true)}, Or: []conditions{service("shop"), service("nobody")}}, []byte{1}},
		{"not on any span", conditions{Not: pointer(service("shop"))}, []byte{3}},
		{"not of what only spans tell", conditions{Not: &rare}, []byte{3, 2}},
		{"not of a row's", conditions{Not: &conditions{Trace: onTrace{MinDuration: 100 * time.Millisecond}}}, []byte{2}},
		{"not of everything", conditions{Not: &conditions{}}, []byte{}},
		{"not not", conditions{Not: &conditions{Not: &rare}}, []byte{1}},
		{"neither", conditions{Not: &conditions{Or: []conditions{service("mail"), rare}}}, []byte{2}},
		{"not both", conditions{Not: &conditions{And: []conditions{service("shop"), failed}}}, []byte{3, 2}},
		{"a span's or a trace's", conditions{Or: []conditions{rare, {Trace: onTrace{Outcome: "timeout"}}}}, []byte{3, 1}},
		{"deep", conditions{And: []conditions{{Or: []conditions{{And: []conditions{{Not: &conditions{Or: []conditions{service("mail")}}}, failed}}}}}}, []byte{1}},
	})
}

// testMoreTraceConditions has services and counts.
func testMoreTraceConditions(t *testing.T, store Store) {
	writeShop(t, store)
	on := func(c onTrace) conditions { return conditions{Trace: c} }
	runConditionCases(t, store, []conditionCase{
		{"services", on(onTrace{Services: []string{"shop"}}), []byte{2, 1}},
		{"all of them", on(onTrace{Services: []string{"stock", "shop"}}), []byte{1}},
		{"one that is not there", on(onTrace{Services: []string{"stock", "mail"}}), []byte{}},
		{"any errors", on(onTrace{Errors: tracestore.CountRange{Min: 1}}), []byte{3, 1}},
		{"no errors", on(onTrace{Errors: tracestore.CountRange{Max: pointer(0)}}), []byte{2}},
		{"many errors", on(onTrace{Errors: tracestore.CountRange{Min: 2}}), []byte{}},
		{"spans, at least", on(onTrace{Spans: tracestore.CountRange{Min: 2}}), []byte{1}},
		{"spans, at most", on(onTrace{Spans: tracestore.CountRange{Max: pointer(1)}}), []byte{3, 2}},
		{"spans, exactly", on(onTrace{Spans: tracestore.CountRange{Min: 1, Max: pointer(1)}, Services: []string{"mail"}}), []byte{3}},
		{"negative bounds", on(onTrace{Spans: tracestore.CountRange{Min: -5}, Errors: tracestore.CountRange{Max: pointer(-1)}}), []byte{}},
	})
}

// testStructure stores six traces, s for shop, k for stock, d for a database:
//
//	1  s ─ k ─ d (failed)     2  s ─ d     3  k ─ s     4  s, d (whose parent is missing)     5  s ─ s ─ d     6  s ─ k, and d beside k
func testStructure(t *testing.T, store Store) {
	at := func(trace, id, parent byte, service string) span {
		from := time.Duration(trace)*time.Second + time.Duration(id)*time.Millisecond
		return span{trace: trace, id: id, parent: parent, service: service, name: "work", from: from, to: from + time.Millisecond}
	}
	select1 := at(1, 3, 2, "d")
	select1.failed = true
	write(t, store, explained(call(
		at(1, 1, 0, "s"), at(1, 2, 1, "k"), select1,
		at(2, 1, 0, "s"), at(2, 2, 1, "d"),
		at(3, 1, 0, "k"), at(3, 2, 1, "s"),
		at(4, 1, 0, "s"), at(4, 2, 9, "d"),
		at(5, 1, 0, "s"), at(5, 2, 1, "s"), at(5, 3, 2, "d"),
		at(6, 1, 0, "s"), at(6, 2, 1, "k"), at(6, 3, 1, "d"),
	)))
	s, k, d := onSpan{Service: "s"}, onSpan{Service: "k"}, onSpan{Service: "d"}
	has := func(list ...structure) conditions { return conditions{Structure: list} }
	runConditionCases(t, store, []conditionCase{
		{"descendant", has(descendant(s, d)), []byte{6, 5, 2, 1}},
		{"child", has(child(s, d)), []byte{6, 5, 2}},
		{"child below a root", has(child(k, d)), []byte{1}},
		{"the other way round", has(descendant(d, s)), []byte{}},
		{"of one kind", has(descendant(s, s)), []byte{5}},
		{"anything below", has(child(k, onSpan{})), []byte{3, 1}},
		{"anything above", has(descendant(onSpan{}, d)), []byte{6, 5, 2, 1}},
		{"a failed one below", has(descendant(s, onSpan{Service: "d", Errors: pointer(true)})), []byte{1}},
		{"two at once", has(child(s, k), child(k, d)), []byte{1}},
		{"two of different spans", has(child(s, k), child(s, d)), []byte{6}},
		{"not", conditions{Not: pointer(has(descendant(s, d)))}, []byte{4, 3}},
		{"with a span tree", has(child(s, onSpan{Or: []onSpan{k, d}})), []byte{6, 5, 2, 1}},
		{"an unknown relation", has(structure{Above: s, Relation: "cousin", Below: d}), []byte{}},
		{"or", conditions{Or: []conditions{has(child(k, s)), has(child(k, d))}}, []byte{3, 1}},
	})
}

// testJoinedConditions has a trace in three releases, of which each condition needs another, and a fragment whose parent comes last.
func testJoinedConditions(t *testing.T, store Store) {
	root := span{trace: 1, id: 1, service: "shop", name: "GET /cart", kind: ptrace.SpanKindServer, to: 100 * time.Millisecond, version: 1, outcome: "quiet"}
	late := span{trace: 1, id: 3, parent: 2, service: "db", name: "SELECT", from: 20 * time.Millisecond, to: 30 * time.Millisecond, failed: true, version: 2, outcome: "late", attributes: map[string]any{"rows": 3}}
	middle := span{trace: 1, id: 2, parent: 1, service: "stock", name: "take", from: 10 * time.Millisecond, to: 150 * time.Millisecond, version: 3, outcome: "late"}
	again := root // the same span once more, with an attribute that does not count
	again.attributes, again.version, again.outcome = map[string]any{"late": true}, 4, "late"

	whole := conditions{
		Structure: []structure{descendant(onSpan{Service: "shop"}, onSpan{Service: "db"})},
		Trace:     onTrace{Services: []string{"shop", "stock", "db"}, Spans: tracestore.CountRange{Min: 3, Max: pointer(3)}, MinDuration: 150 * time.Millisecond},
		And: []conditions{
			{Span: onSpan{Attributes: attributes{{Key: "rows", Op: tracestore.OpLess, Number: 4}}}},
			{Span: onSpan{Operation: "GET /cart"}},
		},
	}
	query := wholeDay()
	query.Where = whole
	for _, next := range []span{root, late, middle} {
		require.Empty(t, found(search(t, store, "", query)), "before "+next.name)
		write(t, store, explained(call(next)))
	}
	require.Equal(t, []byte{1}, found(search(t, store, "", query)))
	write(t, store, explained(call(again)), explained(call(late))) // the second is the call from before
	runConditionCases(t, store, []conditionCase{
		{"all of it", whole, []byte{1}},
		{"a repeated span counts once", conditions{Trace: onTrace{Spans: tracestore.CountRange{Min: 4}}}, []byte{}},
		{"of a repeated span the first counts", conditions{Span: onSpan{Attributes: attributes{{Key: "late", Op: tracestore.OpExists}}}}, []byte{}},
		{"parent and child of two releases", conditions{Structure: []structure{child(onSpan{Service: "stock"}, onSpan{Service: "db"})}}, []byte{1}},
		{"the outcome of the trace", conditions{Trace: onTrace{Outcome: "quiet"}}, []byte{1}},
	})
}

// testHostileConditions asks for what nobody sends, of a span that nobody sends.
func testHostileConditions(t *testing.T, store Store) {
	long := string(make([]byte, 5000))
	write(t, store, explained(call(
		span{
			trace: 1, id: 1, service: "s\xff", name: "n\x00", kind: 77, from: time.Second, to: 0, attributes: map[string]any{
				"": "empty", "\xff": "\xfe", "long": long, "list": []any{1, "x"}, "map": map[string]any{"a": []any{}}, "bytes": []byte{1, 2},
				"none": nil, "big": int64(1) << 62,
			},
		},
		span{trace: 1, id: 1, parent: 1, service: long, name: long}, // of the same id, and its own parent
	)))
	write(t, store, explained(call(lone(2, time.Minute))))
	on := func(c attribute) conditions { return conditions{Span: onSpan{Attributes: attributes{c}}} }
	equal := func(key, text string) conditions {
		return on(attribute{Key: key, Op: tracestore.OpEqual, Text: text})
	}
	runConditionCases(t, store, []conditionCase{
		{"an empty key", equal("", "empty"), []byte{1}},
		{"bytes that are no text", equal("\xff", "\xfe"), []byte{1}},
		{"a long value", equal("long", long), []byte{1}},
		{"a list", equal("list", `[1,"x"]`), []byte{1}},
		{"a map", equal("map", `{"a":[]}`), []byte{1}},
		{"bytes", equal("bytes", "AQI="), []byte{1}},
		{"an empty value", equal("none", ""), []byte{1}},
		{"a large number", on(attribute{Key: "big", Op: tracestore.OpGreater, Number: 4e18}), []byte{1}},
		{"services", conditions{Trace: onTrace{Services: []string{"s\xff", long}}}, []byte{1}},
		{"operations", conditions{And: []conditions{{Span: onSpan{Operation: "n\x00"}}, {Span: onSpan{Operation: long}}}}, []byte{1}},
		{"another unknown kind", conditions{Span: onSpan{Kind: pointer(ptrace.SpanKind(78))}}, []byte{}},
		{"a negative duration is none", conditions{Span: onSpan{MinDuration: 1, Service: "s\xff"}}, []byte{}},
		{"below itself", conditions{Structure: []structure{descendant(onSpan{Service: long}, onSpan{Service: long})}}, []byte{}},
	})
	unknownKind, others := []byte{1}, []byte{2}
	if lossesOf(store).has(LostUnknownNumbers) {
		unknownKind, others = []byte{}, []byte{2, 1}
	}
	runConditionCases(t, store, []conditionCase{
		{"an unknown kind", conditions{Span: onSpan{Kind: pointer(ptrace.SpanKind(77))}}, unknownKind},
		{"not an unknown kind", conditions{Not: &conditions{Span: onSpan{Kind: pointer(ptrace.SpanKind(77))}}}, others},
	})
	tower := conditions{Span: onSpan{Service: "shop"}}
	for range tracestore.MaxDepth - 1 {
		tower = conditions{Not: pointer(tower)}
	}
	query := wholeDay()
	query.Where = tower // shop under an odd number of nots
	require.Equal(t, []byte{1}, found(search(t, store, "", query)))
}
