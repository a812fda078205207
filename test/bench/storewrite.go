package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	maxWriteCPU     = 2.0 // CPU seconds per million spans
	maxBytesOnDisk  = 38.0
	maxOfGrouped    = 0.5
	maxWriteMemory  = 500 // MiB
	groupedBlock    = 256 << 10
	groupedTraces   = 3000
	storedFolder    = "traces" // of config/tracewright.yaml, in the data folder
	spansStored     = "extension_trace_store_spans"
	millionsOfSpans = 1e6
)

// writing is how the product runs.
type writing struct {
	name    string
	toStore bool
	// keeping says that calls are not given back by the store. Without the store nobody gives any back: what that saves, in trace_assembly, is
	// not to be taken off what the store costs.
	keeping bool
}

var (
	asItIs  = writing{"as it is", true, false}
	with    = writing{"calls not given back", true, true}
	without = writing{"and without the store", false, true}
)

// write sends the product traffic, with the store and without, and measures what the store adds, what it takes on disk afterwards, and
// memory.
func (b *storeBench) write(ctx context.Context) ([]measure, error) {
	load := traffic{tracegen: b.tracegen, traces: b.spans / spansPerTrace, rate: b.rate, reuse: min(b.spans/spansPerTrace, poolTraces), seed: b.seed}
	readings := make(map[writing][]reading)
	var onDisk float64
	for round := range b.rounds {
		for _, w := range []writing{without, with, asItIs} {
			r, bytes, err := b.writeOnce(ctx, load, w, w == asItIs && round == b.rounds-1)
			if err != nil {
				return nil, err
			}
			fmt.Printf("round %d, %-21s  %d spans, %.2f CPU s per million, %.0f spans/s, peak %d MiB, %d retries\n",
				round+1, w.name, r.spans, r.cpuPerMillion(), r.perS, r.peak>>20, r.retries)
			readings[w] = append(readings[w], r)
			if w == asItIs {
				onDisk = bytes
			}
		}
	}
	b.perS = medianOf(readings[asItIs], func(r reading) float64 { return r.perS })
	grouped, err := groupedSize(b.seed, groupedTraces, groupedBlock)
	if err != nil {
		return nil, err
	}
	return []measure{
		{
			name: "write cost", figure: medianDifference(readings[with], readings[without]), target: maxWriteCPU, digits: 2, unit: "CPU s per million spans",
			note: fmt.Sprintf("calls not given back: the whole product %.2f, without the store's exporter %.2f; as it is %.2f, until nothing works any more, %.0f spans/s",
				medianOf(readings[with], reading.cpuPerMillion), medianOf(readings[without], reading.cpuPerMillion), medianOf(readings[asItIs], reading.cpuPerMillion), b.perS),
		},
		{name: "disk", figure: onDisk, target: maxBytesOnDisk, digits: 1, unit: "bytes a span, by du " + b.settled.String() + " after the last write"},
		{
			name: "disk against zstd -3", figure: onDisk / grouped, target: maxOfGrouped, digits: 2, unit: "of the OTLP",
			note: fmt.Sprintf("which takes %.1f bytes a span, grouped by trace at 256 KiB, without annotations", grouped),
		},
		{name: "memory at full write speed", figure: medianOf(readings[asItIs], func(r reading) float64 { return float64(r.peak >> 20) }), target: maxWriteMemory, unit: "MiB resident at most"},
	}, nil
}

// writeOnce is one run; onDisk is measured where measureDisk says so.
func (b *storeBench) writeOnce(ctx context.Context, load traffic, w writing, measureDisk bool) (r reading, onDisk float64, err error) {
	err = b.inFolder(func(folder string) (err error) {
		overlay, empty := "", stored
		if !w.toStore {
			overlay, empty = withoutStore, released
		}
		p := b.product(folder)
		if w.keeping {
			p.arguments = []string{"--feature-gates=-tracewright.handback"}
		}
		c, err := p.start(ctx, overlay)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		pid := c.cmd.Process.Pid
		before, err := cpuTime(pid)
		if err != nil {
			return err
		}
		sent, err := load.send(ctx, c.at.grpc)
		if err != nil {
			return err
		}
		peak, err := peakMemory(pid)
		if err != nil {
			return err
		}
		last := time.Now()
		after, err := c.settle(ctx, empty(sent.spans))
		if err != nil {
			return err
		}
		r = reading{spans: sent.spans, cpu: after - before, perS: sent.perS, peak: peak, retries: sent.retries}
		if measureDisk {
			onDisk, err = b.bytesASpan(ctx, c, folder, last)
		}
		return err
	})
	return r, onDisk, err
}

// bytesASpan is what a stored span takes on disk some time after the last was written.
func (b *storeBench) bytesASpan(ctx context.Context, c *collector, folder string, last time.Time) (float64, error) {
	if err := sleep(ctx, time.Until(last.Add(b.settled))); err != nil {
		return 0, err
	}
	m, err := c.metrics(ctx)
	if err != nil {
		return 0, err
	}
	bytes, err := diskUsage(filepath.Join(folder, storedFolder))
	if err != nil {
		return 0, err
	}
	if m[spansStored] == 0 {
		return 0, errors.New("no span is stored")
	}
	return float64(bytes) / m[spansStored], nil
}

// slowly sends little for long, and measures the disk: a quiet system must not have its traces in pieces.
func (b *storeBench) slowly(ctx context.Context) (made []measure, err error) {
	rate := b.slowRate / spansPerTrace
	traces := max(1, int(rate*b.slow.Seconds()))
	load := traffic{tracegen: b.tracegen, traces: traces, rate: rate, reuse: min(traces, poolTraces), seed: b.seed}
	err = b.inFolder(func(folder string) (err error) {
		c, err := b.product(folder).start(ctx, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		sent, err := load.send(ctx, c.at.grpc)
		if err != nil {
			return err
		}
		last := time.Now()
		if _, err := c.settle(ctx, stored(sent.spans)); err != nil {
			return err
		}
		onDisk, err := b.bytesASpan(ctx, c, folder, last)
		if err != nil {
			return err
		}
		made = []measure{{
			name: "disk of a quiet system", figure: onDisk, target: maxBytesOnDisk, digits: 1,
			unit: fmt.Sprintf("bytes a span after %s of %.0f spans/s", b.slow, b.slowRate),
		}}
		return nil
	})
	return made, err
}
