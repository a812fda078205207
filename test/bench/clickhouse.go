package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore/stock"
)

// Databases of the two schemas.
const (
	oursDatabase  = "tracewright_bench"
	stockDatabase = "stock_bench"
)

// clickHouseOptions are the flags of bench clickhouse.
type clickHouseOptions struct {
	folder, only             string
	spans, days, lastHour    int
	callSpans, pool, rounds  int
	queries, searches, hours int
	settled                  time.Duration
	seed                     uint64
	quick, keep              bool
}

func (o *clickHouseOptions) parse(args []string) error {
	f := flag.NewFlagSet("bench clickhouse", flag.ContinueOnError)
	f.StringVar(&o.folder, "folder", ".cache/bench", "where the server keeps its data: on the kind of disk that is measured")
	f.StringVar(&o.only, "only", "load,id,search,hour", "which of the measurements to make; load comes with all of them")
	f.IntVar(&o.spans, "spans", 20_000_000, "that each schema is loaded with, about")
	f.IntVar(&o.days, "days", 7, "over which their releases are spread")
	f.IntVar(&o.lastHour, "last-hour", 10, "percent of the spans that were released in the last hour, call by call over its minutes")
	f.IntVar(&o.callSpans, "call-spans", 32_768, "of an insert, at most; what config/gateway.yaml says")
	f.IntVar(&o.pool, "pool", 16_000, "traces that are written again and again as others")
	f.IntVar(&o.rounds, "rounds", 8, "in which the schemas are loaded in turns; figures are medians")
	f.IntVar(&o.queries, "queries", 200, "look-ups by id")
	f.IntVar(&o.searches, "searches", 60, "by attribute in each window")
	f.IntVar(&o.hours, "hours", 40, "times that operations and map of an hour are asked for")
	f.DurationVar(&o.settled, "settled", time.Minute, "how long merges may take behind each round")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	f.BoolVar(&o.quick, "quick", false, "a tenth of the spans and fewer questions, for a first look")
	f.BoolVar(&o.keep, "keep", false, "keep the data, and use what is there already")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.spans, o.rounds, o.queries, o.searches, o.hours = o.spans/10, o.rounds/2, o.queries/4, o.searches/3, o.hours/4
	}
	for _, n := range []int{o.spans, o.days, o.callSpans, o.rounds, o.queries, o.searches, o.hours} {
		if n < 1 {
			return errors.New("--spans, --days, --call-spans, --rounds, --queries, --searches and --hours must be positive")
		}
	}
	if o.lastHour < 0 || o.lastHour > 100 || f.NArg() > 0 {
		return errors.New("--last-hour is 0 to 100, and nothing may stand behind the flags")
	}
	return prepare("", nil, []*string{&o.folder})
}

// clickHouseBench is one run of bench clickhouse.
type clickHouseBench struct {
	clickHouseOptions
	server *testservers.ClickHouse
	store  *clickhousestore.Store
	stock  *stock.Client
	loaded *loadedClickHouse // what load has left
}

// clickHouse measures the schema and the reader for ClickHouse against the schema of the exporter, on one server.
func clickHouse(ctx context.Context, args []string) (err error) {
	b := &clickHouseBench{}
	if err := b.parse(args); err != nil {
		return err
	}
	folder := filepath.Join(b.folder, "clickhouse")
	if !b.keep {
		if folder, err = os.MkdirTemp(b.folder, "clickhouse-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	if err := b.open(ctx, folder); err != nil {
		return errors.Join(err, b.close())
	}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Printf("%d CPUs, seed %d, %d spans over %d days, %d %% of them in the last hour, %d spans a call\n",
		runtime.NumCPU(), b.seed, b.spans, b.days, b.lastHour, b.callSpans)
	passed := true
	show := func(m measure) { fmt.Println(m) }
	made, err := b.load(ctx, folder)
	if err != nil {
		return err
	}
	for _, m := range made {
		show(m)
		passed = passed && m.pass()
	}
	asked, err := makeAll(ctx, b.only, []part{{"id", b.byID}, {"search", b.searchAll}, {"hour", b.hour}}, show)
	if err != nil {
		return err
	}
	if !passed || !asked {
		return errMissed
	}
	return nil
}

// open starts the server and makes our schema; the exporter makes its own.
func (b *clickHouseBench) open(ctx context.Context, folder string) (err error) {
	if b.server, err = testservers.NewClickHouse(ctx, folder); err != nil {
		return err
	}
	if err := b.server.Start(ctx); err != nil {
		return err
	}
	if b.store, err = clickhousestore.Open(clickhousestore.Options{
		Endpoint: b.server.DSN(), Database: oursDatabase, CreateSchema: true, Variant: clickhousestore.VariantPlain,
	}); err != nil {
		return err
	}
	if b.stock, err = stock.Open(b.server.DSN(), stockDatabase); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return b.store.Ready(ready)
}

func (b *clickHouseBench) close() error {
	var errs []error
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	if b.stock != nil {
		errs = append(errs, b.stock.Close())
	}
	if b.server != nil {
		errs = append(errs, b.server.Stop())
	}
	return errors.Join(errs...)
}
