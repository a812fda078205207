package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// callSpans is where trace_assembly closes a call by default, and leastCallSpans how large a call is that counts: it is closed before, and what is
// left at the end is less.
const (
	callSpans      = 8192
	leastCallSpans = callSpans - 192
)

// calls are what trace_assembly hands on of tracegen's traffic, encoded: decoded anew each time, as nobody may use a call twice.
type calls struct {
	encoded [][]byte
	spans   []int // by call
	traces  int
}

// next decodes one of them. The caller owns it.
func (c *calls) next(i int) (ptrace.Traces, error) {
	return new(ptrace.ProtoUnmarshaler).UnmarshalTraces(c.encoded[i%len(c.encoded)])
}

// spansOf is the number of spans of the calls 0 to n.
func (c *calls) spansOf(n int) int {
	sum := 0
	for i := range n {
		sum += c.spans[i%len(c.spans)]
	}
	return sum
}

// assembledCalls sends visits to a trace_assembly of this process, all at once, and keeps the calls of up to maxSpans that it makes of their
// whole traces.
func assembledCalls(ctx context.Context, seed uint64, visits, maxSpans int) (c *calls, err error) {
	sink := &callSink{least: leastCallSpans}
	if maxSpans > callSpans {
		sink.least = maxSpans / 2 // max_trace_bytes closes large ones
	}
	p, err := startAssembly(ctx, sink, maxSpans)
	if err != nil {
		return nil, err
	}
	plan := schedule.Build(shop.New(shop.Options{Seed: seed}), &schedule.Options{Seed: seed, Window: time.Minute}, 0, visits)
	now := time.Now().UnixNano()
	for i := range plan.Waves {
		for _, request := range plan.Waves[i].Requests {
			sendErr := request.Send(wire.Mask{}, now, func(body []byte) error {
				td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
				if err != nil {
					return err
				}
				return p.ConsumeTraces(ctx, td)
			})
			if sendErr != nil {
				return nil, errors.Join(sendErr, p.Shutdown(context.WithoutCancel(ctx)))
			}
		}
	}
	// What is not released yet is released now: traces are whole, all of them have been sent.
	if err := p.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if sink.err != nil {
		return nil, sink.err
	}
	if len(sink.calls.encoded) == 0 {
		return nil, fmt.Errorf("%d visits are too few for a call of %d spans", visits, sink.least)
	}
	return &sink.calls, nil
}

func startAssembly(ctx context.Context, next consumer.Traces, maxSpans int) (processor.Traces, error) {
	factory := traceassemblyprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*traceassemblyprocessor.Config)
	cfg.NumShards, cfg.ReleaseBatch.MaxSpans, cfg.ReleaseBatch.MaxDelay = 1, maxSpans, time.Minute // calls are full, whatever the pace
	cfg.MemoryLimitBytes = 16 << 30
	p, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), cfg, next)
	if err != nil {
		return nil, err
	}
	return p, p.Start(ctx, componenttest.NewNopHost())
}

// callSink keeps calls of least spans or more as bytes.
type callSink struct {
	least int

	mu    sync.Mutex // guards what follows
	calls calls
	err   error
}

func (*callSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *callSink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	n := td.SpanCount()
	if n < s.least {
		return nil
	}
	body, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return nil
	}
	s.calls.encoded = append(s.calls.encoded, body)
	s.calls.spans = append(s.calls.spans, n)
	s.calls.traces += countTraces(td)
	return nil
}

// countTraces counts by the roots: each trace of tracegen has one.
func countTraces(td ptrace.Traces) int {
	n := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if span.ParentSpanID().IsEmpty() {
					n++
				}
			}
		}
	}
	return n
}
