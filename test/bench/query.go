package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Targets of questions, milliseconds, 95th percentile, while spans are written at half of the full speed.
const (
	maxQueryByID    = 10
	maxQuerySearch  = 200
	maxQueryAnalyse = 500
)

// maxBesideMissed is the share of the rate beside that may not be taken: what is asked beside less is another measurement.
const maxBesideMissed = 0.05

// queryOptions are the flags of bench query.
type queryOptions struct {
	binary, tracegen, config, folder string
	profile                          string
	loaded, recent, days, pool       int
	speedSpans                       int
	beside                           float64
	lookups, questions               int
	seed                             uint64
	quick                            bool
}

func (o *queryOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bench query", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/tracewright", "the built product")
	f.StringVar(&o.tracegen, "tracegen", "bin/tracegen", "the built traffic generator")
	f.StringVar(&o.config, "config", "config/tracewright.yaml", "the product's configuration")
	f.StringVar(&o.folder, "folder", ".cache/bench", "where runs keep their data: on the kind of disk that is measured")
	f.StringVar(&o.profile, "profile", "", "keep a CPU profile of the product while it is asked in this file; the figures then include what that costs")
	f.IntVar(&o.loaded, "loaded", 10_000_000, "spans that are stored before, about")
	f.IntVar(&o.recent, "recent", 2_000_000, "of these in the last hour, and as many in the hour before")
	f.IntVar(&o.days, "days", 6, "over which the others are spread; the configuration keeps 7")
	f.IntVar(&o.pool, "pool", 8_000, "traces that are written again and again as others")
	f.IntVar(&o.speedSpans, "speed-spans", 1_000_000, "how many are sent to see what the full speed is")
	f.Float64Var(&o.beside, "beside", 0, "spans a second that are written while questions are asked; 0 for half of the full speed, -1 for none")
	f.IntVar(&o.lookups, "lookups", 1000, "of traces by id")
	f.IntVar(&o.questions, "questions", 100, "of every other kind")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	f.BoolVar(&o.quick, "quick", false, "less of everything, for a first look: a minute or two")
	return f
}

func (o *queryOptions) parse(args []string) error {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.loaded, o.recent, o.speedSpans, o.lookups, o.questions = o.loaded/10, o.recent/10, o.speedSpans/4, o.lookups/5, o.questions/5
	}
	if o.recent < leastCallSpans || o.loaded < 3*o.recent || o.days < 1 || o.pool < 1000 {
		return fmt.Errorf("--recent must be at least %d, --loaded three times as much, --days positive, --pool at least 1000", leastCallSpans)
	}
	if o.speedSpans < spansPerTrace || o.lookups < 10 || o.questions < 10 || flags.NArg() > 0 {
		return fmt.Errorf("--speed-spans must be at least %d, --lookups and --questions 10, and nothing may stand behind the flags", spansPerTrace)
	}
	if err := makeAbsolute(&o.profile); err != nil {
		return err
	}
	return prepare("make bench-query", []*string{&o.binary, &o.tracegen, &o.config}, []*string{&o.folder})
}

// queryBench is one run of bench query.
type queryBench struct {
	queryOptions
}

// query asks a loaded product all that its API answers, and prints how long that took.
func query(ctx context.Context, args []string) error {
	b := &queryBench{}
	if err := b.parse(args); err != nil {
		return err
	}
	fmt.Printf("%d CPUs, seed %d\n", runtime.NumCPU(), b.seed)
	passed, err := makeAll(ctx, "query", []part{{"query", b.measure}}, func(m measure) { fmt.Println(m) })
	if err != nil {
		return err
	}
	if !passed {
		return errMissed
	}
	return nil
}

func (b *queryBench) measure(ctx context.Context) (made []measure, err error) {
	folder, err := os.MkdirTemp(b.folder, "query-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	perS := max(b.beside, 0)
	if b.beside == 0 {
		full, err := b.fullSpeed(ctx, filepath.Join(folder, "speed"))
		if err != nil {
			return nil, err
		}
		perS = full / 2
	}
	loaded, err := b.load(ctx, folder)
	if err != nil {
		return nil, err
	}
	return b.ask(ctx, folder, loaded, perS)
}

func (b *queryBench) product(folder string) *product {
	return &product{binary: b.binary, config: b.config, data: folder}
}

// fullSpeed is how many spans a second the product takes.
func (b *queryBench) fullSpeed(ctx context.Context, folder string) (perS float64, err error) {
	c, err := b.product(folder).start(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop(), os.RemoveAll(folder)) }()
	traces := b.speedSpans / spansPerTrace
	sent, err := traffic{tracegen: b.tracegen, traces: traces, reuse: min(traces, poolTraces), seed: b.seed}.send(ctx, c.at.grpc)
	fmt.Printf("full speed: %.0f spans/s\n", sent.perS)
	return sent.perS, err
}

// load spreads spans over the days, and many of them over the last two hours: that is the window of analyses, and what they compare it with.
func (b *queryBench) load(ctx context.Context, folder string) (*loadedStore, error) {
	fmt.Printf("load %d million spans over %d days, %.1f million of them in the last hour:\n", b.loaded/1_000_000, b.days, float64(b.recent)/1e6)
	now := time.Now()
	before := now.Add(-2 * time.Hour)
	return load(ctx, folder, &loadPlan{
		seed: b.seed, pool: b.pool, searches: b.questions,
		stretches: []stretch{{b.loaded - 2*b.recent, now.AddDate(0, 0, -b.days), before}, {2 * b.recent, before, now}},
	})
}

// ask starts the product on what is loaded, and asks while it is written to.
func (b *queryBench) ask(ctx context.Context, folder string, loaded *loadedStore, perS float64) (made []measure, err error) {
	profile := ""
	if b.profile != "" {
		if profile, err = profileOverlay(ctx, b.profile); err != nil {
			return nil, err
		}
	}
	c, err := b.product(folder).start(ctx, profile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	beside, err := writeBeside(ctx, c, b.tracegen, b.seed+1, perS)
	if err != nil {
		return nil, err
	}
	defer beside.stop()
	before, err := c.metrics(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	q, err := b.questionsOf(ctx, c, loaded)
	if err != nil {
		return nil, err
	}
	if perS == 0 {
		q.pid = c.cmd.Process.Pid
	}
	made = q.askAll()
	after, err := c.metrics(ctx)
	if err := errors.Join(err, beside.failure()); err != nil {
		return made, err
	}
	taken := (after[acceptedSpans] - before[acceptedSpans]) / time.Since(began).Seconds()
	if perS > 0 {
		made = append(made, measure{
			name: "rate beside that was not taken", figure: max(0, 1-taken/perS), target: maxBesideMissed, digits: 3, unit: "of it",
			note: fmt.Sprintf("%.0f of %.0f spans/s, %d spans stored before", taken, perS, loaded.Spans),
		})
	}
	return made, nil
}

// get asks for a path and wants it answered.
func (q *questions) get(path string) error { return q.c.ask(q.ctx, path, nil, http.StatusOK, nil) }
