package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// maxHoldingRatio is the target: "flat", as we read it.
const maxHoldingRatio = 1.5

// heldTraces are the numbers of traces in flight between which the cost of a span must be flat. The first costs decoding
// alone: nothing is held.
var heldTraces = []int{0, 10_000, 100_000, 1_000_000}

// measureHeld compares what a span costs while few and while many traces are in flight. A process of its own for each
// number begins with an empty heap. One round is enough: garbage collections even out within it.
func measureHeld(ctx context.Context, b *bench, _ *assemblyOptions) ([]measure, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cost := make([]float64, 0, len(heldTraces)) // CPU s per million spans
	fmt.Println()
	for _, traces := range heldTraces {
		r, err := runHold(ctx, b, program, traces)
		if err != nil {
			return nil, fmt.Errorf("hold %d traces: %w", traces, err)
		}
		fmt.Printf("%d traces of one span in flight: %.2f CPU s per million spans, over %d spans and %d garbage collections\n",
			r.Held, r.CPU, r.Spans, r.Collections)
		cost = append(cost, r.CPU)
	}
	base := cost[0]
	few, some, many := cost[1]-base, cost[2]-base, cost[3]-base
	return []measure{{
		name: "cost per span at 1 million traces in flight, by that at 10 thousand", figure: many / few, target: maxHoldingRatio, digits: 2,
		unit: "times; 1.5 is our reading of \"flat\"",
		note: fmt.Sprintf("above decoding (%.2f CPU s per million spans): %.2f at 10 thousand, %.2f at 100 thousand, %.2f at 1 million", base, few, some, many),
	}}, nil
}

func runHold(ctx context.Context, b *bench, program string, traces int) (r holdResult, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, holdCommand, "--traces", strconv.Itoa(traces))
	cmd.Env = append(os.Environ(), b.environment...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return r, fmt.Errorf("read its result: %w", err)
	}
	return r, nil
}
