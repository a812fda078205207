package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

// compareOptions are the flags of bench compare.
type compareOptions struct {
	wholeOptions
	base, baseConfig string
}

func (o *compareOptions) parse(args []string) error {
	f := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	f.StringVar(&o.base, "base", "", "the product to compare with, built of another revision")
	f.StringVar(&o.baseConfig, "base-config", "", "its configuration")
	f.StringVar(&o.binary, "binary", "bin/tracewright", "the built product")
	f.StringVar(&o.config, "config", "config/tracewright.yaml", "its configuration")
	f.StringVar(&o.tracegen, "tracegen", "bin/tracegen", "the built traffic generator")
	f.StringVar(&o.folder, "folder", ".cache/bench", "where runs keep their data")
	f.StringVar(&o.profiles, "profile", "", "keep a CPU profile of every run in this folder")
	f.IntVar(&o.spans, "spans", 2_000_000, "how many a run is sent, about")
	f.IntVar(&o.rounds, "rounds", 5, "of each; figures are medians")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.base == "" || o.baseConfig == "" || o.rounds < 1 || o.spans < spansPerTrace || f.NArg() > 0 {
		return errors.New("--base and --base-config are needed; --rounds and --spans must be positive, and nothing may stand behind the flags")
	}
	return prepare("make bench-compare", []*string{&o.base, &o.baseConfig, &o.binary, &o.config, &o.tracegen}, []*string{&o.folder, &o.profiles})
}

// compare runs two builds of the product in turns. It has no target: it says what a change costs.
func compare(ctx context.Context, args []string) error {
	var o compareOptions
	if err := o.parse(args); err != nil {
		return err
	}
	stages := wholeStages()
	last := &stages[len(stages)-1]
	builds := []*wholeBench{{wholeOptions: o.wholeOptions}, {wholeOptions: o.wholeOptions}}
	builds[0].binary, builds[0].config = o.base, o.baseConfig
	names := []string{"base", "this"}
	readings := make([][]reading, len(builds))
	for round := range o.rounds {
		for i, b := range builds {
			r, _, err := b.costOnce(ctx, last, names[i], round, false)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			fmt.Printf("round %d  %s  %.2f CPU s per million spans, %.0f spans/s, peak %d MiB\n", round+1, names[i], r.cpuPerMillion(), r.perS, r.peak>>20)
			readings[i] = append(readings[i], r)
		}
	}
	for _, figure := range []struct {
		name string
		of   func(reading) float64
	}{
		{"CPU s per million spans", reading.cpuPerMillion},
		{"spans/s", func(r reading) float64 { return r.perS }},
		{"peak MiB", func(r reading) float64 { return float64(r.peak >> 20) }},
	} {
		base, this := medianOf(readings[0], figure.of), medianOf(readings[1], figure.of)
		fmt.Printf("%-24s base %.2f, this %.2f: %.3f times\n", figure.name, base, this, this/base)
	}
	return nil
}
