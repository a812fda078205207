package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	maxStart = 1000 // ms
	starts   = 3
	// tailsFor is how long traffic runs at the target rate.
	tailsFor = time.Minute
	// maxRateMissed is the share of the target rate that may stay behind: traffic has an end, and its last requests an answer.
	maxRateMissed = 0.02
)

// limitedMemory lets the memory limiter count from 2 GiB, whatever the machine has.
const limitedMemory = "processors: {memory_limiter: {limit_mib: 1536, spike_limit_mib: 307}}\nextensions: {go_runtime: {}}\n"

// tails measures what the mean of a cost hides: how long senders wait and readers too while everything is busy, and whether memory is enough.
func (b *wholeBench) tails(ctx context.Context) ([]measure, error) {
	started, err := b.startUp(ctx)
	if err != nil {
		return nil, err
	}
	rate, err := b.atRate(ctx)
	if err != nil {
		return []measure{started}, err
	}
	batched, err := b.inBatches(ctx)
	return append([]measure{started}, append(rate, batched...)...), err
}

func (b *wholeBench) startUp(ctx context.Context) (measure, error) {
	var times []float64
	for range starts {
		began := time.Now()
		if err := b.with(ctx, nil, func(*collector, string) error {
			times = append(times, time.Since(began).Seconds()*1e3)
			return nil
		}); err != nil {
			return measure{}, err
		}
	}
	return measure{name: "start-up", figure: median(times), target: maxStart, unit: "ms until it is healthy, with an empty folder"}, nil
}

// atRate sends spans at once, at the target rate, with 2 GiB, and asks meanwhile.
func (b *wholeBench) atRate(ctx context.Context) (made []measure, err error) {
	err = b.with(ctx, []string{limitedMemory}, func(c *collector, _ string) error {
		load := b.load(int(b.rate*tailsFor.Seconds()), b.rate)
		var sent sending
		done := make(chan error, 1)
		go func() {
			var err error
			sent, err = load.send(ctx, c.at.grpc)
			done <- err
		}()
		b.askMeanwhile(ctx, c, done)
		if err := <-done; err != nil {
			return err
		}
		m, err := c.metrics(ctx)
		if err != nil {
			return err
		}
		b.printf("at %.0f traces/s, 2 GiB: requests answered in %.1f ms (p50), %.1f ms (p99), %d retries\n", b.rate, sent.p50, sent.p99, sent.retries)
		want := b.rate * float64(sent.spans) / float64(sent.traces)
		made = []measure{
			{
				name: "rate that was not taken", figure: max(0, 1-sent.perS/want), target: maxRateMissed, digits: 3, unit: "of the target rate",
				note: fmt.Sprintf("%.0f of %.0f spans/s", sent.perS, want),
			},
			{name: "refused by memory_limiter", figure: m["processor_refused_spans"], unit: "spans, with 2 GiB, when spans arrive at once"},
		}
		return nil
	})
	return made, err
}

// askMeanwhile asks for traces until the traffic has ended, whose end stays in done.
func (b *wholeBench) askMeanwhile(ctx context.Context, c *collector, done chan error) {
	var byID, search []float64
	rng := rand.New(rand.NewPCG(b.seed, 0x9a5))
	failed := 0
	for len(done) == 0 && ctx.Err() == nil {
		began := time.Now()
		ids, err := c.newest(ctx, 100)
		if err != nil || len(ids) == 0 {
			failed++
			_ = sleep(ctx, time.Second) // the context is looked at above
			continue
		}
		search = append(search, time.Since(began).Seconds()*1e3)
		for range 5 {
			began = time.Now()
			if err := c.ask(ctx, "/traces/"+ids[rng.IntN(len(ids))], nil, 200, nil); err != nil {
				failed++
				continue
			}
			byID = append(byID, time.Since(began).Seconds()*1e3)
		}
		_ = sleep(ctx, 100*time.Millisecond) // as above
	}
	if len(byID) == 0 || len(search) == 0 {
		b.printf("no query was answered meanwhile, %d failed\n", failed)
		return
	}
	b.printf("meanwhile: trace by id p50 %.1f, p99 %.1f ms of %d; newest 100 p50 %.1f, p95 %.1f ms of %d; %d failed or found nothing yet\n",
		percentile(byID, 0.5), percentile(byID, 0.99), len(byID), percentile(search, 0.5), percentile(search, 0.95), len(search), failed)
}

// newest are the ids of the traces that began last.
func (c *collector) newest(ctx context.Context, limit int) ([]string, error) {
	rows, err := c.newestRows(ctx, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].TraceID
	}
	return ids, nil
}

// inBatches sends spans as SDKs do, every 5 s, and divides what memory has grown by the spans that wait for the rest of their traces.
func (b *wholeBench) inBatches(ctx context.Context) (made []measure, err error) {
	err = b.with(ctx, nil, func(c *collector, _ string) error {
		pid := c.cmd.Process.Pid
		idle, err := residentMemory(pid)
		if err != nil {
			return err
		}
		load := b.load(int(b.rate*tailsFor.Seconds()), b.rate)
		load.batchDelay = 5 * time.Second
		done := make(chan error, 1)
		go func() {
			_, err := load.send(ctx, c.at.grpc)
			done <- err
		}()
		most := 0.0
		for len(done) == 0 && ctx.Err() == nil {
			m, err := c.metrics(ctx)
			if err != nil {
				return err
			}
			most = max(most, m[assemblyMetrics+"spans_in_flight"])
			_ = sleep(ctx, time.Second) // the context is looked at above
		}
		if err := <-done; err != nil {
			return err
		}
		peak, err := peakMemory(pid)
		if err != nil {
			return err
		}
		if most == 0 {
			return fmt.Errorf("no span was in flight")
		}
		made = []measure{{
			name: "memory with batches of 5 s", figure: float64(peak-idle) / most, target: maxBytesPerSpan, unit: "bytes a span in flight, of all that the process has grown",
			note: fmt.Sprintf("%.0f spans in flight at most, %d MiB resident at most, %d when idle", most, peak>>20, idle>>20),
		}}
		return nil
	})
	return made, err
}
