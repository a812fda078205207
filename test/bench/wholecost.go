package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// maxWholeCost is the most that the whole default pipeline may cost, in CPU seconds per million spans.
const maxWholeCost = 7.5

// floorOfTarget is what receiving and decoding alone took on the machine where maxWholeCost was set, by the upper of its two figures. Machines differ by
// more than what is measured, so the note says both by their ratio too; the target is maxWholeCost.
const floorOfTarget = 2.8

// wholeStage is the product's pipeline cut off behind one of its stages.
type wholeStage struct {
	name    string
	overlay string
	empty   func(sent int64) drained
	budget  float64 // CPU seconds per million spans above the stage before, by the architecture
}

// wholeStages are the cuts, each with one stage more than the one before.
func wholeStages() []wholeStage {
	cut := func(processors, more string) string {
		return "exporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [otlp], processors: [" + processors + "], exporters: [nop]}}}\n" + more
	}
	return []wholeStage{
		{
			"otlp → nop",
			cut("memory_limiter", "receivers: {otlp: {protocols: {grpc: {middlewares: []}, http: {middlewares: []}}}}\n"), received, 3.0,
		},
		{
			"+ trace_assembly",
			cut("memory_limiter, trace_assembly/bare", "processors: {trace_assembly/bare: {storage: file_storage}}\n"), released, 0.8,
		},
		{"+ journal", cut("memory_limiter, trace_assembly", ""), released, 0.7},
		{"+ trace_analysis", cut("memory_limiter, trace_assembly, trace_analysis", ""), released, 1.0},
		{"+ trace_store", "", stored, 2.0},
	}
}

// cost runs the stages in turns, so that what else the machine does meets all alike, and verifies what the last of them stored; not where
// profiles are kept, which would be of the reading too.
func (b *wholeBench) cost(ctx context.Context) ([]measure, error) {
	stages := wholeStages()
	readings := make([][]reading, len(stages))
	var wrong measure
	for round := range b.rounds {
		for i := range stages {
			verified := i == len(stages)-1 && round == b.rounds-1 && b.profiles == ""
			r, bad, err := b.costOnce(ctx, &stages[i], "whole", round, verified)
			if err != nil {
				return nil, fmt.Errorf("stage %q: %w", stages[i].name, err)
			}
			if verified {
				wrong = bad
			}
			fmt.Printf("round %d  %-17s %.2f CPU s per million spans, %.0f spans/s, peak %d MiB, %d retries\n",
				round+1, stages[i].name, r.cpuPerMillion(), r.perS, r.peak>>20, r.retries)
			readings[i] = append(readings[i], r)
		}
	}
	rows := [][]string{{"stage", "CPU s/Mspan", "above the one before", "budget", "ratio to otlp → nop", "spans/s", "peak RSS MiB", "retries"}}
	format := func(value float64, digits int) string { return strconv.FormatFloat(value, 'f', digits, 64) }
	for i := range stages {
		above := medianOf(readings[i], reading.cpuPerMillion)
		if i > 0 {
			above = medianDifference(readings[i], readings[i-1])
		}
		rows = append(rows, []string{
			stages[i].name, format(medianOf(readings[i], reading.cpuPerMillion), 2), format(above, 2), format(stages[i].budget, 1),
			format(medianOf(readings[i], reading.cpuPerMillion)/medianOf(readings[0], reading.cpuPerMillion), 2),
			format(medianOf(readings[i], func(r reading) float64 { return r.perS }), 0),
			format(medianOf(readings[i], func(r reading) float64 { return float64(r.peak >> 20) }), 0),
			format(medianOf(readings[i], func(r reading) float64 { return float64(r.retries) }), 0),
		})
	}
	var table bytes.Buffer
	printTable(&table, rows)
	b.printf("%s", table.String())
	whole, floor := medianOf(readings[len(stages)-1], reading.cpuPerMillion), medianOf(readings[0], reading.cpuPerMillion)
	measures := []measure{{
		name: "CPU of the whole default pipeline", figure: whole, target: maxWholeCost, digits: 2,
		unit: "CPU s per million spans, until nothing works any more",
		note: fmt.Sprintf("%.2f times otlp → nop, which takes %.2f on this machine; %.1f is %.2f times the %.1f that it took where the target was set",
			whole/floor, floor, maxWholeCost, maxWholeCost/floorOfTarget, floorOfTarget),
	}}
	if b.profiles != "" {
		last := len(stages) - 1
		return measures, where(b.profileFile("whole", b.rounds-1, stages[last].name), readings[last][b.rounds-1].spans)
	}
	return append(measures, wrong), nil
}

func (b *wholeBench) costOnce(ctx context.Context, s *wholeStage, build string, round int, verified bool) (r reading, wrong measure, err error) {
	profile := "" // which is an overlay that changes nothing
	if b.profiles != "" {
		if profile, err = profileOverlay(ctx, b.profileFile(build, round, s.name)); err != nil {
			return r, wrong, err
		}
	}
	err = b.with(ctx, []string{s.overlay, profile}, func(c *collector, folder string) error {
		load := b.load(b.spans/spansPerTrace, 0)
		if verified {
			load.expect = filepath.Join(folder, "truth.jsonl")
		}
		if r, err = c.measure(ctx, load, s.empty); err != nil || !verified {
			return err
		}
		wrong, err = b.verify(ctx, c, load.expect)
		return err
	})
	return r, wrong, err
}

// measure sends a product traffic and waits until nothing works any more.
func (c *collector) measure(ctx context.Context, load traffic, empty func(sent int64) drained) (reading, error) {
	pid := c.cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return reading{}, err
	}
	sent, err := load.send(ctx, c.at.grpc)
	if err != nil {
		return reading{}, err
	}
	peak, err := peakMemory(pid)
	if err != nil {
		return reading{}, err
	}
	after, err := c.settle(ctx, empty(sent.spans))
	if err != nil {
		return reading{}, err
	}
	return reading{spans: sent.spans, cpu: after - before, perS: sent.perS, peak: peak, retries: sent.retries}, nil
}

// verify compares every trace with the truth.
func (b *wholeBench) verify(ctx context.Context, c *collector, truth string) (measure, error) {
	m := measure{name: "traces lost, partial or differing", unit: "traces"}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.tracegen, "verify", truth, "--only", "traces", "--api", fmt.Sprintf("http://127.0.0.1:%d", c.at.query),
		"--timeout", drainTimeout.String(), "--concurrency", "2")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return m, err
	}
	var sent, found, missing, partial, surplus, differing int
	if _, scan := fmt.Sscanf(stdout.String(), "traces %d sent: %d found, %d missing, %d partial, %d surplus, %d differing;",
		&sent, &found, &missing, &partial, &surplus, &differing); scan != nil {
		return m, fmt.Errorf("read what tracegen verify found: %w: %s %s", scan, stdout.String(), stderr.String())
	}
	m.figure, m.note = float64(sent-found+surplus), fmt.Sprintf("of %d that were read by their ids: %d missing, %d partial, %d differing, %d that nobody sent",
		sent, missing, partial, differing, surplus)
	return m, nil
}

// profileFile is where the CPU profile of a run is kept.
func (b *wholeBench) profileFile(build string, round int, stage string) string {
	return filepath.Join(b.profiles, fmt.Sprintf("%s.%d.%s.cpu.pprof", build, round+1, plainName(stage)))
}
