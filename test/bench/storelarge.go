package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Targets of the large store, while it is written to at half speed.
const (
	maxByID       = 10   // ms, 99th percentile
	maxSearch     = 100  // ms, 95th
	maxRare       = 1000 // ms, the longest
	maxAggregates = 100  // ms, 95th
	maxOpen       = 2000 // ms
)

const (
	rareKey    = "session.id" // which most traces have
	rareValues = 10
	// idsPerCall is how many of a call's traces are asked for by id.
	idsPerCall = 4
	// usualPerS is the rate, spans a second, whose half is written while queries run if write did not say what is the most.
	usualPerS = 60_000
)

// loadedStore is what large asks for. It is kept beside the data.
type loadedStore struct {
	Spans    int
	IDs      []string
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

// large loads many days, starts the product on them, and times queries while it is written to.
func (b *storeBench) large(ctx context.Context) (made []measure, err error) {
	measureLarge := func(folder string) (err error) {
		loaded, err := b.load(ctx, folder)
		if err != nil {
			return err
		}
		made, err = b.query(ctx, folder, loaded)
		return err
	}
	if b.keep {
		err = measureLarge(filepath.Join(b.folder, "store-large"))
	} else {
		err = b.inFolder(measureLarge)
	}
	return made, err
}

// load fills the folder, unless that was done before.
func (b *storeBench) load(ctx context.Context, folder string) (loaded *loadedStore, err error) {
	record := filepath.Join(folder, "loaded.json")
	if text, err := os.ReadFile(record); err == nil {
		loaded = &loadedStore{}
		return loaded, json.Unmarshal(text, loaded)
	}
	l, err := openLoader(ctx, filepath.Join(folder, storedFolder), b.seed, b.pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.store.Close()) }()
	rng := rand.New(rand.NewPCG(b.seed, 0x1a26e))
	loaded = &loadedStore{}
	for range max(b.queries/10, 20) {
		loaded.Searches = append(loaded.Searches, pickSearch(rng, l.pool))
	}
	fmt.Printf("load %d million spans over %d days:\n", b.loaded/1_000_000, b.days)
	now := time.Now()
	calls := max(b.days, b.loaded/leastCallSpans)
	rareEvery := max(1, calls/rareValues)
	for n := range calls {
		at := now.Add(-time.Duration(float64(b.days) * 24 * float64(time.Hour) * (1 - float64(n+1)/float64(calls))))
		var restore func()
		c, err := l.write(ctx, at, func(c *storedCall) {
			if n%rareEvery == 0 && len(loaded.Rare) < rareValues {
				value := "rare-" + strconv.Itoa(n)
				if restore = setRare(c, value); restore != nil {
					loaded.Rare = append(loaded.Rare, value)
				}
			}
		})
		if restore != nil {
			restore()
		}
		if err != nil {
			return nil, err
		}
		for range idsPerCall {
			loaded.IDs = append(loaded.IDs, c.ids[rng.IntN(len(c.ids))].String())
		}
	}
	loaded.Spans = l.spans
	text, err := json.Marshal(loaded)
	if err != nil {
		return nil, err
	}
	return loaded, os.WriteFile(record, text, 0o600)
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

// query starts the product on what is loaded.
func (b *storeBench) query(ctx context.Context, folder string, loaded *loadedStore) (made []measure, err error) {
	p := b.product(folder)
	began := time.Now()
	c, err := p.start(ctx, keepAll)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	fmt.Printf("opened %d spans in %.2f s\n", loaded.Spans, time.Since(began).Seconds())
	perS := b.besideQueries()
	beside, err := b.writeBeside(ctx, c, perS)
	if err != nil {
		return nil, err
	}
	defer beside.stop()
	made = b.askAll(ctx, c, loaded)
	if err := beside.failure(); err != nil {
		return made, err
	}
	resident, err := residentMemory(c.cmd.Process.Pid)
	if err != nil {
		return made, err
	}
	for i := range made {
		if made[i].note == "" {
			made[i].note = fmt.Sprintf("%d spans over %d days, writing %.0f spans/s", loaded.Spans, b.days, perS)
		}
	}
	fmt.Printf("%d MiB resident\n", resident>>20)
	opened, err := b.reopen(ctx, p, c, loaded)
	return append(made, opened...), err
}

// besideQueries is how many spans a second are written while queries run.
func (b *storeBench) besideQueries() float64 {
	switch {
	case b.beside < 0:
		return 0
	case b.beside > 0:
		return b.beside
	case b.perS > 0:
		return b.perS / 2
	}
	return usualPerS / 2
}

// besideWriting is traffic that is sent while something else is measured.
type besideWriting struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // how, readable then
}

// writeBeside sends the product spans until stop is called.
func (b *storeBench) writeBeside(ctx context.Context, c *collector, perS float64) (*besideWriting, error) {
	writing, cancel := context.WithCancel(ctx)
	w := &besideWriting{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if perS == 0 {
			<-writing.Done()
			return
		}
		load := traffic{tracegen: b.tracegen, traces: 1_000_000_000, rate: perS / spansPerTrace, reuse: 5000, seed: b.seed + 1}
		_, w.err = load.send(writing, c.at.grpc)
	}()
	return w, sleep(ctx, 5*time.Second) // tracegen encodes first
}

// failure is not nil where the traffic has ended by itself.
func (w *besideWriting) failure() error {
	select {
	case <-w.done:
		return fmt.Errorf("writing ended while queries ran: %w", w.err)
	default:
		return nil
	}
}

// stop ends the traffic.
func (w *besideWriting) stop() {
	w.cancel()
	<-w.done
}

// askAll asks every kind of question.
func (b *storeBench) askAll(ctx context.Context, c *collector, loaded *loadedStore) (made []measure) {
	rng := rand.New(rand.NewPCG(b.seed, 0xa5c))
	window := "-" + (time.Duration(b.days+1) * 24 * time.Hour).String()
	ask := func(name string, n int, share, target float64, one func(i int) error) {
		var times []float64
		for i := range n {
			began := time.Now()
			err := one(i)
			if ctx.Err() != nil {
				return
			}
			if err != nil { // the other questions are still worth asking
				made = append(made, measure{name: name, absent: err.Error(), target: target, unit: "ms"})
				return
			}
			times = append(times, time.Since(began).Seconds()*1e3)
		}
		made = append(made, measure{name: fmt.Sprintf("%s, %s of %d", name, percentName(share), n), figure: percentile(times, share), target: target, digits: 1, unit: "ms"})
		fmt.Printf("%-28s p50 %.1f  p95 %.1f  p99 %.1f  most %.1f ms\n", name, percentile(times, 0.5), percentile(times, 0.95), percentile(times, 0.99), percentile(times, 1))
	}
	ask("trace by id", b.queries, 0.99, maxByID, func(int) error {
		return c.ask(ctx, "/traces/"+loaded.IDs[rng.IntN(len(loaded.IDs))], nil, 200, nil)
	})
	ask("unknown id", b.queries, 0.99, maxByID, func(int) error {
		return c.ask(ctx, fmt.Sprintf("/traces/%016x%016x", rng.Uint64()|1, rng.Uint64()), nil, 404, nil)
	})
	ask("search", len(loaded.Searches), 0.95, maxSearch, func(i int) error {
		body := loaded.Searches[i]
		body.Start = window
		return c.search(ctx, &body, 1)
	})
	ask("rare attribute", len(loaded.Rare), 1, maxRare, func(i int) error {
		return c.search(ctx, &searchBody{Attributes: []searchAttribute{{rareKey, "=", loaded.Rare[i]}}, Start: window, Limit: 20}, 1)
	})
	ask("attribute that nobody has", rareValues, 1, maxRare, func(i int) error {
		return c.search(ctx, &searchBody{Attributes: []searchAttribute{{rareKey, "=", "nobody-" + strconv.Itoa(i)}}, Start: window, Limit: 20}, 0)
	})
	for _, path := range []string{"operations", "services"} {
		ask(path+" of the last hour", 40, 0.95, maxAggregates, func(int) error { return c.ask(ctx, "/traces/"+path+"?start=-1h", nil, 200, nil) })
		ask(path+" of an hour", 40, 0.95, maxAggregates, func(int) error {
			ago := 2 + rng.IntN(max(1, b.days*24-4))
			return c.ask(ctx, fmt.Sprintf("/traces/%s?start=-%dh&end=-%dh", path, ago, ago-1), nil, 200, nil)
		})
	}
	return made
}

// reopen kills the process under writing, and measures until it answers again.
func (b *storeBench) reopen(ctx context.Context, p *product, c *collector, loaded *loadedStore) (made []measure, err error) {
	if err := c.cmd.Process.Kill(); err != nil {
		return nil, err
	}
	<-c.done
	began := time.Now()
	again, err := p.start(ctx, keepAll)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, again.stop()) }()
	if err := again.ask(ctx, "/traces/"+loaded.IDs[0], nil, 200, nil); err != nil {
		return nil, err
	}
	return []measure{{
		name: "open after kill -9", figure: time.Since(began).Seconds() * 1e3, target: maxOpen, unit: "ms",
		note: "from the start of the process to its first answer",
	}}, nil
}
