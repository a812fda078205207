package clickhousestore

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// A predicate is what SQL can say of a condition. The condition implies over, and under implies the condition; where both are the same
// text, it is the condition. (A condition's spans and row are those that Trace and Search answer.)
type predicate struct{ over, under string }

var (
	always = predicate{"1", "1"}
	never  = predicate{"0", "0"}
)

func exactly(sql string) predicate { return predicate{sql, sql} }

func (p predicate) exact() bool { return p.over == p.under }

func (p predicate) not() predicate { return predicate{"NOT " + p.under, "NOT " + p.over} }

// allOf holds where all do, and anyOf where one does.
func allOf(list []predicate) predicate { return joined(list, " AND ", "1", "0") }
func anyOf(list []predicate) predicate { return joined(list, " OR ", "0", "1") }

// joined puts the texts together; neutral ones are left out, and an absorbing one says it all.
func joined(list []predicate, operator, neutral, absorbing string) predicate {
	join := func(side func(predicate) string) string {
		var parts []string
		for _, p := range list {
			switch text := side(p); text {
			case neutral:
			case absorbing:
				return absorbing
			default:
				parts = append(parts, text)
			}
		}
		switch len(parts) {
		case 0:
			return neutral
		case 1:
			return parts[0]
		}
		return "(" + strings.Join(parts, operator) + ")"
	}
	return predicate{join(func(p predicate) string { return p.over }), join(func(p predicate) string { return p.under })}
}

// compiler makes predicates on the rows of traces (see rowColumns) out of conditions, and binds their values.
type compiler struct {
	values parameters
	// inSet is the condition that the trace has a span in the window on which more holds.
	inSet func(more string) string
	// sums says that the row is put together from several releases: what counts spans, or is of the whole, is known only from all
	// spans, of which some may be repeated.
	sums bool
	// withoutRegex leaves regular expressions to the filter.
	withoutRegex bool
	// sets are the conditions that all of whole says on spans, each on one: who reads rows asks for them first, and once.
	sets []string
	// withoutHints leaves out the index of attributes by operation, which takes the server longer to plan than to read some ten thousand spans.
	withoutHints bool
	// either says that something of them may lead over one index or another.
	either bool
}

// ofSums weakens a predicate to what is certain of a trace of several releases.
func (c *compiler) ofSums(p predicate) predicate {
	if c.sums {
		p.under = "0"
	}
	return p
}

// all compiles the whole of a query's conditions; what its sets say is left out of the predicate.
func (c *compiler) all(where *tracestore.Conditions) predicate {
	rest := *where
	rest.Span = tracestore.SpanConditions{}
	list := []predicate{c.setOf(&where.Span)}
	rest.And = nil
	for i := range where.And {
		list = append(list, c.all(&where.And[i]))
	}
	return allOf(append(list, c.conditions(&rest)))
}

// setOf adds what holds on some span to the sets, if the row does not know it, and answers what is left to say.
func (c *compiler) setOf(conditions *tracestore.SpanConditions) predicate {
	if p, ok := c.byRow(conditions); ok {
		return c.ofSums(p)
	}
	if c.sums {
		return predicate{"1", "0"} // the sets are those of the rows that are whole
	}
	holds := c.span(conditions)
	if holds.over == "0" {
		return never
	}
	c.sets = append(c.sets, holds.over)
	if holds.exact() {
		return always
	}
	return predicate{"1", "0"}
}

func (c *compiler) conditions(where *tracestore.Conditions) predicate {
	list := []predicate{c.someSpan(&where.Span), c.trace(&where.Trace)}
	for i := range where.Structure {
		s := &where.Structure[i]
		list = append(list, allOf([]predicate{c.someSpan(&s.Above), c.someSpan(&s.Below), {"1", "0"}}))
	}
	for i := range where.And {
		list = append(list, c.conditions(&where.And[i]))
	}
	if len(where.Or) > 0 {
		list = append(list, c.anyConditions(where.Or))
	}
	if where.Not != nil {
		list = append(list, c.conditions(where.Not).not())
	}
	return allOf(list)
}

// anyConditions holds where one does. Those that ask for a span of one kind or another are one question for a span: there may be
// hundreds, and each would read the spans.
func (c *compiler) anyConditions(list []tracestore.Conditions) predicate {
	var branches []predicate
	var span tracestore.SpanConditions
	for i := range list {
		of := &list[i]
		rest := *of
		rest.Span = tracestore.SpanConditions{}
		if _, ok := c.byRow(&of.Span); ok || !reflect.ValueOf(rest).IsZero() {
			branches = append(branches, c.conditions(of))
		} else {
			span.Or = append(span.Or, of.Span)
		}
	}
	if len(span.Or) > 0 {
		branches = append(branches, c.someSpan(&span))
	}
	return anyOf(branches)
}

// someSpan is whether everything holds on one of the trace's spans.
func (c *compiler) someSpan(conditions *tracestore.SpanConditions) predicate {
	if p, ok := c.byRow(conditions); ok {
		return c.ofSums(p)
	}
	holds := c.span(conditions)
	in := func(sql string) string {
		if sql == "0" {
			return sql
		}
		return c.inSet(sql)
	}
	return c.ofSums(predicate{in(holds.over), in(holds.under)})
}

// byRow is for conditions of which the row knows whether any span meets them: nothing, or one thing alone.
func (c *compiler) byRow(conditions *tracestore.SpanConditions) (predicate, bool) {
	only := func(without func(rest *tracestore.SpanConditions)) bool {
		rest := *conditions
		without(&rest)
		return rest.Empty()
	}
	switch {
	case conditions.Empty():
		return always, true
	case only(func(rest *tracestore.SpanConditions) { rest.Service = "" }):
		name := c.values.text(conditions.Service)
		return exactly("(has(services, " + name + ") OR has(senders, " + name + "))"), true
	case only(func(rest *tracestore.SpanConditions) { rest.Kind = nil }):
		if *conditions.Kind < 0 || *conditions.Kind > ptrace.SpanKindConsumer {
			return never, true
		}
		return exactly("bitTest(kinds, " + strconv.Itoa(int(*conditions.Kind)) + ")"), true
	case only(func(rest *tracestore.SpanConditions) { rest.Errors = nil }):
		return exactly(map[bool]string{true: "failed", false: "fine"}[*conditions.Errors]), true
	case only(func(rest *tracestore.SpanConditions) { rest.MinDuration = 0 }):
		return exactly("longest >= " + c.values.int(int64(conditions.MinDuration))), true
	}
	return predicate{}, false
}

func (c *compiler) trace(conditions *tracestore.TraceConditions) predicate {
	var row []string
	add := func(condition bool, sql func() string) {
		if condition {
			row = append(row, sql())
		}
	}
	bound := func(column string, operator string, n int) func() string {
		return func() string { return column + operator + c.values.int(int64(n)) }
	}
	add(conditions.Entry.Service != "", func() string { return "entry.3 = " + c.values.text(conditions.Entry.Service) })
	add(conditions.Entry.Operation != "", func() string { return "entry.4 = " + c.values.text(conditions.Entry.Operation) })
	add(conditions.Outcome != "", func() string { return "outcome.5 = " + c.values.text(conditions.Outcome) })
	add(conditions.MinDuration > 0, bound("lasting", " >= ", int(conditions.MinDuration)))
	add(conditions.MaxDuration > 0, bound("lasting", " <= ", int(conditions.MaxDuration)))
	for column, count := range map[string]tracestore.CountRange{"spans": conditions.Spans, "errors": conditions.Errors} {
		add(count.Min > 0, bound("toInt64("+column+")", " >= ", count.Min))
		if count.Max != nil {
			row = append(row, bound("toInt64("+column+")", " <= ", *count.Max)())
		}
	}
	list := make([]predicate, 0, len(row)+len(conditions.Services))
	for _, sql := range row {
		if c.sums {
			list = append(list, predicate{"1", "0"})
		} else {
			list = append(list, exactly(sql))
		}
	}
	for _, service := range conditions.Services {
		list = append(list, c.someSpan(&tracestore.SpanConditions{Service: service}))
	}
	return allOf(list)
}

// span is whether everything holds on a row of otel_traces.
func (c *compiler) span(conditions *tracestore.SpanConditions) predicate {
	var list []predicate
	add := func(sql string) { list = append(list, exactly(sql)) }
	operation := ""
	if conditions.Service != "" && conditions.Operation != "" {
		operation = "cityHash64(" + c.values.text(conditions.Service) + ", " + c.values.text(conditions.Operation) + ")"
		add("has(OperationNames, " + operation + ")")
	} else if conditions.Service != "" {
		name := c.values.text(conditions.Service)
		add("(Service = " + name + " OR Sender = " + name + ")")
	} else if conditions.Operation != "" {
		name := c.values.text(conditions.Operation)
		add("(Operation = " + name + " OR SpanName = " + name + ")")
	}
	if conditions.Kind != nil {
		list = append(list, spanKind(*conditions.Kind))
	}
	if conditions.Category != "" {
		add("Category = " + c.values.text(conditions.Category))
	}
	if conditions.Errors != nil {
		add(map[bool]string{true: "Failed", false: "NOT Failed"}[*conditions.Errors])
	}
	if conditions.MinDuration > 0 {
		add("SpanDuration >= " + c.values.int(int64(conditions.MinDuration)))
	}
	if conditions.MaxDuration > 0 {
		add("SpanDuration <= " + c.values.int(int64(conditions.MaxDuration)))
	}
	for i := range conditions.Attributes {
		list = append(list, c.attribute(&conditions.Attributes[i]))
		if operation != "" && !c.withoutHints {
			list = append(list, c.operationHint(operation, &conditions.Attributes[i]))
		}
	}
	for i := range conditions.And {
		list = append(list, c.span(&conditions.And[i]))
	}
	c.either = c.either || len(conditions.Or) > 0 || conditions.Not != nil
	if len(conditions.Or) > 0 {
		branches := make([]predicate, len(conditions.Or))
		for i := range conditions.Or {
			branches[i] = c.span(&conditions.Or[i])
		}
		list = append(list, anyOf(branches))
	}
	if conditions.Not != nil {
		list = append(list, c.span(conditions.Not).not())
	}
	return allOf(list)
}

func spanKind(kind ptrace.SpanKind) predicate {
	switch kind {
	case ptrace.SpanKindUnspecified:
		return exactly("SpanKind IN ('Unspecified', '')")
	case ptrace.SpanKindInternal, ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindProducer, ptrace.SpanKindConsumer:
		return exactly("SpanKind = '" + kind.String() + "'")
	}
	return never
}

// resourcePairs is the expression of the index of resources.
const resourcePairs = "arrayMap((k, v) -> cityHash64(k, v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes))"

// operationNames makes a span's OperationNames, and operationPairs is the expression of the index of its attributes with them. The server knows an
// expression of an index again that has no ALIAS in it and no condition.
const (
	operationNames = "arrayDistinct([cityHash64(Service, Operation), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), Operation), " +
		"cityHash64(Service, SpanName), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), SpanName)])"
	operationPairs = "arrayFlatten(arrayMap(o -> arrayMap(p -> bitXor(p, o), AttributePairs), OperationNames))"
)

// unsearched are keys that are not in AttributePairs and AttributeKeys, beside those of annotations: nearly every span has others.
var unsearched = []string{"network.peer.port", "net.sock.peer.port", "client.port", "thread.id"}

// searchedKey is the condition that AttributePairs and AttributeKeys hold a key.
func searchedKey(key string) string {
	return "NOT (startsWith(" + key + ", '" + conventions.Prefix + "') OR " + key + " IN ('" + strings.Join(unsearched, "', '") + "'))"
}

// isSearched says whether they hold this one. Of an empty key see keyIn.
func isSearched(key string) bool {
	return key != "" && !strings.HasPrefix(key, conventions.Prefix) && !slices.Contains(unsearched, key)
}

// attribute compares as AttributeCondition does: on the span, or where the key is not there on its resource.
func (c *compiler) attribute(condition *tracestore.AttributeCondition) predicate {
	key := c.values.text(condition.Key)
	onSpan, onResource := c.keyIn("SpanAttributes", condition.Key), c.keyIn("ResourceAttributes", condition.Key)
	compared := c.comparison(condition)
	if condition.Key == "" && condition.Op != tracestore.OpExists {
		compared = func(string) predicate { return predicate{"1", "0"} }
	}
	spans := allOf([]predicate{exactly(onSpan), compared("SpanAttributes[" + key + "]")})
	if isSearched(condition.Key) && condition.Op == tracestore.OpEqual {
		spans = exactly("has(AttributePairs, " + pairHash(key, c.values.text(condition.Text)) + ")")
	}
	resources := allOf([]predicate{exactly(onResource), compared("ResourceAttributes[" + key + "]")})
	p := anyOf([]predicate{spans, allOf([]predicate{resources, exactly("NOT " + onSpan)})})
	there := "(" + onSpan + " OR " + onResource + ")"
	switch condition.Scope {
	case tracestore.ScopeSpan:
		p, there = spans, onSpan
	case tracestore.ScopeResource:
		p, there = resources, onResource
	}
	switch {
	case condition.Op == tracestore.OpNotExists:
		return exactly("NOT " + there)
	case condition.Op != tracestore.OpEqual, condition.Key == "", condition.Scope == tracestore.ScopeSpan:
		return p
	case condition.Scope == tracestore.ScopeResource, isSearched(condition.Key):
		c.either = c.either || condition.Scope == tracestore.ScopeAny
		return allOf([]predicate{p, pairHint(condition.Scope, key, c.values.text(condition.Text))})
	}
	return p
}

// comparison makes the predicate of a value that is there. Of numbers, Go and ClickHouse read the plain ones alike, which under asks
// for; what ClickHouse reads as none and Go may read, such as hexadecimal ones, over lets pass.
func (c *compiler) comparison(condition *tracestore.AttributeCondition) func(value string) predicate {
	operator := ""
	switch condition.Op {
	case tracestore.OpExists:
		return func(string) predicate { return always }
	case tracestore.OpEqual:
		text := c.values.text(condition.Text)
		return func(value string) predicate { return exactly(value + " = " + text) }
	case tracestore.OpNotEqual:
		text := c.values.text(condition.Text)
		return func(value string) predicate { return exactly(value + " != " + text) }
	case tracestore.OpRegex:
		switch {
		case condition.Regex == nil:
			return func(string) predicate { return never }
		case c.withoutRegex:
			return func(string) predicate { return predicate{"1", "0"} }
		}
		expression := c.values.text(condition.Regex.String())
		return func(value string) predicate { // Go reads bytes that are no UTF-8 as one character each, and RE2 as none
			return predicate{"(match(" + value + ", " + expression + ") OR NOT isValidUTF8(" + value + "))", "0"}
		}
	case tracestore.OpLess:
		operator = "<"
	case tracestore.OpLessEqual:
		operator = "<="
	case tracestore.OpGreater:
		operator = ">"
	case tracestore.OpGreaterEqual:
		operator = ">="
	default:
		return func(string) predicate { return never }
	}
	number := c.values.float(condition.Number)
	return func(value string) predicate {
		compared := "toFloat64OrNull(" + value + ") " + operator + " " + number
		return predicate{
			"ifNull(" + compared + ", match(" + value + ", '^[-+.0-9iInN]'))",
			"(match(" + value + ", '^-?[0-9]{1,15}([.][0-9]{1,6})?$') AND ifNull(" + compared + ", 0))",
		}
	}
}

// keyIn says whether the key is there. ClickHouse 26.7 does not find an empty one in a dictionary, nor its value where it looks at
// some of the rows: of such a key nothing else is asked.
func (c *compiler) keyIn(attributes, key string) string {
	if key == "" {
		return "arrayExists(k -> empty(k), mapKeys(" + attributes + "))"
	}
	if attributes == "SpanAttributes" && isSearched(key) {
		return "has(AttributeKeys, cityHash64(" + c.values.text(key) + "))"
	}
	return "has(mapKeys(" + attributes + "), " + c.values.text(key) + ")"
}

// operationHint lets the index pass over what holds the pair on no span of the operation.
func (c *compiler) operationHint(operation string, condition *tracestore.AttributeCondition) predicate {
	if condition.Op != tracestore.OpEqual || !isSearched(condition.Key) || condition.Scope == tracestore.ScopeResource {
		return always
	}
	pair := pairHash(c.values.text(condition.Key), c.values.text(condition.Text))
	return indexHint(condition.Scope, "has("+operationPairs+", bitXor("+pair+", "+operation+"))", pair)
}

// pairHint lets the indexes pass over what holds the pair nowhere.
func pairHint(scope tracestore.AttributeScope, key, text string) predicate {
	pair := pairHash(key, text)
	return indexHint(scope, "has(AttributePairs, "+pair+")", pair)
}

func pairHash(key, text string) string { return "cityHash64(" + key + ", " + text + ")" }

// indexHint lets the indexes of spans and of resources rule out what the scope asks for. It costs nothing for a row.
func indexHint(scope tracestore.AttributeScope, onSpan, pair string) predicate {
	onResource := "has(" + resourcePairs + ", " + pair + ")"
	switch scope {
	case tracestore.ScopeSpan:
		return exactly("indexHint(" + onSpan + ")")
	case tracestore.ScopeResource:
		return exactly("indexHint(" + onResource + ")")
	}
	return exactly("indexHint(" + onSpan + " OR " + onResource + ")")
}
