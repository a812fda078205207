package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	runtimemetrics "runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// holdCommand is what bench calls itself with; users have no need of it.
const holdCommand = "hold"

const (
	holdRate  = 60_000 // spans a second: what half a processor takes, so that a busy machine holds the pace
	holdSpans = 500_000
	// The number of traces in flight may be so many times the one asked for. It is more by the calls that fill up, which
	// counts where few are held.
	leastHeld, mostHeld = 0.75, 2
)

// holdResult is what hold prints, as JSON.
type holdResult struct {
	Held        int64   // traces in flight, at the end of the measured time
	Spans       int64   // taken in the measured time
	Collections int64   // of garbage, in it
	CPU         float64 // seconds per million spans
}

// hold drives a trace_assembly of this process, without receiver and exporter, by one-span traces at a fixed rate. Every
// trace is complete and lingers as long as makes --traces of them; with 0 requests are decoded and dropped.
func hold(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("bench hold", flag.ContinueOnError)
	traces := f.Int("traces", 0, "how many to hold")
	if err := f.Parse(args); err != nil {
		return err
	}
	h := &holder{traces: *traces}
	if h.requests, err = newOneSpanRequests(); err != nil {
		return err
	}
	take := func(context.Context, ptrace.Traces) error { return nil }
	if h.traces > 0 {
		p, startErr := h.assembly(ctx)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, p.Shutdown(context.WithoutCancel(ctx))) }()
		take = p.ConsumeTraces
	}
	result, err := h.measure(ctx, take)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

type holder struct {
	traces   int
	requests *oneSpanRequests
	taken    int64
	released atomic.Int64
}

// assembly starts the processor. Its memory of released traces is kept short, so that the runs differ in nothing but what is
// in flight.
func (h *holder) assembly(ctx context.Context) (processor.Traces, error) {
	factory := traceassemblyprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*traceassemblyprocessor.Config)
	cfg.Linger = time.Duration(h.traces) * time.Second / holdRate
	cfg.LateWindow = time.Second
	cfg.MemoryLimitBytes = 16 << 30
	next, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
		h.released.Add(int64(td.SpanCount()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), cfg, next)
	if err != nil {
		return nil, err
	}
	return p, p.Start(ctx, componenttest.NewNopHost())
}

// measure feeds until the traces are in flight, then measures. It begins and ends with a garbage collection: with a large
// heap there are few, and the cost of one must not fall between.
func (h *holder) measure(ctx context.Context, take func(context.Context, ptrace.Traces) error) (r holdResult, err error) {
	began := time.Now()
	feed := func(enough func() bool) error {
		for !enough() {
			due := began.Add(time.Duration(h.taken) * time.Second / holdRate)
			time.Sleep(time.Until(due))
			td, err := h.requests.next()
			if err != nil {
				return err
			}
			n := td.SpanCount()
			if err := take(ctx, td); err != nil {
				return err
			}
			h.taken += int64(n)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	}
	collected := func() func() bool {
		before := collections()
		return func() bool { return collections() > before }
	}
	if err := feed(func() bool { return h.taken >= int64(h.traces)*11/10 }); err != nil {
		return r, err
	}
	if err := feed(collected()); err != nil {
		return r, err
	}
	taken, cycles, cpu := h.taken, collections(), ownCPU()
	if err := feed(func() bool { return h.taken-taken >= holdSpans }); err != nil {
		return r, err
	}
	if err := feed(collected()); err != nil {
		return r, err
	}
	r = holdResult{Spans: h.taken - taken, Collections: collections() - cycles}
	r.CPU = (ownCPU() - cpu).Seconds() / float64(r.Spans) * 1e6
	if h.traces > 0 {
		r.Held = h.taken - h.released.Load()
		if times := float64(r.Held) / float64(h.traces); times < leastHeld || times > mostHeld {
			return r, fmt.Errorf("%d traces are in flight instead of %d: the machine is too slow, or linger no longer decides", r.Held, h.traces)
		}
	}
	return r, nil
}

// collections is how many garbage collections are complete.
func collections() int64 {
	sample := []runtimemetrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	runtimemetrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // fails for another who only
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
