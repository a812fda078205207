package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
)

const (
	// analysisCPUTarget is the most that trace_analysis may cost above a processor that hands calls on, in CPU seconds per million spans.
	analysisCPUTarget = 1.0
	// analysisAllocationsTarget is the most that it may allocate a span besides what pdata allocates for the attributes written.
	analysisAllocationsTarget = 1.0

	// analysisVisits make a good dozen of calls.
	analysisVisits = 6_000
	// heldCalls are alive after they were handed on, as a store holds them until they are on disk.
	heldCalls = 4
)

type analysisOptions struct {
	profile       string
	rounds, spans int
	seed          uint64
}

func (o *analysisOptions) parse(args []string) error {
	f := flag.NewFlagSet("bench analysis", flag.ContinueOnError)
	f.StringVar(&o.profile, "profile", "", "keep a CPU profile of the runs with trace_analysis in this file")
	f.IntVar(&o.rounds, "rounds", 9, "how often each runs; figures are medians")
	f.IntVar(&o.spans, "spans", 400_000, "how many a run takes, about")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.rounds < 1 || o.spans < 1 || f.NArg() > 0 {
		return errors.New("--rounds and --spans must be positive, and nothing may stand behind the flags")
	}
	return nil
}

// analysis measures trace_analysis in this process, without receiver and exporter. What a call costs to receive is more than the figure
// and swings by more than it: here both runs decode the same calls, in turn, and nothing else happens beside. The kernel's account of the
// process has the garbage collector's work.
func analysis(ctx context.Context, args []string) (err error) {
	var o analysisOptions
	if err := o.parse(args); err != nil {
		return err
	}
	c, err := assembledCalls(ctx, o.seed, analysisVisits, callSpans)
	if err != nil {
		return err
	}
	spans := c.spansOf(len(c.encoded))
	fmt.Printf("%d CPUs, GOGC=%q, calls of %d spans in %d traces, %d spans a run, %d rounds, seed %d\n", runtime.NumCPU(), os.Getenv("GOGC"),
		spans/len(c.encoded), c.traces/len(c.encoded), o.spans, o.rounds, o.seed)
	through, err := passThrough(ctx)
	if err != nil {
		return err
	}
	p, err := startAnalysis(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Shutdown(context.WithoutCancel(ctx))) }()
	cpu, err := measureAnalysisCPU(ctx, &o, c, through, p)
	if err != nil {
		return err
	}
	allocations, err := measureAllocations(ctx, c, p)
	if err != nil {
		return err
	}
	fmt.Println()
	for _, m := range []measure{cpu, allocations} {
		fmt.Println(m)
	}
	if !cpu.pass() || !allocations.pass() {
		return errMissed
	}
	return nil
}

func startAnalysis(ctx context.Context) (processor.Traces, error) {
	factory := traceanalysisprocessor.NewFactory()
	p, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), consumertest.NewNop())
	if err != nil {
		return nil, err
	}
	return p, p.Start(ctx, componenttest.NewNopHost())
}

// passThrough is a processor that does what every processor of the collector does, and nothing besides.
func passThrough(ctx context.Context) (processor.Traces, error) {
	typ := traceanalysisprocessor.NewFactory().Type()
	return processorhelper.NewTraces(ctx, processortest.NewNopSettings(typ), nil, consumertest.NewNop(),
		func(_ context.Context, td ptrace.Traces) (ptrace.Traces, error) { return td, nil })
}

func measureAnalysisCPU(ctx context.Context, o *analysisOptions, c *calls, through, p consumer.Traces) (measure, error) {
	m := measure{
		name: "CPU of trace_analysis above a processor that hands calls on", target: analysisCPUTarget, digits: 2, unit: "CPU s per million spans",
	}
	n := max(1, o.spans/c.spansOf(len(c.encoded))) * len(c.encoded) // each call as often as the others
	stages := []struct {
		next     consumer.Traces
		profile  string
		readings []reading
	}{{next: through}, {next: p, profile: o.profile}}
	for round := range o.rounds + 1 {
		for i := range stages {
			s := &stages[i]
			stop, err := profileCPU(s.profile, round == o.rounds)
			if err != nil {
				return m, err
			}
			r, err := pass(ctx, c, n, s.next)
			if err = errors.Join(err, stop()); err != nil {
				return m, err
			}
			if round > 0 { // the first one warms up
				s.readings = append(s.readings, r)
			}
		}
	}
	rows := [][]string{{"stage", "CPU s/Mspan", "least–most", "above"}}
	for i, name := range []string{"decoded, handed on", "decoded, trace_analysis"} {
		cells := row(name, stages[i].readings, medianDifference(stages[i].readings, stages[0].readings), 1)
		rows = append(rows, cells[:4])
	}
	fmt.Println()
	printTable(os.Stdout, rows)
	m.figure = medianDifference(stages[1].readings, stages[0].readings)
	return m, nil
}

// profileCPU profiles one run, so that the others cost what they cost.
func profileCPU(path string, now bool) (stop func() error, err error) {
	if path == "" || !now {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// pass hands n calls on. It begins and ends with a garbage collection, so that a run pays for its own garbage.
func pass(ctx context.Context, c *calls, n int, next consumer.Traces) (reading, error) {
	var held [heldCalls]ptrace.Traces
	runtime.GC()
	before := ownCPU()
	for i := range n {
		td, err := c.next(i)
		if err != nil {
			return reading{}, err
		}
		if err := next.ConsumeTraces(ctx, td); err != nil {
			return reading{}, err
		}
		held[i%heldCalls] = td
	}
	runtime.GC()
	return reading{spans: int64(c.spansOf(n)), cpu: ownCPU() - before}, ctx.Err()
}

func count(allocations uint64, spans int) string {
	return strconv.FormatFloat(float64(allocations)/float64(spans), 'f', 2, 64)
}
