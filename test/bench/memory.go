package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// maxBytesPerSpan is the target.
const maxBytesPerSpan = 2500

// heldSpans is how many the memory measure holds, and a quarter of it with --quick.
const heldSpans = 1_000_000

// holding is a trace_assembly that releases nothing while it is measured, whatever it is sent.
func holding(string) pipeline {
	const long = "5m"
	return pipeline{processors: []component{{"trace_assembly", map[string]any{
		"linger": long, "quiet": map[string]any{"min": long, "max": long}, "max_wait": long, "memory_limit_bytes": int64(16 << 30),
	}}}, raw: true}
}

// heap is what Go says of its heap after a collection.
type heap struct {
	inUse   int64 // bytes of the pages that hold objects
	objects int64 // bytes of the objects
}

// measureMemory holds spans in open traces and divides what the heap has grown by their number.
func measureMemory(ctx context.Context, b *bench, o *assemblyOptions) ([]measure, error) {
	load := b.traffic
	load.traces = heldSpans / spansPerTrace
	if o.quick {
		load.traces /= 4
	}
	load.reuse = min(load.traces, poolTraces)
	var m measure
	err := b.with(ctx, holding, true, "", func(c *collector) error {
		before, err := c.heap(ctx)
		if err != nil {
			return err
		}
		if _, err := load.send(ctx, c.at.grpc); err != nil {
			return err
		}
		after, err := c.heap(ctx)
		if err != nil {
			return err
		}
		of, err := c.metrics(ctx)
		if err != nil {
			return err
		}
		resident, err := residentMemory(c.cmd.Process.Pid)
		if err != nil {
			return err
		}
		spans := of["processor_trace_assembly_spans_in_flight"]
		if spans == 0 {
			return fmt.Errorf("no span is in flight, %v were received", of["processor_trace_assembly_spans_received"])
		}
		m = measure{
			name: "bytes per span in flight", figure: float64(after.inUse-before.inUse) / spans, target: maxBytesPerSpan, unit: "bytes of Go heap in use after GC",
			note: fmt.Sprintf("%.0f spans of %.0f traces held; objects alone %.0f bytes a span; trace_assembly's own estimate (bytes_in_flight) %.0f; resident set %d MiB",
				spans, of["processor_trace_assembly_traces_open"], float64(after.objects-before.objects)/spans,
				of["processor_trace_assembly_bytes_in_flight"]/spans, resident>>20),
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	return []measure{m}, nil
}

// heap collects garbage twice, because what is pooled survives once, and reads the heap's size.
func (c *collector) heap(ctx context.Context) (heap, error) {
	const path = "/debug/pprof/heap?gc=1&debug=1"
	if _, err := c.get(ctx, c.at.profile, path); err != nil {
		return heap{}, err
	}
	page, err := c.get(ctx, c.at.profile, path)
	if err != nil {
		return heap{}, err
	}
	return parseHeap(page)
}

// parseHeap reads the runtime's figures at the end of a heap profile in text: lines like "# HeapInuse = 37617664".
func parseHeap(page []byte) (h heap, err error) {
	found := 0
	lines := bufio.NewScanner(bytes.NewReader(page))
	lines.Buffer(nil, len(page)+1)
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# "), " = ")
		if !ok {
			continue
		}
		to := map[string]*int64{"HeapInuse": &h.inUse, "HeapAlloc": &h.objects}[name]
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseInt(value, 10, 64); err != nil {
			return h, fmt.Errorf("read %s of the heap profile: %w", name, err)
		}
		found++
	}
	if found != 2 {
		return h, fmt.Errorf("the heap profile has %d of 2 figures", found)
	}
	return h, lines.Err()
}
