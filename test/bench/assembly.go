package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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
	f.IntVar(&o.rounds, "rounds", 3, "how often each stage runs that has a target; figures are medians")
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
func assembly(ctx context.Context, args []string) error {
	var o assemblyOptions
	if err := o.parse(args); err != nil {
		return err
	}
	b, err := o.prepare()
	if err != nil {
		return err
	}
	fmt.Printf("%d CPUs, GOGC=%q GOMEMLIMIT=%q, %d spans a run at %s, %d rounds, seed %d\n", runtime.NumCPU(), o.gogc, o.gomemlimit, o.spans, o.pace(), o.rounds, o.seed)
	var measures []measure
	for _, m := range []struct {
		name string
		make func(context.Context, *bench, *assemblyOptions) ([]measure, error)
	}{{"cpu", measureCPU}, {"memory", measureMemory}, {"held", measureHeld}} {
		if !contains(o.only, m.name) {
			continue
		}
		made, err := m.make(ctx, b, &o)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // the figures of the others are still worth something
			made = []measure{{name: m.name, absent: err.Error()}}
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
