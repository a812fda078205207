package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
)

// questions are asked of a product with names that it knows.
type questions struct {
	asker
	c       *collector
	rng     *rand.Rand
	loaded  *loadedStore
	lookups int
	each    int // how often every other one is asked

	services, patterns []string
	entries            []operationName
}

type operationName struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

// questionsOf learns the names of the last hour.
func (b *queryBench) questionsOf(ctx context.Context, c *collector, loaded *loadedStore) (*questions, error) {
	q := &questions{
		asker: asker{ctx: ctx}, c: c, rng: rand.New(rand.NewPCG(b.seed, 0x9e7)), loaded: loaded, lookups: b.lookups, each: b.questions,
	}
	var services struct {
		Services []struct{ Name, Kind string } `json:"services"`
	}
	var performance struct {
		Entries []struct {
			Entry operationName `json:"entry"`
		} `json:"entries"`
	}
	var failures struct {
		Patterns []struct {
			Fingerprint string `json:"fingerprint"`
		} `json:"patterns"`
	}
	err := errors.Join(
		c.ask(ctx, "/traces/services", nil, http.StatusOK, &services),
		c.ask(ctx, "/traces/performance", nil, http.StatusOK, &performance),
		c.ask(ctx, "/traces/errors", nil, http.StatusOK, &failures),
	)
	if err != nil {
		return nil, err
	}
	for _, s := range services.Services {
		if s.Kind == "service" {
			q.services = append(q.services, s.Name)
		}
	}
	for _, e := range performance.Entries {
		q.entries = append(q.entries, e.Entry)
	}
	for _, p := range failures.Patterns {
		q.patterns = append(q.patterns, p.Fingerprint)
	}
	if len(q.services) < 2 || len(q.entries) == 0 || len(q.patterns) == 0 {
		return nil, errors.New("the last hour has no services, entries or failures")
	}
	return q, nil
}

// one is any of a list.
func one[T any](q *questions, list []T) T { return list[q.rng.IntN(len(list))] }

func (q *questions) service() string { return one(q, q.services) }

func (q *questions) entry() operationName { return one(q, q.entries) }

// askAll asks every kind of question. The window is the last hour, where nothing else is said.
func (q *questions) askAll() []measure {
	q.byID(q.c, q.rng, q.loaded, q.lookups, 0.95, maxQueryByID)
	q.askSearches()
	q.askAnalyses()
	return q.made
}

func (q *questions) askSearches() {
	search := func(name string, least int, body func(i int) map[string]any) {
		q.ask("search "+name, q.each, 0.95, maxQuerySearch, func(i int) error { return q.c.search(q.ctx, body(i), least, anyNumber) })
	}
	span := func(i int) map[string]any {
		s := &q.loaded.Searches[i%len(q.loaded.Searches)]
		return map[string]any{"service": s.Service, "operation": s.Operation, "min_duration": s.MinDuration, "attributes": s.Attributes}
	}
	search("service, operation, duration, attribute", 1, span)
	search("the same over all days", 1, func(i int) map[string]any {
		body := span(i)
		body["start"] = "-168h"
		return body
	})
	search("the newest", 1, func(int) map[string]any { return map[string]any{} })
	search("failures of a service", 0, func(int) map[string]any { return map[string]any{"service": q.service(), "errors": true} })
	search("slow traces of an entry", 0, func(int) map[string]any {
		return map[string]any{"entry": q.entry(), "trace_duration": map[string]any{"min": "250ms"}}
	})
	search("failure below a service", 0, func(int) map[string]any {
		return map[string]any{"structure": []any{map[string]any{
			"above": map[string]any{"service": q.service()}, "relation": "descendant", "below": map[string]any{"errors": true},
		}}}
	})
	search("a value that one trace has, all days", 1, func(int) map[string]any {
		return map[string]any{"attributes": []searchAttribute{{rareKey, "=", one(q, q.loaded.Rare)}}, "start": "-168h"}
	})
}

func (q *questions) askAnalyses() {
	for _, about := range []struct {
		name string
		path func() string
	}{
		{"services", func() string { return "/traces/services" }},
		{"services, two calls around one", func() string { return path("/traces/services", "focus", q.service(), "depth", "2") }},
		{"operations", func() string { return "/traces/operations" }},
		{"operations of a service", func() string { return path("/traces/operations", "service", q.service(), "by_version", "true") }},
		{"performance", func() string { return "/traces/performance" }},
		{"performance of an entry", func() string {
			entry := q.entry()
			return path("/traces/performance", "service", entry.Service, "operation", entry.Operation)
		}},
		{"performance, what if", func() string {
			entry := q.entry()
			return path("/traces/performance", "what_if_service", entry.Service, "what_if_operation", entry.Operation, "what_if_factor", "0.5")
		}},
		{"dependencies", func() string { return "/traces/dependencies" }},
		{"dependencies, blast radius", func() string { return path("/traces/dependencies", "service", q.service()) }},
		{"dependencies, ways", func() string { return path("/traces/dependencies", "from", q.entry().Service, "to", q.service()) }},
		{"errors", func() string { return "/traces/errors" }},
		{"errors, one pattern", func() string { return path("/traces/errors", "fingerprint", one(q, q.patterns)) }},
		{"insights", func() string { return "/traces/insights" }},
		{"insights of an entry", func() string { return path("/traces/insights", "entry", q.entry().Operation) }},
		{"compare with the usual", func() string { return path("/traces/"+one(q, q.loaded.Latest)+"/compare", "with", "usual") }},
		{"compare two traces", func() string { return path("/traces/"+one(q, q.loaded.IDs)+"/compare", "with", one(q, q.loaded.IDs)) }},
		{"keys of attributes", func() string { return "/traces/attributes" }},
		{"values of an attribute", func() string { return "/traces/attributes/http.route/values" }},
	} {
		q.ask(about.name, q.each, 0.95, maxQueryAnalyse, func(int) error { return q.get(about.path()) })
	}
}

// path adds parameters, keys and values in turn, to a path.
func path(to string, parameters ...string) string {
	values := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	return to + "?" + values.Encode()
}
