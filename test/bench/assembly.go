package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	of := func(make func(context.Context, *bench, *assemblyOptions) ([]measure, error)) func(context.Context) ([]measure, error) {
		return func(ctx context.Context) ([]measure, error) { return make(ctx, b, &o) }
	}
	var measures []measure // shown together, below the tables
	passed, err := makeAll(ctx, o.only, []part{{"cpu", of(measureCPU)}, {"memory", of(measureMemory)}, {"held", of(measureHeld)}},
		func(m measure) { measures = append(measures, m) })
	if err != nil {
		return err
	}
	fmt.Println()
	for _, m := range measures {
		fmt.Println(m)
	}
	if !passed {
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

func (o *assemblyOptions) prepare() (*bench, error) {
	if err := prepare("make bench-assembly", []*string{&o.binary, &o.tracegen}, []*string{&o.folder, &o.profiles}); err != nil {
		return nil, err
	}
	b := &bench{
		binary: o.binary, folder: o.folder, profiles: o.profiles,
		environment: []string{"GOGC=" + o.gogc, "GOMEMLIMIT=" + o.gomemlimit}, // empty: Go's defaults
	}
	traces := o.spans / spansPerTrace
	b.traffic = traffic{tracegen: o.tracegen, traces: traces, rate: o.rate, reuse: min(traces, poolTraces), seed: o.seed}
	return b, nil
}
