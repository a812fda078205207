package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/send"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// generate encodes, sends, and writes down what it sent.
func generate(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var o options
	flags := o.flags()
	if _, err := parse(flags, args, 0, stdout); err != nil {
		return err
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := o.validate(set); err != nil {
		return &usageError{err}
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()>>1 | 1
	}
	exporters, err := dial(&o)
	if err != nil {
		return err
	}
	defer func() {
		for _, exporter := range exporters {
			err = errors.Join(err, exporter.Close())
		}
	}()
	var expect *os.File
	if o.expect != "" { // before the work, so that a wrong path is found before it, but not before what else may be wrong: it empties the file
		if expect, err = os.Create(o.expect); err != nil {
			return fmt.Errorf("create --expect: %w", err)
		}
		defer func() { err = errors.Join(err, expect.Close()) }()
	}

	model := shop.New(o.shop())
	segments, err := encode(ctx, model, &o, stderr)
	if err != nil {
		return fmt.Errorf("the run was cut short: %w", err)
	}
	runtime.GC() // what encoding left behind is not a cost of sending
	cpuBefore := cpuSeconds()
	result, err := send.Run(ctx, segments, exporters, send.Options{
		Seed: o.seed, Duration: o.duration, GiveUp: o.giveUp, Tenants: o.tenantNames(),
	})
	summary(stdout, result, cpuSeconds()-cpuBefore)
	if result.Lag > maxLag {
		fmt.Fprintf(stderr, "the rate was not held: requests left up to %.1f s after they were due, with times as old\n", result.Lag.Seconds())
	}
	if err != nil {
		return fmt.Errorf("the run was cut short: %w", err)
	}
	if expect != nil {
		if err := writeTruth(ctx, expect, model, &o, result); err != nil {
			return fmt.Errorf("write --expect: %w", err)
		}
	}
	if result.Failure != nil || result.Rejected > 0 {
		return errors.Join(fmt.Errorf("%d spans were not taken and %d rejected", result.Failed, result.Rejected), result.Failure)
	}
	return nil
}

func dial(o *options) (exporters []send.Exporter, err error) {
	with, err := o.access.load()
	if err != nil {
		return nil, err
	}
	for range o.concurrency {
		exporter, err := send.Dial(o.protocol, o.endpoint, &with)
		if err != nil {
			return nil, &usageError{err}
		}
		exporters = append(exporters, exporter)
	}
	return exporters, nil
}

// encode makes the plans: one that is played as often as it fits, and one for the rest.
func encode(ctx context.Context, model *shop.Shop, o *options, stderr io.Writer) ([]send.Segment, error) {
	began := time.Now()
	pool, count := o.pool(), o.count()
	plan, err := schedule.BuildContext(ctx, model, o.schedule(), 0, pool)
	segments := []send.Segment{{Plan: plan, Times: count / pool}}
	if rest := count % pool; rest > 0 && err == nil {
		plan, err = schedule.BuildContext(ctx, model, o.schedule(), pool, rest)
		segments = append(segments, send.Segment{Plan: plan, Times: 1})
	}
	if err != nil {
		return nil, err
	}
	var spans, size int64
	for _, segment := range segments {
		spans, size = spans+segment.Plan.Spans, size+segment.Plan.Bytes
	}
	fmt.Fprintf(stderr, "encoded %d spans with --seed %d: %.1f MB in %.1f s\n", spans, o.seed, float64(size)/1e6, time.Since(began).Seconds())
	return segments, nil
}

// maxLag is how late requests may leave before it is worth a warning.
const maxLag = time.Second

func summary(out io.Writer, r *send.Result, cpu float64) {
	traces := 0
	for _, cycle := range r.Cycles {
		traces += cycle.Traces
	}
	seconds := r.Elapsed.Seconds()
	fmt.Fprintf(out, "sent %d spans of %d traces in %.2f s: %.0f spans/s, %.1f MB in %d requests, %d retries, answered in %.1f ms (p50), %.1f ms (p99)",
		r.Spans, traces, seconds, float64(r.Spans)/max(seconds, 1e-9), float64(r.Bytes)/1e6, r.Requests, r.Retries,
		r.Latency(0.5).Seconds()*1e3, r.Latency(0.99).Seconds()*1e3)
	if cpu > 0 && r.Spans > 0 {
		fmt.Fprintf(out, ", %.2f CPU s per million spans", cpu/float64(r.Spans)*1e6)
	}
	if paced := len(r.Cycles) > 0 && r.Cycles[0].Plan.Period > 0; paced {
		fmt.Fprintf(out, ", %.1f traces/s, up to %.1f ms late", float64(traces)/max(seconds, 1e-9), r.Lag.Seconds()*1e3)
	}
	fmt.Fprintln(out)
}

// writeTruth makes the visits again, without their attributes: that is cheaper than keeping them.
func writeTruth(ctx context.Context, out io.Writer, model *shop.Shop, o *options, result *send.Result) error {
	run := truth.Run{Seed: o.seed, Started: result.Started.UTC(), Finished: result.Started.Add(result.Elapsed).UTC()}
	if o.tenants > 0 {
		run.TenantHeader = send.TenantHeader
	}
	writer, err := truth.NewWriter(out, run, truth.NewTally(o.tenantNames()))
	if err != nil {
		return err
	}
	timing := o.schedule()
	for first := 0; first < len(result.Cycles); {
		plan := result.Cycles[first].Plan
		cycles := result.Cycles[first:]
		for i := range cycles {
			if cycles[i].Plan != plan {
				cycles = cycles[:i]
				break
			}
		}
		for i := range plan.Visits {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var playings []truth.Playing
			for k := range cycles {
				if i < cycles[k].Visits {
					playings = append(playings, truth.Playing{Origin: cycles[k].Origin, ID: cycles[k].Mask.TraceID})
				}
			}
			if len(playings) == 0 {
				break
			}
			v := model.Visit(plan.First + i)
			if err := writer.Visit(v, timing.Start(v, plan.First, plan.Visits), playings); err != nil {
				return err
			}
		}
		first += len(cycles)
	}
	return writer.Close()
}
