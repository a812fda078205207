package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"
)

// Targets of the large store, while it is written to at half speed.
const (
	maxByID       = 10   // ms, 99th percentile
	maxSearch     = 100  // ms, 95th
	maxRare       = 1000 // ms, the longest
	maxAggregates = 100  // ms, 95th
	maxOpen       = 2000 // ms
)

// usualPerS is the rate, spans a second, whose half is written while queries run if write did not say what is the most.
const usualPerS = 60_000

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

// load fills the folder with calls of many days.
func (b *storeBench) load(ctx context.Context, folder string) (*loadedStore, error) {
	fmt.Printf("load %d million spans over %d days:\n", b.loaded/1_000_000, b.days)
	now := time.Now()
	return load(ctx, folder, &loadPlan{
		seed: b.seed, pool: b.pool, searches: max(b.queries/10, 20),
		stretches: []stretch{{max(b.days*leastCallSpans, b.loaded), now.AddDate(0, 0, -b.days), now}},
	})
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
	beside, err := writeBeside(ctx, c, b.tracegen, b.seed+1, perS)
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

// askAll asks every kind of question.
func (b *storeBench) askAll(ctx context.Context, c *collector, loaded *loadedStore) []measure {
	rng := rand.New(rand.NewPCG(b.seed, 0xa5c))
	window := "-" + (time.Duration(b.days+1) * 24 * time.Hour).String()
	a := asker{ctx: ctx}
	a.byID(c, rng, loaded, b.queries, 0.99, maxByID)
	a.ask("search", len(loaded.Searches), 0.95, maxSearch, func(i int) error {
		body := loaded.Searches[i]
		body.Start = window
		return c.search(ctx, &body, 1, anyNumber)
	})
	a.ask("rare attribute", len(loaded.Rare), 1, maxRare, func(i int) error {
		return c.search(ctx, &searchBody{Attributes: []searchAttribute{{rareKey, "=", loaded.Rare[i]}}, Start: window, Limit: 20}, 1, 1)
	})
	a.ask("attribute that nobody has", rareValues, 1, maxRare, func(i int) error {
		return c.search(ctx, &searchBody{Attributes: []searchAttribute{{rareKey, "=", "nobody-" + strconv.Itoa(i)}}, Start: window, Limit: 20}, 0, 0)
	})
	for _, path := range []string{"operations", "services"} {
		a.ask(path+" of the last hour", 40, 0.95, maxAggregates, func(int) error { return c.ask(ctx, "/traces/"+path+"?start=-1h", nil, 200, nil) })
		a.ask(path+" of an hour", 40, 0.95, maxAggregates, func(int) error {
			ago := 2 + rng.IntN(max(1, b.days*24-4))
			return c.ask(ctx, fmt.Sprintf("/traces/%s?start=-%dh&end=-%dh", path, ago, ago-1), nil, 200, nil)
		})
	}
	return a.made
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
