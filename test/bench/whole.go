package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// wholeOptions are the flags of bench whole.
type wholeOptions struct {
	binary, tracegen, config, folder string
	profiles, record                 string
	only                             string
	spans, rounds                    int
	rate                             float64
	hold                             time.Duration
	seed                             uint64
	quick                            bool
}

func (o *wholeOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bench whole", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/tracewright", "the built product")
	f.StringVar(&o.tracegen, "tracegen", "bin/tracegen", "the built traffic generator")
	f.StringVar(&o.config, "config", "config/tracewright.yaml", "the product's configuration")
	f.StringVar(&o.folder, "folder", ".cache/bench", "where runs keep their data: on the kind of disk that is measured")
	f.StringVar(&o.profiles, "profile", "", "keep a CPU profile of every run in this folder, and print where the last stage spent its time; the figures then include what that costs")
	f.StringVar(&o.record, "record", "", "write the figures to this document, between its lines <!-- figures --> and <!-- end of figures -->")
	f.StringVar(&o.only, "only", "cost,tails,hold", "which of the measurements to make")
	f.IntVar(&o.spans, "spans", 2_000_000, "how many a run of cost is sent, about")
	f.IntVar(&o.rounds, "rounds", 3, "of cost; figures are medians")
	f.Float64Var(&o.rate, "rate", 10_000, "traces of "+fmt.Sprint(spansPerTrace)+" spans a second in tails and hold")
	f.DurationVar(&o.hold, "hold", 10*time.Minute, "how long hold sends")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	f.BoolVar(&o.quick, "quick", false, "less of everything, for a first look")
	return f
}

func (o *wholeOptions) parse(args []string) error {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.rounds, o.spans, o.hold = 1, o.spans/4, o.hold/10
	}
	if o.rounds < 1 || o.spans < spansPerTrace || o.rate <= 0 || o.hold < 4*holdSample || flags.NArg() > 0 {
		return fmt.Errorf("--rounds, --spans and --rate must be positive, --hold at least %s, and nothing may stand behind the flags", 4*holdSample)
	}
	return prepare("make bench", []*string{&o.binary, &o.tracegen, &o.config, &o.record}, []*string{&o.folder, &o.profiles})
}

// wholeBench is one run of bench whole.
type wholeBench struct {
	wholeOptions
	report strings.Builder // what is recorded
}

// whole measures the product and prints what it finds.
func whole(ctx context.Context, args []string) error {
	b := &wholeBench{}
	if err := b.parse(args); err != nil {
		return err
	}
	b.printf("%s, %d CPUs, %s, seed %d\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), b.seed)
	passed, err := makeAll(ctx, b.only, []part{{"cost", b.cost}, {"tails", b.tails}, {"hold", b.holdRate}}, func(m measure) { b.printf("%s\n", m) })
	if err != nil {
		return err
	}
	if b.record != "" {
		if err := record(b.record, b.report.String()); err != nil {
			return err
		}
	}
	if !passed {
		return errMissed
	}
	return nil
}

// printf prints, and keeps what it printed for the record.
func (b *wholeBench) printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Print(text)
	b.report.WriteString(text)
}

const (
	recordBegin = "<!-- figures -->\n"
	recordEnd   = "<!-- end of figures -->\n"
)

// record replaces what stands between the two marks of a document.
func record(file, figures string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(content), recordBegin)
	_, after, ends := strings.Cut(rest, recordEnd)
	if !begins || !ends {
		return errors.New(file + " has no place for figures")
	}
	return os.WriteFile(file, []byte(before+recordBegin+"```text\n"+figures+"```\n"+recordEnd+after), 0o600)
}

// with runs do beside a product that has a folder of its own, and removes both.
func (b *wholeBench) with(ctx context.Context, overlays []string, do func(c *collector, folder string) error) (err error) {
	folder, err := os.MkdirTemp(b.folder, "whole-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	p := &product{binary: b.binary, config: b.config, data: folder}
	c, err := p.start(ctx, overlays...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	return do(c, folder)
}

func (b *wholeBench) load(traces int, rate float64) traffic {
	return traffic{tracegen: b.tracegen, traces: traces, rate: rate, reuse: min(traces, poolTraces), seed: b.seed}
}
