package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

const (
	rareKey    = "session.id" // which most traces have
	rareValues = 10
	// idsPerCall is how many of a call's traces are asked for by id.
	idsPerCall = 4
)

// loadedStore is what large asks for. It is kept beside the data.
type loadedStore struct {
	Spans    int
	IDs      []string
	Latest   []string // of the second half of the last stretch
	Rare     []string // values that one trace has
	Searches []searchBody
}

// searchBody is the body of POST /traces/search.
type searchBody struct {
	Service     string            `json:"service,omitempty"`
	Operation   string            `json:"operation,omitempty"`
	MinDuration string            `json:"min_duration,omitempty"`
	Attributes  []searchAttribute `json:"attributes,omitempty"`
	Start       string            `json:"start"`
	Limit       int               `json:"limit"`
}

type searchAttribute struct {
	Key   string `json:"key"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

// loadPlan is what a store is filled with through its Writer before it is asked.
type loadPlan struct {
	seed      uint64
	pool      int       // traces that are written again and again as others
	searches  int       // to make up
	stretches []stretch // one behind the other
}

// stretch is a time in which spans were released, evenly.
type stretch struct {
	spans    int
	from, to time.Time
}

func (s *stretch) calls() int { return max(1, s.spans/leastCallSpans) }

func (p *loadPlan) calls() (n int) {
	for i := range p.stretches {
		n += p.stretches[i].calls()
	}
	return n
}

// load fills the store in the folder, unless that was done before.
func load(ctx context.Context, folder string, plan *loadPlan) (loaded *loadedStore, err error) {
	record := filepath.Join(folder, "loaded.json")
	if text, err := os.ReadFile(record); err == nil {
		loaded = &loadedStore{}
		return loaded, json.Unmarshal(text, loaded)
	}
	l, err := openLoader(ctx, filepath.Join(folder, storedFolder), plan.seed, plan.pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.store.Close()) }()
	rng := rand.New(rand.NewPCG(plan.seed, 0x1a26e))
	loaded = &loadedStore{}
	for range plan.searches {
		loaded.Searches = append(loaded.Searches, pickSearch(rng, l.pool))
	}
	rareEvery := max(1, plan.calls()/rareValues)
	n := 0
	for _, s := range plan.stretches {
		calls := s.calls()
		step := s.to.Sub(s.from) / time.Duration(calls)
		half := 0
		for k := range calls {
			if k == calls/2 {
				half = len(loaded.IDs)
			}
			if err := loaded.write(ctx, l, rng, s.from.Add(time.Duration(k+1)*step), n, n%rareEvery == 0); err != nil {
				return nil, err
			}
			n++
		}
		loaded.Latest = loaded.IDs[half:]
	}
	loaded.Spans = l.spans
	text, err := json.Marshal(loaded)
	if err != nil {
		return nil, err
	}
	return loaded, os.WriteFile(record, text, 0o600)
}

// write writes the n-th call and remembers what it may be asked for.
func (s *loadedStore) write(ctx context.Context, l *loader, rng *rand.Rand, releasedAt time.Time, n int, rare bool) error {
	var restore func()
	c, err := l.write(ctx, releasedAt, func(c *storedCall) {
		if !rare || len(s.Rare) == rareValues {
			return
		}
		value := "rare-" + strconv.Itoa(n)
		if restore = setRare(c, value); restore != nil {
			s.Rare = append(s.Rare, value)
		}
	})
	if restore != nil {
		restore()
	}
	if err != nil {
		return err
	}
	for range idsPerCall {
		s.IDs = append(s.IDs, c.ids[rng.IntN(len(c.ids))].String())
	}
	return nil
}

// setRare gives one span of the call a value that no other has; nil where there is no place for it.
func setRare(c *storedCall, value string) (restore func()) {
	for _, rs := range c.td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if v, ok := span.Attributes().Get(rareKey); ok && v.Type() == pcommon.ValueTypeStr {
					before := v.Str()
					v.SetStr(value)
					return func() { v.SetStr(before) }
				}
			}
		}
	}
	return nil
}

// pickSearch asks for a span's service and operation, half its duration, and one of its attributes.
func pickSearch(rng *rand.Rand, p *pool) searchBody {
	for {
		td := p.calls[rng.IntN(len(p.calls))].td
		rs := td.ResourceSpans().At(rng.IntN(td.ResourceSpans().Len()))
		ss := rs.ScopeSpans().At(rng.IntN(rs.ScopeSpans().Len()))
		span := ss.Spans().At(rng.IntN(ss.Spans().Len()))
		duration := time.Duration(span.EndTimestamp()-span.StartTimestamp()) / 2
		key, value := pickText(rng, span)
		if key == "" || duration <= 0 {
			continue
		}
		return searchBody{
			Service: conventions.ServiceName(rs.Resource()), Operation: span.Name(), MinDuration: duration.String(),
			Attributes: []searchAttribute{{Key: key, Op: "=", Value: value}}, Limit: 20,
		}
	}
}

// pickText is one of the span's own attributes that are text.
func pickText(rng *rand.Rand, span ptrace.Span) (key, value string) {
	n := 0
	for k, v := range span.Attributes().All() {
		if v.Type() != pcommon.ValueTypeStr || len(k) > len(conventions.Prefix) && k[:len(conventions.Prefix)] == conventions.Prefix {
			continue
		}
		if n++; rng.IntN(n) == 0 {
			key, value = k, v.Str()
		}
	}
	return key, value
}
