package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// storeOptions are the flags of bench store.
type storeOptions struct {
	binary, tracegen, config, folder string
	only                             string
	rate                             float64
	spans, rounds                    int
	loaded, days, grown, pool        int
	settled, slow                    time.Duration
	slowRate, beside                 float64
	queries                          int
	seed                             uint64
	quick, keep                      bool
}

func (o *storeOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bench store", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/tracewright", "the built product")
	f.StringVar(&o.tracegen, "tracegen", "bin/tracegen", "the built traffic generator")
	f.StringVar(&o.config, "config", "config/tracewright.yaml", "the product's configuration")
	f.StringVar(&o.folder, "folder", ".cache/bench", "where runs keep their data: on the kind of disk that is measured")
	f.StringVar(&o.only, "only", "write,large,growth,slow", "which of the measurements to make")
	f.Float64Var(&o.rate, "rate", 0, "traces a second in write; 0 for as fast as they are taken")
	f.IntVar(&o.spans, "spans", 2_000_000, "how many a run of write is sent, about")
	f.IntVar(&o.rounds, "rounds", 3, "of write, with the store and without; figures are medians")
	f.IntVar(&o.loaded, "loaded", 20_000_000, "spans in large, about")
	f.IntVar(&o.days, "days", 30, "daily partitions over which those of large are spread")
	f.IntVar(&o.grown, "grown", 100_000_000, "spans up to which growth writes, about")
	f.IntVar(&o.pool, "pool", 8_000, "traces that large and growth write again and again as others")
	f.DurationVar(&o.settled, "settled", time.Minute, "how long after the last write the disk is measured")
	f.DurationVar(&o.slow, "slow", 30*time.Minute, "how long slow sends")
	f.Float64Var(&o.slowRate, "slow-rate", 100, "spans a second in slow")
	f.Float64Var(&o.beside, "beside", 0, "spans a second that are written while queries run in large; 0 for half of what write found, -1 for none")
	f.IntVar(&o.queries, "queries", 1000, "look-ups by id in large; there are a tenth as many searches")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	f.BoolVar(&o.quick, "quick", false, "less of everything, for a first look: some minutes instead of an hour and a half")
	f.BoolVar(&o.keep, "keep", false, "keep the data of large, and use what is there already")
	return f
}

func (o *storeOptions) parse(args []string) error {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.rounds, o.spans, o.loaded, o.grown = 1, o.spans/8, o.loaded/20, o.grown/50
		o.slow, o.settled, o.queries = o.slow/30, o.settled/6, o.queries/5
	}
	for _, n := range []int{o.spans, o.rounds, o.loaded, o.days, o.grown, o.pool} {
		if n < 1 {
			return errors.New("--spans, --rounds, --loaded, --days, --grown and --pool must be positive")
		}
	}
	if o.pool < 1000 {
		return errors.New("--pool must be at least 1000, so that calls are full")
	}
	if o.queries < 10 || o.rate < 0 || o.slowRate <= 0 || flags.NArg() > 0 {
		return errors.New("--queries must be at least 10, --slow-rate positive, --rate not negative, and nothing may stand behind the flags")
	}
	return prepare("make bench-store", []*string{&o.binary, &o.tracegen, &o.config}, []*string{&o.folder})
}

// storeBench is one run of bench store.
type storeBench struct {
	storeOptions
	// perS is what write found that the product takes, spans a second; 0 before.
	perS float64
}

// store measures the embedded store and prints what it finds.
func store(ctx context.Context, args []string) error {
	b := &storeBench{}
	if err := b.parse(args); err != nil {
		return err
	}
	fmt.Printf("%d CPUs, %s, seed %d\n", runtime.NumCPU(), b.only, b.seed)
	passed, err := makeAll(ctx, b.only, []part{{"write", b.write}, {"large", b.large}, {"growth", b.growth}, {"slow", b.slowly}}, func(m measure) { fmt.Println(m) })
	if err != nil {
		return err
	}
	if !passed {
		return errMissed
	}
	return nil
}

// inFolder runs do with a folder of its own, which is removed afterwards.
func (b *storeBench) inFolder(do func(folder string) error) (err error) {
	folder, err := os.MkdirTemp(b.folder, "store-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	return do(folder)
}

func (b *storeBench) product(folder string) *product {
	return &product{binary: b.binary, config: b.config, data: folder}
}
