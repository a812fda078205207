package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// cpuTargets are the most that stages may cost above decoding, in CPU seconds per million spans.
var cpuTargets = map[string]float64{assemblyStage: 0.8, journalStage: 1.5}

// measureCPU runs the stages and prints their table.
func measureCPU(ctx context.Context, b *bench, o *assemblyOptions) ([]measure, error) {
	stages, measures, err := b.chooseStages(ctx, o)
	if err != nil {
		return nil, err
	}
	fmt.Println()
	readings, err := b.interleave(ctx, stages, o.rounds, func(s *stage, round int, r reading) {
		fmt.Printf("round %d  %s: %.2f CPU s per million spans, %.0f spans/s, %d retries\n", round+1, s.name, r.cpuPerMillion(), r.perS, r.retries)
	})
	if err != nil {
		return nil, err
	}
	fmt.Println()
	rows := [][]string{{"stage", "CPU s/Mspan", "least–most", "above nop", "ratio", "spans/s", "peak RSS MiB", "retries", "dropped"}}
	for i := range stages {
		own, above := readings[i], medianDifference(readings[i], readings[0])
		rows = append(rows, row(stages[i].name, own, above, medianOf(readings[0], reading.cpuPerMillion)))
		if _, measured := cpuTargets[stages[i].name]; measured {
			m := cpuMeasure(stages[i].name, above)
			if n := medianOf(own, dropped); n > 0 {
				m.absent = fmt.Sprintf("%.0f spans were dropped", n)
			}
			measures = append(measures, m)
		}
	}
	printTable(os.Stdout, rows)
	for _, s := range stages {
		if s.note != "" {
			fmt.Printf("%s: %s\n", s.name, s.note)
		}
	}
	return measures, nil
}

// chooseStages are those to run, and a miss for the journal's where the binary has no journal.
func (b *bench) chooseStages(ctx context.Context, o *assemblyOptions) (chosen []stage, missed []measure, err error) {
	for _, s := range assemblyStages() {
		switch {
		case s.name == bareStage:
		case s.name == journalStage && !o.journal, o.stages != "" && !containsPart(o.stages, s.name):
			continue
		case s.name == journalStage:
			refused, err := b.refusal(ctx, &s)
			if err != nil {
				return nil, nil, err
			}
			if refused != "" {
				m := cpuMeasure(s.name, 0)
				m.absent = "the binary refuses its configuration: " + strings.Join(strings.Fields(refused), " ")
				missed = append(missed, m)
				continue
			}
		}
		chosen = append(chosen, s)
	}
	return chosen, missed, nil
}

func row(name string, own []reading, above, base float64) []string {
	format := func(value float64, digits int) string { return strconv.FormatFloat(value, 'f', digits, 64) }
	cpu := medianOf(own, reading.cpuPerMillion)
	least, most := cpu, cpu
	for _, r := range own {
		least, most = min(least, r.cpuPerMillion()), max(most, r.cpuPerMillion())
	}
	return []string{
		name, format(cpu, 2), format(least, 2) + "–" + format(most, 2), format(above, 2), format(cpu/base, 2),
		format(medianOf(own, func(r reading) float64 { return r.perS }), 0),
		format(medianOf(own, func(r reading) float64 { return float64(r.peak >> 20) }), 0),
		format(medianOf(own, func(r reading) float64 { return float64(r.retries) }), 0),
		format(medianOf(own, dropped), 0),
	}
}

func dropped(r reading) float64 { return float64(r.dropped) }

func cpuMeasure(stage string, above float64) measure {
	return measure{
		name: "CPU of " + stage + " above otlp → nop", figure: above, target: cpuTargets[stage], digits: 2, unit: "CPU s per million spans",
	}
}

func containsPart(list, name string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
