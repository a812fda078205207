package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func levels(open, inner, end string, times int) string {
	return strings.Repeat(open, times) + inner + strings.Repeat(end, times)
}

func TestBadConditions(t *testing.T) {
	h := testHandler(&fakeStorage{})
	many := func(n int) string { // a span condition with n attributes, in an or
		return `{"span": {"attributes": [` + strings.TrimSuffix(strings.Repeat(`{"key": "a", "op": "exists"},`, n), ",") + `]}}`
	}
	for name, test := range map[string]struct{ body, field, detail string }{
		"unknown member":          {`{"where": {"service": "a"}}`, "where.service", "known: span, trace, structure, and, or, not"},
		"unknown inside":          {`{"where": {"or": [{}, {"span": {"error": true}}]}}`, "where.or[1].span.error", "unknown field"},
		"where is a list":         {`{"where": []}`, "where", "must be an object, not an array"},
		"and is an object":        {`{"where": {"and": {}}}`, "where.and", "must be an array, not an object"},
		"an empty and":            {`{"where": {"and": []}}`, "where.and", "must not be empty"},
		"an empty or of spans":    {`{"where": {"span": {"or": []}}}`, "where.span.or", "must not be empty"},
		"not null":                {`{"where": {"not": null}}`, "where.not", "null; leave it out"},
		"inside a not":            {`{"where": {"not": {"span": {"kind": "x"}}}}`, "where.not.span.kind", "must be one of"},
		"in the span's tree":      {`{"where": {"span": {"not": {"and": [{"min_duration": "x"}]}}}}`, "where.span.not.and[0].min_duration", "duration"},
		"an attribute":            {`{"where": {"or": [{"span": {"attributes": [{"key": "a", "op": "like"}]}}]}}`, "where.or[0].span.attributes[0].op", "one of"},
		"not exists with a value": {`{"attributes": [{"key": "a", "op": "not exists", "value": 1}]}`, "attributes[0].value", "left out with not exists"},
		"at least with text":      {`{"attributes": [{"key": "a", "op": ">=", "value": "b"}]}`, "attributes[0].value", "number"},
		"a long regex":            {`{"attributes": [{"key": "a", "op": "regex", "value": "` + strings.Repeat("a", maxRegex+1) + `"}]}`, "attributes[0].value", "4096"},
		"an outcome":              {`{"where": {"trace": {"outcome": "x"}}}`, "where.trace.outcome", "complete"},
		"a trace's duration":      {`{"where": {"trace": {"duration": {"min": "2s", "max": "1s"}}}}`, "where.trace.duration.min", "where.trace.duration.max"},
		"an entry":                {`{"where": {"trace": {"entry": {"service": ""}}}}`, "where.trace.entry.service", "must not be empty"},
		"a negative count":        {`{"where": {"trace": {"spans": {"min": -1}}}}`, "where.trace.spans.min", "between 0 and"},
		"a huge count":            {`{"where": {"trace": {"errors": {"max": 1000000001}}}}`, "where.trace.errors.max", "between 0 and"},
		"a count the wrong way":   {`{"where": {"trace": {"errors": {"min": 2, "max": 1}}}}`, "where.trace.errors.min", "not be more than where.trace.errors.max"},
		"a fraction of a span":    {`{"where": {"trace": {"spans": {"min": 1.5}}}}`, "where.trace.spans.min", "integer"},
		"an empty service":        {`{"services": ["a", ""]}`, "services[1]", "must not be empty"},
		"a service that is none":  {`{"services": [1]}`, "services[0]", "must be a string"},
		"too many services":       {`{"services": [` + strings.Repeat(`"a",`, maxListed) + `"a"]}`, "services", "not be more than 64"},
		"structure":               {`{"structure": {}}`, "structure", "must be an array"},
		"nothing above":           {`{"structure": [{"below": {}}]}`, "structure[0].above", "is required; {} is any span"},
		"nothing below":           {`{"where": {"structure": [{"above": {}}]}}`, "where.structure[0].below", "is required"},
		"relation":                {`{"structure": [{"above": {}, "relation": "parent", "below": {}}]}`, "structure[0].relation", "descendant, child"},
		"inside of structure":     {`{"structure": [{"above": {}, "below": {"service": ""}}]}`, "structure[0].below.service", "must not be empty"},
		"too deep":                {`{"where": ` + levels(`{"not": `, `{}`, `}`, tracestore.MaxDepth) + `}`, "where" + strings.Repeat(".not", tracestore.MaxDepth), "16 deep"},
		"too deep on a span":      {`{"where": {"span": ` + levels(`{"and": [`, `{}`, `]}`, tracestore.MaxDepth-1) + `}}`, "where.span" + strings.Repeat(".and[0]", tracestore.MaxDepth-1), "16 deep"},
		"far too deep":            {`{"where": ` + levels(`{"not": `, `{}`, `}`, 10_000) + `}`, "where" + strings.Repeat(".not", maxNesting-1), "nested more than 64 deep"},
		"deep garbage":            {`{"where": ` + levels(`[`, ``, `]`, 10_000) + `}`, "where", "must be an object, not an array"},
		"too many":                {`{"where": {"or": [` + many(60) + `,` + many(60) + `,` + many(10) + `]}}`, "where.or[2].span.attributes[1]", "a search may hold 128"},
		"too many branches":       {`{"where": {"or": [{}` + strings.Repeat(`,{}`, 1000) + `]}}`, "where.or[127]", "a search may hold 128"},
	} {
		t.Run(name, func(t *testing.T) {
			p := requireProblem(t, http.StatusBadRequest, do(h, postSearch(test.body)))
			require.Equal(t, test.field, p.Field)
			require.Contains(t, p.Detail, test.detail)
			require.Empty(t, p.Errors, "one fault only")
		})
	}
}

func TestParseConditions(t *testing.T) {
	zero, five, no := 0, 5, false
	type (
		conditions = tracestore.Conditions
		onSpan     = tracestore.SpanConditions
		onTrace    = tracestore.TraceConditions
	)
	under := func(c conditions) conditions { return conditions{And: []conditions{c}} }
	for name, test := range map[string]struct {
		body string
		want conditions
	}{
		"nothing": {`{"where": {}}`, under(conditions{})},
		"span": {`{"where": {"span": {"service": "a", "errors": false, "max_duration": "1s"}}}`, under(conditions{
			Span: onSpan{Service: "a", Errors: &no, MaxDuration: time.Second},
		})},
		"trees": {
			`{"where": {"and": [{"span": {"service": "a"}}], "or": [{"not": {"span": {"operation": "b"}}}, {}]}}`,
			under(conditions{
				And: []conditions{{Span: onSpan{Service: "a"}}},
				Or:  []conditions{{Not: &conditions{Span: onSpan{Operation: "b"}}}, {}},
			}),
		},
		"on one span": {
			`{"where": {"span": {"and": [{"service": "a"}], "or": [{}, {"category": "messaging"}], "not": {"service": "b"}}}}`,
			under(conditions{Span: onSpan{
				And: []onSpan{{Service: "a"}}, Or: []onSpan{{}, {Category: "messaging"}}, Not: &onSpan{Service: "b"},
			}}),
		},
		"trace": {
			`{"where": {"trace": {"duration": {"min": "1s"}, "services": ["a", "b"], "spans": {"min": 5}, "errors": {"max": 0}}}}`,
			under(conditions{Trace: onTrace{
				MinDuration: time.Second, Services: []string{"a", "b"}, Spans: tracestore.CountRange{Min: 5}, Errors: tracestore.CountRange{Max: &zero},
			}}),
		},
		"range": {`{"where": {"trace": {"spans": {"min": 0, "max": 5}}}}`, under(conditions{
			Trace: onTrace{Spans: tracestore.CountRange{Max: &five}},
		})},
		"structure": {
			`{"structure": [{"above": {"service": "a"}, "below": {}}, {"above": {}, "relation": "child", "below": {"service": "b"}}]}`,
			conditions{Structure: []tracestore.Structure{
				{Above: onSpan{Service: "a"}, Relation: tracestore.RelationDescendant},
				{Relation: tracestore.RelationChild, Below: onSpan{Service: "b"}},
			}},
		},
		"services": {`{"services": ["a"]}`, conditions{Trace: onTrace{Services: []string{"a"}}}},
		"operators": {
			`{"attributes": [{"key": "a", "op": "<=", "value": 1}, {"key": "span.b", "op": ">=", "value": "2.5"},
			  {"key": "resource.c", "op": "not exists"}, {"key": "d", "op": "regex", "value": "x"}]}`,
			conditions{Span: onSpan{Attributes: []tracestore.AttributeCondition{
				{Key: "a", Op: tracestore.OpLessEqual, Number: 1},
				{Scope: tracestore.ScopeSpan, Key: "b", Op: tracestore.OpGreaterEqual, Number: 2.5},
				{Scope: tracestore.ScopeResource, Key: "c", Op: tracestore.OpNotExists},
				{Key: "d", Op: tracestore.OpRegex, Regex: regexp.MustCompile("x")},
			}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, faults := parseSearch([]byte(test.body), testNow)
			require.Empty(t, faults)
			require.Equal(t, test.want, got.query.Where)
		})
	}
	for name, want := range orders {
		got, faults := parseSearch(fmt.Appendf(nil, `{"order": %q}`, name), testNow)
		require.Empty(t, faults)
		require.Equal(t, want, got.query.Order)
	}
	deepest, faults := parseSearch([]byte(`{"where": `+levels(`{"not": `, `{}`, `}`, tracestore.MaxDepth-1)+`}`), testNow)
	require.Empty(t, faults)
	require.NotNil(t, deepest)
}

// Trees, structure and orders are answered by the storage.
func TestSearchTreesReachTheStorage(t *testing.T) {
	h := storedHandler(t, storedShop())
	for body, found := range map[string]bool{
		`{"services": ["frontend", "inventory"]}`:                                                                     true,
		`{"services": ["frontend", "mail"]}`:                                                                          false,
		`{"structure": [{"above": {"service": "frontend"}, "below": {"service": "inventory"}}]}`:                      true,
		`{"structure": [{"above": {"service": "inventory"}, "below": {"service": "frontend"}}]}`:                      false,
		`{"structure": [{"above": {"service": "frontend"}, "relation": "child", "below": {"operation": "reserve"}}]}`: false,
		`{"structure": [{"above": {"service": "orders"}, "relation": "child", "below": {"operation": "reserve"}}]}`:   true,
		`{"where": {"not": {"span": {"service": "inventory"}}}}`:                                                      false,
		`{"where": {"not": {"span": {"service": "mail"}}}}`:                                                           true,
		`{"where": {"and": [{"span": {"service": "frontend"}}, {"span": {"errors": true}}]}}`:                         true,
		`{"where": {"span": {"and": [{"service": "frontend"}, {"errors": true}]}}}`:                                   false,
		`{"where": {"or": [{"span": {"service": "mail"}}, {"trace": {"errors": {"min": 1}}}]}}`:                       true,
		`{"where": {"trace": {"errors": {"max": 0}}}, "order": "errors"}`:                                             false,
		`{"order": "duration", "attributes": [{"key": "nothing", "op": "not exists"}]}`:                               true,
	} {
		require.Equal(t, found, len(searchFor(t, h, body).Traces) == 1, body)
	}
}
