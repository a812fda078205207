package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// holdSample is the time between two samples of hold.
	holdSample = 10 * time.Second
	// maxMemoryGrowth is by how much the process may be larger at the end than after a fifth of the time.
	maxMemoryGrowth = 1.1
	sampledShare    = 0.01 // of the traces
	searchLimit     = 1000 // of the API
	// sampleReaders is how many traces are read at a time: one after the other they would not be done before the next sample.
	sampleReaders = 4
)

// holdRow is what is read of a trace in a sample.
type holdRow struct {
	TraceID        string `json:"trace_id"`
	SpanCount      int    `json:"span_count"`
	Outcome        string `json:"outcome"`
	MissingParents int    `json:"missing_parents"`
}

// newestRows are the traces that began last.
func (c *collector) newestRows(ctx context.Context, limit int) ([]holdRow, error) {
	var answer struct {
		Traces []holdRow `json:"traces"`
	}
	err := c.ask(ctx, "/traces/search", &searchBody{Start: "-1m", Limit: limit}, http.StatusOK, &answer)
	return answer.Traces, err
}

// holdRate sends at the target rate for long, reads one trace in a hundred by its id while that goes on, and watches memory.
func (b *wholeBench) holdRate(ctx context.Context) (made []measure, err error) {
	err = b.with(ctx, nil, func(c *collector, _ string) error {
		pid := c.cmd.Process.Pid
		load := b.load(int(b.rate*b.hold.Seconds()), b.rate)
		var sent sending
		done := make(chan error, 1)
		began := time.Now()
		go func() {
			var err error
			sent, err = load.send(ctx, c.at.grpc)
			done <- err
		}()
		s := &holdSamples{}
		for len(done) == 0 && ctx.Err() == nil {
			next := time.Now().Add(holdSample)
			resident, err := residentMemory(pid)
			if err != nil {
				return err
			}
			s.memory = append(s.memory, float64(resident))
			if err := b.sample(ctx, c, s); err != nil {
				return err
			}
			_ = sleep(ctx, time.Until(next)) // the context is looked at above
		}
		if err := <-done; err != nil {
			return err
		}
		took := time.Since(began)
		if _, err := c.settle(ctx, stored(sent.spans)); err != nil {
			return err
		}
		atOnce := s.partial
		s.partial = nil
		if err := b.readRows(ctx, c, s, atOnce); err != nil {
			return err
		}
		m, err := c.metrics(ctx)
		if err != nil {
			return err
		}
		want := b.rate * float64(sent.spans) / float64(sent.traces)
		made = []measure{
			{
				name: "rate not held", figure: max(0, 1-sent.perS/want), target: maxRateMissed, digits: 3, unit: "of the target rate",
				note: fmt.Sprintf("%.0f of %.0f spans/s for %s, %d retries", sent.perS, want, took.Round(time.Second), sent.retries),
			},
			{name: "spans lost", figure: float64(sent.spans) - m[spansStored] - m[assemblyMetrics+"spans_duplicate"], unit: "spans of those acknowledged"},
			{
				name: "partial traces", figure: float64(len(s.partial)), unit: "of the sample",
				note: fmt.Sprintf("%d traces read by id while spans came, %.2f %% of all; %d of them lacked spans, all marked so, and were read again at the end",
					s.read, 100*float64(s.read)/float64(sent.traces), len(atOnce)),
			},
			s.growth(),
		}
		return nil
	})
	return made, err
}

// holdSamples is what hold has seen.
type holdSamples struct {
	memory []float64 // bytes resident
	read   int
	// partial are the traces that lacked spans when they were read. Where requests are refused and sent again, a trace can be
	// read before its last spans are taken.
	partial []holdRow
}

// sample reads one in a hundred of the traces of a sample's time by their ids, in pages of the newest.
func (b *wholeBench) sample(ctx context.Context, c *collector, s *holdSamples) error {
	wanted := int(b.rate * holdSample.Seconds() * sampledShare)
	rows, err := c.newestRows(ctx, min(wanted, searchLimit))
	if err != nil {
		return err
	}
	s.read += len(rows)
	return b.readRows(ctx, c, s, rows)
}

// readRows reads traces by their ids, and adds those that are not whole to s.
func (b *wholeBench) readRows(ctx context.Context, c *collector, s *holdSamples, rows []holdRow) (err error) {
	left := make(chan holdRow, len(rows))
	for _, row := range rows {
		left <- row
	}
	close(left)
	results := make(chan error, sampleReaders)
	var mu sync.Mutex
	for range sampleReaders {
		go func() {
			results <- c.readSample(ctx, left, func(trace holdRow) {
				mu.Lock()
				defer mu.Unlock()
				s.partial = append(s.partial, trace)
			})
		}()
	}
	for range sampleReaders {
		err = errors.Join(err, <-results)
	}
	return err
}

// readSample reads traces by their ids, and hands on those that are not whole. It is an error if a trace lacks spans and does
// not say so.
func (c *collector) readSample(ctx context.Context, rows <-chan holdRow, partial func(holdRow)) error {
	for row := range rows {
		var trace holdRow
		if err := c.ask(ctx, "/traces/"+row.TraceID, nil, http.StatusOK, &trace); err != nil {
			return err
		}
		// A trace that was released before its last span came has a row of less; it is read after that.
		if trace.SpanCount < row.SpanCount || trace.Outcome == "" {
			return fmt.Errorf("trace %s: read by its id it has %d spans and outcome %q, its row has %d", row.TraceID, trace.SpanCount, trace.Outcome, row.SpanCount)
		}
		if trace.MissingParents > 0 {
			partial(trace)
		}
	}
	return nil
}

// growth is memory at the end by that after a fifth of the time, when pools and caches are full; each is the most of a fifth.
func (s *holdSamples) growth() measure {
	m := measure{name: "growth of memory", target: maxMemoryGrowth, digits: 2, unit: "times: the most of the last fifth by the most of the second"}
	fifth := len(s.memory) / 5
	if fifth == 0 {
		m.absent = fmt.Sprintf("%d samples are too few", len(s.memory))
		return m
	}
	most := func(values []float64) (highest float64) {
		for _, v := range values {
			highest = max(highest, v)
		}
		return highest
	}
	early, late := most(s.memory[fifth:2*fifth]), most(s.memory[len(s.memory)-fifth:])
	m.figure, m.note = late/early, fmt.Sprintf("%.0f MiB, then %.0f MiB resident", early/(1<<20), late/(1<<20))
	return m
}
