package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

// loader writes calls through the store's Writer, and says what a span costs as the store grows.
type loader struct {
	store *pebblestore.Store
	pool  *pool
	// idle is what making a call costs, CPU seconds a span.
	idle float64

	spans     int
	milestone int           // spans at which the cost is printed next
	since     int           // spans at the last one
	cpu       time.Duration // of the process, then
	clock     time.Time
}

func openLoader(ctx context.Context, folder string, seed uint64, traces int) (*loader, error) {
	made, err := newPool(ctx, seed, traces, callSpans)
	if err != nil {
		return nil, err
	}
	opened, err := pebblestore.Open(pebblestore.Options{Path: folder, Retention: 960 * time.Hour})
	if err != nil {
		return nil, err
	}
	l := &loader{store: opened, pool: made}
	before, spans := ownCPU(), 0
	for range 100 {
		spans += l.pool.take(time.Now().UnixNano()).spans
	}
	l.idle = (ownCPU() - before).Seconds() / float64(spans)
	l.begin(1_000_000)
	return l, nil
}

// begin begins to measure up to a milestone.
func (l *loader) begin(milestone int) {
	l.milestone, l.since, l.cpu, l.clock = milestone, l.spans, ownCPU(), time.Now()
}

// write writes one call, released at a time.
func (l *loader) write(ctx context.Context, releasedAt time.Time, prepare func(*storedCall)) (*storedCall, error) {
	c := l.pool.take(releasedAt.UnixNano())
	if prepare != nil {
		prepare(c)
	}
	if err := l.store.WriteCall(ctx, c.td); err != nil {
		return nil, fmt.Errorf("write a call: %w", err)
	}
	l.spans += c.spans
	if l.spans >= l.milestone {
		n := float64(l.spans - l.since)
		fmt.Printf("%4d million spans: %.2f CPU s per million, %.0f spans/s, %.1f bytes a span on disk\n", l.spans/1_000_000,
			((ownCPU()-l.cpu).Seconds()/n-l.idle)*millionsOfSpans, n/time.Since(l.clock).Seconds(),
			float64(l.store.Stats().DiskBytes)/float64(l.spans))
		l.begin(nextMilestone(l.spans))
	}
	return c, nil
}

// nextMilestone is the next of 1, 2, 5, 10, … million.
func nextMilestone(n int) int {
	for unit := 1_000_000; ; unit *= 10 {
		for _, times := range []int{1, 2, 5} {
			if unit*times > n {
				return unit * times
			}
		}
	}
}

// growth prints what a span costs while the store grows.
func (b *storeBench) growth(ctx context.Context) ([]measure, error) {
	return nil, b.inFolder(func(folder string) (err error) {
		l, err := openLoader(ctx, folder, b.seed, b.pool)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.store.Close()) }()
		fmt.Printf("cost of a span as a store grows to %d million, compactions included:\n", b.grown/1_000_000)
		for l.spans < b.grown {
			if _, err := l.write(ctx, time.Now(), nil); err != nil {
				return err
			}
		}
		return nil
	})
}
