package api

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

func TestBadSearches(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for name, test := range map[string]struct {
		body, field, detail string
	}{
		"not JSON":               {`{"service" "a"}`, "", "not JSON"},
		"cut off":                {`{"service": "a"`, "", "ends too early"},
		"text":                   {`hello`, "", "not JSON"},
		"array":                  {`[]`, "", "must be an object, not an array"},
		"null":                   {`null`, "", "must be an object, not null"},
		"string":                 {`"a"`, "", "must be an object, not a string"},
		"trailing data":          {`{} {}`, "", "behind the JSON object"},
		"trailing brace":         {`{}}`, "", "behind the JSON object"},
		"not UTF-8":              {"{\"service\": \"\xff\"}", "", "not UTF-8"},
		"unknown field":          {`{"servise": "a"}`, "servise", "known: service, operation"},
		"not built":              {`{"environment": {"child": [{"deep": 1}]}}`, "environment", "unknown field"},
		"wrong case":             {`{"Service": "a"}`, "Service", "unknown field"},
		"repeated":               {`{"service": "a", "service": "b"}`, "service", "more than once"},
		"unknown field inside":   {`{"attributes": [{"key": "a", "ops": "="}]}`, "attributes[0].ops", "known: key, op, value"},
		"unknown in the second":  {`{"attributes": [{"key": "a", "op": "exists"}, {"k": 1}]}`, "attributes[1].k", "unknown field"},
		"unknown in entry":       {`{"entry": {"name": "a"}}`, "entry.name", "known: service, operation"},
		"service type":           {`{"service": 5}`, "service", "must be a string, not a number"},
		"service null":           {`{"service": null}`, "service", "leave it out"},
		"service empty":          {`{"service": ""}`, "service", "must not be empty"},
		"operation object":       {`{"operation": {"a": [1]}}`, "operation", "must be a string, not an object"},
		"entry type":             {`{"entry": "a"}`, "entry", "must be an object, not a string"},
		"entry empty":            {`{"entry": {"service": ""}}`, "entry.service", "must not be empty"},
		"attributes type":        {`{"attributes": {}}`, "attributes", "must be an array, not an object"},
		"attribute type":         {`{"attributes": ["a"]}`, "attributes[0]", "must be an object"},
		"kind":                   {`{"kind": "SERVER"}`, "kind", "must be one of: unspecified, internal, server"},
		"category":               {`{"category": "db"}`, "category", "database_operation"},
		"outcome":                {`{"outcome": "done"}`, "outcome", "complete, quiet"},
		"errors":                 {`{"errors": "true"}`, "errors", "must be true or false"},
		"min_duration":           {`{"min_duration": "5"}`, "min_duration", "must be a duration"},
		"min_duration type":      {`{"min_duration": 5}`, "min_duration", "must be a string"},
		"max_duration zero":      {`{"max_duration": "0s"}`, "max_duration", "more than 0"},
		"min above max":          {`{"min_duration": "2s", "max_duration": "1s"}`, "min_duration", "not be more than max_duration"},
		"trace_duration":         {`{"trace_duration": {"min": "x"}}`, "trace_duration.min", "must be a duration"},
		"trace_duration order":   {`{"trace_duration": {"min": "2s", "max": "1s"}}`, "trace_duration.min", "trace_duration.max"},
		"trace_duration minimum": {`{"trace_duration": {"minimum": "2s"}}`, "trace_duration.minimum", "known: min, max"},
		"start":                  {`{"start": "yesterday"}`, "start", "RFC 3339"},
		"end":                    {`{"end": "2026-01-02"}`, "end", "RFC 3339"},
		"start is end":           {`{"start": "-1h", "end": "-1h"}`, "start", "before end"},
		"start after end":        {`{"end": "-2h"}`, "start", "before end"},
		"order":                  {`{"order": "taste"}`, "order", "must be one of: recency, duration, errors"},
		"limit 0":                {`{"limit": 0}`, "limit", "between 1 and 1000"},
		"limit 1001":             {`{"limit": 1001}`, "limit", "between 1 and 1000"},
		"limit fraction":         {`{"limit": 1.5}`, "limit", "must be an integer"},
		"limit huge":             {`{"limit": 1e999}`, "limit", "must be an integer"},
		"limit type":             {`{"limit": "20"}`, "limit", "must be an integer, not a string"},
		"cursor":                 {`{"cursor": "nonsense"}`, "cursor", "send next_cursor as it was answered"},
		"no key":                 {`{"attributes": [{"op": "exists"}]}`, "attributes[0].key", "is required"},
		"empty key":              {`{"attributes": [{"key": "", "op": "exists"}]}`, "attributes[0].key", "must name"},
		"only a prefix":          {`{"attributes": [{"key": "span.", "op": "exists"}]}`, "attributes[0].key", "must name"},
		"no op":                  {`{"attributes": [{"key": "a", "value": 1}]}`, "attributes[0].op", "one of: =, !=, <, <=, >, >=, exists, not exists, regex"},
		"op":                     {`{"attributes": [{"key": "a", "op": "~", "value": 1}]}`, "attributes[0].op", "must be one of"},
		"no value":               {`{"attributes": [{"key": "a", "op": "="}]}`, "attributes[0].value", "is required"},
		"value null":             {`{"attributes": [{"key": "a", "op": "=", "value": null}]}`, "attributes[0].value", "leave it out"},
		"value object":           {`{"attributes": [{"key": "a", "op": "=", "value": {}}]}`, "attributes[0].value", "must be a string, a number or a boolean, not an object"},
		"value too large":        {`{"attributes": [{"key": "a", "op": "=", "value": 1e999}]}`, "attributes[0].value", "finite"},
		"exists with value":      {`{"attributes": [{"key": "a", "op": "exists", "value": 1}]}`, "attributes[0].value", "left out"},
		"less than text":         {`{"attributes": [{"key": "a", "op": "<", "value": "b"}]}`, "attributes[0].value", "number"},
		"greater than true":      {`{"attributes": [{"key": "a", "op": ">", "value": true}]}`, "attributes[0].value", "number"},
		"greater than NaN":       {`{"attributes": [{"key": "a", "op": ">", "value": "NaN"}]}`, "attributes[0].value", "finite"},
		"regex":                  {`{"attributes": [{"key": "a", "op": "regex", "value": "("}]}`, "attributes[0].value", "RE2"},
		"regex number":           {`{"attributes": [{"key": "a", "op": "regex", "value": 1}]}`, "attributes[0].value", "string"},
		"too many attributes": {
			`{"attributes": [` + strings.Repeat(`{"key": "a", "op": "exists"},`, maxListed) + `{"key": "a", "op": "exists"}]}`,
			"attributes", "not be more than 64",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := requireProblem(t, http.StatusBadRequest, do(h, postSearch(test.body)))
			require.Equal(t, test.field, p.Field)
			require.Contains(t, p.Detail, test.detail)
			require.Empty(t, p.Errors, "one fault only")
		})
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	_, faults := parseSearch([]byte(`{"kind": "x", "limit": 0, "start": "x", "attributes": [{}]}`), testNow)
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"kind", "attributes[0].key", "attributes[0].op", "limit", "start"}, fields)

	_, faults = parseSearch([]byte(`{`+strings.Repeat(`"x": 1,`, 1000)+`"y": 1}`), testNow)
	require.Len(t, faults, maxFaults)
}

func TestParseSearch(t *testing.T) {
	kind, yes, no := ptrace.SpanKindServer, true, false
	unspecified := ptrace.SpanKindUnspecified
	base := tracestore.SearchQuery{Start: testNow.Add(-time.Hour), End: testNow, Limit: 20}
	with := func(change func(q *tracestore.SearchQuery)) tracestore.SearchQuery {
		q := base
		change(&q)
		return q
	}
	attribute := func(c tracestore.AttributeCondition) tracestore.SearchQuery {
		return with(func(q *tracestore.SearchQuery) { q.Where.Span.Attributes = []tracestore.AttributeCondition{c} })
	}
	for name, test := range map[string]struct {
		body string
		want tracestore.SearchQuery
	}{
		"empty body":   {"", base},
		"blank body":   {" \n", base},
		"empty object": {"{}", base},
		"everything": {
			`{"service": "s", "operation": "o", "kind": "server", "category": "messaging", "min_duration": "250ms",
			  "max_duration": "2s", "errors": true, "outcome": "quiet", "entry": {"service": "es", "operation": "eo"},
			  "trace_duration": {"min": "1s", "max": "1m"}, "start": "2026-01-01T00:00:00.5Z", "end": "now",
			  "order": "recency", "limit": 1000, "attributes": [{"key": "a", "op": "exists"}]}`,
			tracestore.SearchQuery{
				Start: time.Date(2026, 1, 1, 0, 0, 0, 500_000_000, time.UTC),
				End:   testNow,
				Where: tracestore.Conditions{
					Span: tracestore.SpanConditions{
						Service: "s", Operation: "o", Kind: &kind, Category: "messaging",
						MinDuration: 250 * time.Millisecond, MaxDuration: 2 * time.Second, Errors: &yes,
						Attributes: []tracestore.AttributeCondition{{Key: "a", Op: tracestore.OpExists}},
					},
					Trace: tracestore.TraceConditions{
						Outcome: "quiet", Entry: tracestore.Operation{Service: "es", Operation: "eo"},
						MinDuration: time.Second, MaxDuration: time.Minute,
					},
				},
				Limit: 1000,
			},
		},
		"no errors":        {`{"errors": false}`, with(func(q *tracestore.SearchQuery) { q.Where.Span.Errors = &no })},
		"unspecified kind": {`{"kind": "unspecified"}`, with(func(q *tracestore.SearchQuery) { q.Where.Span.Kind = &unspecified })},
		"integers":         {`{"limit": 2e1}`, base},
		"open bounds": {
			`{"min_duration": "1s", "trace_duration": {"max": "1m"}}`,
			with(func(q *tracestore.SearchQuery) {
				q.Where.Span.MinDuration, q.Where.Trace.MaxDuration = time.Second, time.Minute
			}),
		},
		"text": {
			`{"attributes": [{"key": "a.b", "op": "=", "value": "x"}]}`,
			attribute(tracestore.AttributeCondition{Key: "a.b", Op: tracestore.OpEqual, Text: "x"}),
		},
		"empty text": {
			`{"attributes": [{"key": "a", "op": "!=", "value": ""}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpNotEqual}),
		},
		"number as text": {
			`{"attributes": [{"key": "span.a", "op": "=", "value": 500}]}`,
			attribute(tracestore.AttributeCondition{Scope: tracestore.ScopeSpan, Key: "a", Op: tracestore.OpEqual, Text: "500"}),
		},
		"large integer as text": {
			`{"attributes": [{"key": "a", "op": "=", "value": 9007199254740993}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpEqual, Text: "9007199254740993"}),
		},
		"fraction as text": {
			`{"attributes": [{"key": "a", "op": "=", "value": 0.50}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpEqual, Text: "0.5"}),
		},
		"boolean as text": {
			`{"attributes": [{"key": "resource.a", "op": "=", "value": true}]}`,
			attribute(tracestore.AttributeCondition{Scope: tracestore.ScopeResource, Key: "a", Op: tracestore.OpEqual, Text: "true"}),
		},
		"less": {
			`{"attributes": [{"key": "a", "op": "<", "value": -1.5}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpLess, Number: -1.5}),
		},
		"greater, number in text": {
			`{"attributes": [{"key": "a", "op": ">", "value": "1e3"}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpGreater, Number: 1000}),
		},
		"regex": {
			`{"attributes": [{"key": "a", "op": "regex", "value": "^x+$"}]}`,
			attribute(tracestore.AttributeCondition{Key: "a", Op: tracestore.OpRegex, Regex: regexp.MustCompile("^x+$")}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, faults := parseSearch([]byte(test.body), testNow)
			require.Empty(t, faults)
			require.Nil(t, got.cursor)
			require.Equal(t, test.want, got.query)
		})
	}
}

func FuzzParseSearch(f *testing.F) {
	for _, body := range []string{
		"", "{}", `{"service": "a", "attributes": [{"key": "span.a", "op": "regex", "value": "("}]}`, `{"limit": 1e2}`, "null",
		`{"a": {"b": [[[{}]]]}}`, `{"start": "-1h", "end": "2026-01-02T03:04:05.6Z", "cursor": "AQ"}`, `[{`, `{"service": "a"}}`,
		`{"trace_duration": {"min": "1s", "max": "1h"}, "errors": true, "kind": "server"}`,
		`{"where": {"not": {"or": [{"span": {"and": [{}]}}, {"trace": {"spans": {"min": 1}}}]}}, "order": "errors", "services": ["a"]}`,
		`{"structure": [{"above": {"service": "a"}, "relation": "child", "below": {"not": {}}}]}`,
	} {
		f.Add([]byte(body))
	}
	spans, row := tracetree.Releases(annotated(shopTrace()))[0].Spans, new(tracestore.Summary)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, faults := parseSearch(body, testNow)
		require.NotEqual(t, s == nil, len(faults) == 0, "either a search or faults")
		for _, fault := range faults {
			require.NotEmpty(t, fault.Detail)
		}
		if s != nil { // whatever is asked can be answered
			tracestore.NewFilter(&s.query.Where).Match(row, spans)
		}
		if s != nil && s.cursor == nil {
			require.True(t, s.query.Start.Before(s.query.End))
			require.Positive(t, s.query.Limit)
		}
	})
}
