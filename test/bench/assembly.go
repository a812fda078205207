package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Targets of issue 5.
const (
	maxAssemblyCPU  = 0.8 // CPU seconds per million spans above decoding
	maxJournalCPU   = 1.5
	maxBytesPerSpan = 2500
	maxHoldingRatio = 1.5
)

// assemblyOptions are the flags of bench assembly.
type assemblyOptions struct {
	binary, tracegen, folder, profiles string
	gogc, gomemlimit                   string
	rate                               float64
	spans, rounds                      int
	seed                               uint64
	journal, quick                     bool
	only, stages                       string
}

const (
	spansPerTrace = 20 // of tracegen's, about
	// poolTraces is how many of tracegen's traces are encoded: a quarter of a gigabyte, sent again and again.
	poolTraces = 25_000
)

func (o *assemblyOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bench assembly", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/tracewright-bench", "the collector, made of test/bench/builder-config.yaml")
	f.StringVar(&o.tracegen, "tracegen", "bin/tracegen", "the built traffic generator")
	f.StringVar(&o.folder, "folder", ".cache/bench", "where runs keep their files, the journal among them: on the kind of disk that is measured")
	f.StringVar(&o.profiles, "profile", "", "keep a CPU and an allocation profile of every run in this folder; the figures then include what that costs")
	f.StringVar(&o.gogc, "gogc", os.Getenv("GOGC"), "GOGC of every collector")
	f.StringVar(&o.gomemlimit, "gomemlimit", os.Getenv("GOMEMLIMIT"), "GOMEMLIMIT of every collector")
	f.Float64Var(&o.rate, "rate", 5000, "traces of "+strconv.Itoa(spansPerTrace)+" spans a second; 0 for as fast as they are taken")
	f.IntVar(&o.spans, "spans", 2_000_000, "how many a run is sent, about")
	f.IntVar(&o.rounds, "rounds", 3, "how often each stage runs; figures are medians")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	f.BoolVar(&o.journal, "journal", true, "measure with the journal also")
	f.BoolVar(&o.quick, "quick", false, "less of everything, for a first look: 1 round, a quarter of the spans")
	f.StringVar(&o.only, "only", "cpu,memory,held", "which of the measurements to make")
	f.StringVar(&o.stages, "stages", "", "run only the CPU stages whose name contains one of these, and the first; as groupbytrace,journal")
	return f
}

func (o *assemblyOptions) parse(args []string) error {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.rounds, o.spans = 1, o.spans/4
	}
	if o.rounds < 1 || o.spans < spansPerTrace || o.rate < 0 || flags.NArg() > 0 {
		return errors.New("--rounds and --spans must be positive, --rate not negative, and nothing may stand behind the flags")
	}
	return nil
}

// assembly measures trace_assembly and prints what it finds.
func assembly(ctx context.Context, args []string) (err error) {
	var o assemblyOptions
	if err := o.parse(args); err != nil {
		return err
	}
	b, err := o.prepare()
	if err != nil {
		return err
	}
	fmt.Printf("GOGC=%q GOMEMLIMIT=%q, %d spans a run at %s, %d rounds, seed %d\n", o.gogc, o.gomemlimit, o.spans, o.pace(), o.rounds, o.seed)
	var measures []measure
	for _, m := range []struct {
		name string
		make func(context.Context, *bench, *assemblyOptions) ([]measure, error)
	}{{"cpu", measureCPU}, {"memory", measureMemory}, {"held", measureHeld}} {
		if !contains(o.only, m.name) {
			continue
		}
		made, err := m.make(ctx, b, &o)
		if err != nil {
			return err
		}
		measures = append(measures, made...)
	}
	fmt.Println()
	missed := false
	for _, m := range measures {
		fmt.Println(m)
		missed = missed || !m.pass()
	}
	if missed {
		return errMissed
	}
	return nil
}

func (o *assemblyOptions) pace() string {
	if o.rate == 0 {
		return "as fast as they are taken"
	}
	return fmt.Sprintf("%.0f traces/s", o.rate)
}

// contains says whether a list with commas has a word.
func contains(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == word {
			return true
		}
	}
	return false
}

func (o *assemblyOptions) prepare() (*bench, error) {
	for _, folder := range []string{o.folder, o.profiles} {
		if folder == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return nil, err
		}
	}
	// Collectors get absolute paths: the YAML must not depend on where they run.
	b := &bench{environment: []string{"GOGC=" + o.gogc, "GOMEMLIMIT=" + o.gomemlimit}} // empty: Go's defaults
	for _, path := range []struct {
		to   *string
		from string
	}{{&b.binary, o.binary}, {&b.folder, o.folder}, {&b.profiles, o.profiles}, {&b.traffic.tracegen, o.tracegen}} {
		if path.from == "" {
			continue
		}
		absolute, err := filepath.Abs(path.from)
		if err != nil {
			return nil, err
		}
		*path.to = absolute
	}
	for _, program := range []string{b.binary, b.traffic.tracegen} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("%w; make bench-assembly builds it", err)
		}
	}
	traces := o.spans / spansPerTrace
	b.traffic = traffic{tracegen: b.traffic.tracegen, traces: traces, rate: o.rate, reuse: min(traces, poolTraces), seed: o.seed}
	return b, nil
}

const (
	bareStage     = "otlp → nop"
	assemblyStage = "trace_assembly"
	journalStage  = "trace_assembly with journal"
)

// assemblyStages are those of the CPU measure; the first is what the others are compared with.
func assemblyStages() []stage {
	assembled := func(m metrics, sent int64) bool {
		const p = "processor_trace_assembly_"
		return int64(m[p+"spans_received"]) >= sent && m[p+"spans_in_flight"] == 0 &&
			m[p+"spans_received"] == m[p+"spans_released"]+m[p+"spans_duplicate"]+m[p+"spans_rejected"]
	}
	return []stage{
		{
			name: bareStage,
			make: func(string) pipeline { return pipeline{} },
			empty: func(m metrics, sent int64) bool {
				return int64(m["receiver_accepted_spans"]) >= sent
			},
		},
		{
			name:  assemblyStage,
			make:  func(string) pipeline { return pipeline{processors: []component{{id: "trace_assembly"}}} },
			empty: assembled,
		},
		{
			name: journalStage,
			make: func(folder string) pipeline {
				journal := map[string]any{"directory": filepath.Join(folder, "journal")}
				return pipeline{processors: []component{{"trace_assembly", map[string]any{"journal": journal}}}}
			},
			empty: assembled,
		},
		{
			// Its defaults: one worker, a wait of 1s from a trace's first span.
			name: "groupbytrace, wait_duration 1s",
			make: func(string) pipeline { return pipeline{processors: []component{{id: "groupbytrace"}}} },
			empty: func(m metrics, sent int64) bool {
				const p = "processor_groupbytrace_"
				return int64(m["receiver_accepted_spans"]) >= sent && m[p+"num_traces_in_memory"] == 0 && m[p+"num_events_in_queue"] == 0
			},
		},
		{
			// Its defaults but for the wait, 30s, of which 50,000 traces (num_traces) would not survive the half.
			name: "tail_sampling, always_sample, decision_wait 1s",
			make: func(string) pipeline {
				policy := map[string]any{"name": "all", "type": "always_sample"}
				return pipeline{processors: []component{{"tail_sampling", map[string]any{
					"decision_wait": "1s", "policies": []any{policy},
				}}}}
			},
			empty: func(m metrics, sent int64) bool {
				const p = "processor_tail_sampling_"
				return int64(m["receiver_accepted_spans"]) >= sent &&
					m[p+"new_trace_id_received"] == m[p+"global_count_traces_sampled"]+m[p+"sampling_trace_dropped_too_early"]
			},
		},
	}
}

// measureCPU runs the stages and prints their table.
func measureCPU(ctx context.Context, b *bench, o *assemblyOptions) ([]measure, error) {
	var stages []stage
	refused := ""
	for _, s := range assemblyStages() {
		if s.name == journalStage {
			if !o.journal {
				continue
			}
			var err error
			if refused, err = b.refusal(ctx, &s); err != nil {
				return nil, err
			}
			if refused != "" {
				continue
			}
		}
		if s.name == bareStage || o.stages == "" || containsPart(o.stages, s.name) {
			stages = append(stages, s)
		}
	}
	fmt.Println()
	readings, err := b.interleave(ctx, stages, o.rounds, func(s *stage, round int, r reading) {
		fmt.Printf("round %d  %s: %.2f CPU s per million spans, %.0f spans/s, %d retries\n", round+1, s.name, r.cpuPerMillion(), r.perS, r.retries)
	})
	if err != nil {
		return nil, err
	}
	fmt.Println()
	rows := [][]string{{"stage", "CPU s/Mspan", "least–most", "above nop", "ratio", "spans/s", "peak RSS MiB", "retries"}}
	var measures []measure
	for i := range stages {
		own, above := readings[i], medianDifference(readings[i], readings[0])
		rows = append(rows, row(stages[i].name, own, above, medianOf(readings[0], reading.cpuPerMillion)))
		target, measured := map[string]float64{assemblyStage: maxAssemblyCPU, journalStage: maxJournalCPU}[stages[i].name]
		if measured {
			measures = append(measures, cpuMeasure(stages[i].name, above, target))
		}
	}
	printTable(os.Stdout, rows)
	if refused != "" {
		m := cpuMeasure(journalStage, 0, maxJournalCPU)
		m.absent = "the binary refuses its configuration: " + strings.Join(strings.Fields(refused), " ")
		measures = append(measures, m)
	}
	return measures, nil
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
	}
}

func cpuMeasure(stage string, above, target float64) measure {
	return measure{
		name: "CPU of " + stage + " above otlp → nop", figure: above, target: target, digits: 2, unit: "CPU s per million spans",
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

// refusal is what the binary says against a stage's configuration.
func (b *bench) refusal(ctx context.Context, s *stage) (string, error) {
	folder, err := os.MkdirTemp(b.folder, "check-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder) // nothing of value is in it
	config, err := s.make(folder).configuration(ports{grpc: 1, health: 2, metrics: 3}, "")
	if err != nil {
		return "", err
	}
	return refusal(ctx, b.binary, folder, config)
}
