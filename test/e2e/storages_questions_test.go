package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// question is a request: GET, or POST with a body.
type question struct {
	target, body, accept string
}

// spanConditions holds every condition on a span, with every operator, by values of the shop.
var spanConditions = []string{
	`"service": "inventory"`,
	`"service": "edge-proxy", "operation": "POST /checkout"`,
	`"operation": "SELECT stock"`,
	`"kind": "server"`, `"kind": "client", "service": "inventory"`, `"kind": "producer"`, `"kind": "consumer"`, `"kind": "internal"`,
	`"category": "database_operation"`, `"category": "messaging"`, `"category": "external_call"`, `"category": "business_operation"`,
	`"errors": true`, `"errors": false, "service": "payment"`,
	`"min_duration": "30ms"`, `"max_duration": "2ms"`, `"service": "payment", "min_duration": "10ms", "max_duration": "60ms"`,
	`"attributes": [{"key": "http.response.status_code", "op": "=", "value": 200}]`,
	`"attributes": [{"key": "http.response.status_code", "op": "=", "value": "500"}]`,
	`"attributes": [{"key": "http.response.status_code", "op": "!=", "value": 200}]`,
	`"attributes": [{"key": "http.response.status_code", "op": "<", "value": 400}]`,
	`"attributes": [{"key": "http.response.status_code", "op": "<=", "value": 404}]`,
	`"attributes": [{"key": "http.response.status_code", "op": ">", "value": 404}]`,
	`"attributes": [{"key": "http.response.status_code", "op": ">=", "value": 500}]`,
	`"attributes": [{"key": "exception.type", "op": "exists"}]`,
	`"attributes": [{"key": "db.namespace", "op": "exists"}]`,
	`"service": "payment", "attributes": [{"key": "http.route", "op": "not exists"}]`,
	`"attributes": [{"key": "http.route", "op": "regex", "value": "^/(cart|checkout)"}]`,
	`"attributes": [{"key": "span.db.system.name", "op": "=", "value": "postgresql"}]`,
	`"attributes": [{"key": "resource.service.version", "op": "regex", "value": "^8\\."}]`,
	`"attributes": [{"key": "resource.k8s.namespace.name", "op": "exists"}, {"key": "db.system.name", "op": "=", "value": "redis"}]`,
	`"attributes": [{"key": "span.service.name", "op": "exists"}]`,
	`"attributes": [{"key": "no.such.key", "op": "exists"}]`,
}

// traceConditions holds conditions on the trace, on its structure, and trees of conditions.
var traceConditions = []string{
	``,
	`"entry": {"service": "edge-proxy"}`, `"entry": {"operation": "POST /checkout"}`, `"entry": {"service": "inventory"}`,
	`"outcome": "complete"`, `"outcome": "late"`,
	`"trace_duration": {"min": "100ms"}`, `"trace_duration": {"max": "50ms"}`, `"trace_duration": {"min": "50ms", "max": "200ms"}`,
	`"services": ["inventory", "payment"]`, `"services": ["nobody"]`,
	`"structure": [{"above": {"service": "checkout"}, "below": {"service": "inventory"}}]`,
	`"structure": [{"above": {"service": "checkout"}, "relation": "child", "below": {"service": "checkout", "kind": "client"}}]`,
	`"structure": [{"above": {"service": "checkout", "errors": true}, "relation": "descendant", "below": {"category": "database_operation"}}]`,
	`"where": {"trace": {"spans": {"min": 20}}}`, `"where": {"trace": {"spans": {"max": 12}, "errors": {"min": 1}}}`,
	`"where": {"not": {"span": {"service": "inventory"}}}`,
	`"where": {"and": [{"span": {"service": "inventory", "errors": true}}, {"span": {"service": "payment"}}]}`,
	`"where": {"or": [{"span": {"service": "payment", "min_duration": "50ms"}}, {"trace": {"errors": {"min": 3}}}]}`,
	`"where": {"span": {"or": [{"kind": "producer"}, {"category": "external_call"}], "not": {"errors": true}}}`,
	`"where": {"span": {"and": [{"service": "inventory"}, {"attributes": [{"key": "db.system.name", "op": "exists"}]}]}}`,
	`"where": {"not": {"structure": [{"above": {"service": "edge-proxy"}, "below": {"errors": true}}]}}`,
	`"service": "inventory", "errors": true, "where": {"not": {"span": {"service": "payment"}}}`,
}

var orders = []string{"recency", "duration", "errors"}

// searches asks with every condition, in one order each and in all orders without one.
func (s *storages) searches() (questions []question) {
	w := fmt.Sprintf(`"start": %q, "end": %q`, window(s.from, s.to).Get("start"), window(s.from, s.to).Get("end"))
	for i, condition := range append(append([]string{}, spanConditions...), traceConditions...) {
		if condition != "" {
			condition = ", " + condition
		}
		questions = append(questions, question{target: "/traces/search", body: fmt.Sprintf(`{%s, "limit": 1000, "order": %q%s}`, w, orders[i%3], condition)})
	}
	for _, order := range orders {
		questions = append(questions, question{target: "/traces/search", body: fmt.Sprintf(`{%s, "limit": 7, "order": %q}`, w, order)})
	}
	return questions
}

// sums asks for sums over many traces and what follows from them.
func sums(w url.Values) (questions []question) {
	for _, target := range []string{
		"/traces/services", "/traces/services?environment=production", "/traces/services?environment=", "/traces/services?service=inventory",
		"/traces/services?focus=checkout&depth=2", "/traces/services?focus=inventory&depth=0", "/traces/services?service=nobody",
		"/traces/operations", "/traces/operations?service=inventory", "/traces/operations?by_version=true", "/traces/operations?environment=",
		"/traces/operations?environment=production&limit=10",
		"/traces/performance", "/traces/performance?service=edge-proxy", "/traces/performance?operation=POST+/checkout",
		"/traces/performance?environment=production&limit=2",
		"/traces/performance?operation=POST+/checkout&what_if_service=inventory&what_if_operation=SELECT+stock&sample_time=10s",
		"/traces/dependencies", "/traces/dependencies?service=inventory", "/traces/dependencies?service=inventory&depth=1&environment=production",
		"/traces/dependencies?from=edge-proxy&to=inventory&limit=5", "/traces/dependencies?service=nobody",
		"/traces/errors", "/traces/errors?service=inventory", "/traces/errors?entry=POST+/checkout", "/traces/errors?new=true",
		"/traces/errors?fingerprint=0", "/traces/errors?environment=",
		// Of one entry, so that there is time to read all of its traces.
		"/traces/insights?entry=POST+/checkout&sample_time=10s", "/traces/insights?entry=GET+/search&environment=production&sample_time=10s",
		"/traces/attributes?limit=1000", "/traces/attributes?prefix=http.", "/traces/attributes/http.route/values",
		"/traces/attributes/resource.service.name/values?limit=1000", "/traces/attributes/span.db.system.name/values?prefix=p",
		"/traces/attributes/http.response.status_code/values", "/traces/attributes/no.such.key/values",
	} {
		questions = append(questions, question{target: withParameters(target, w)})
	}
	return questions
}

func withParameters(target string, more url.Values) string {
	path, own, found := strings.Cut(target, "?")
	if found {
		own += "&"
	}
	return path + "?" + own + more.Encode()
}

// waysToAsk asks for some traces in every way in which one can be asked for.
func (s *storages) waysToAsk(t *testing.T, tenant string) (questions []question) {
	all := s.sent(tenant)
	for i := 0; i < len(all); i += len(all) / 4 {
		id := all[i].TraceID
		var trace traceAnswer
		s.read(t, embedded, tenant, question{target: "/traces/" + id}, &trace)
		span := trace.Spans[len(trace.Spans)/3].SpanID
		for _, way := range []string{
			"", "?format=otlp", "?format=jaeger", "?format=zipkin", "?fields=summary", "?span_id=" + span, "?span_id=" + span + "&depth=1", "?depth=2",
			"?span_offset=2&span_limit=3", "?span_offset=1000000", "?span_id=00000000000000ff",
			"/compare?with=usual", "/compare?with=" + all[(i+1)%len(all)].TraceID, "/compare?with=usual&environment=production&limit=3",
		} {
			questions = append(questions, question{target: "/traces/" + id + way})
		}
		questions = append(questions, question{target: "/traces/" + id[16:]}, question{target: "/traces/" + id, accept: "application/x-protobuf"})
	}
	return append(questions, question{target: "/traces/00000000000000000000000000000abc"})
}
