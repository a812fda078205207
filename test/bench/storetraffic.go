package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	traceanalysis "github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// storedCall is some traces of tracegen's shop as they reach the store: released together, annotated. It is written again and again,
// each time as other traces: renumber.
type storedCall struct {
	td     ptrace.Traces
	spans  int
	ids    []pcommon.TraceID // as they are now
	mask   wire.Mask
	origin int64
	// Annotations that go with ids and times.
	starts, bottlenecks []pcommon.Value
}

// newStoredCall annotates what trace_assembly hands on, as trace_analysis does.
func newStoredCall(td ptrace.Traces) *storedCall {
	c := &storedCall{td: td, spans: td.SpanCount()}
	releases := tracetree.Releases(td)
	for i := range releases {
		release := &releases[i]
		traceanalysis.Annotate(release, traceanalysis.Analyze(release))
		c.ids = append(c.ids, release.TraceID)
		c.origin = release.ReleasedAt
		for k := range release.Spans {
			attrs := release.Spans[k].Attributes()
			if start, ok := attrs.Get(conventions.AttrStart); ok {
				c.starts = append(c.starts, start)
			}
			if bottleneck, ok := attrs.Get(conventions.AttrBottleneckSpanID); ok {
				c.bottlenecks = append(c.bottlenecks, bottleneck)
			}
		}
	}
	return c
}

// renumber gives the traces other ids and lets them be released at a time.
func (c *storedCall) renumber(rng *rand.Rand, releasedAt int64) {
	mask := wire.Mask{Trace: [2]uint64{rng.Uint64(), rng.Uint64()}, Span: rng.Uint64()}
	c.move(mask, releasedAt)
	for _, rs := range c.td.ResourceSpans().All() {
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt)
	}
}

func (c *storedCall) move(mask wire.Mask, origin int64) {
	change := wire.Mask{Trace: [2]uint64{c.mask.Trace[0] ^ mask.Trace[0], c.mask.Trace[1] ^ mask.Trace[1]}, Span: c.mask.Span ^ mask.Span}
	shift := pcommon.Timestamp(origin - c.origin)
	for _, rs := range c.td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				span.SetTraceID(change.TraceID(span.TraceID()))
				span.SetSpanID(moveSpanID(span.SpanID(), change.Span))
				if parent := span.ParentSpanID(); !parent.IsEmpty() {
					span.SetParentSpanID(moveSpanID(parent, change.Span))
				}
				span.SetStartTimestamp(span.StartTimestamp() + shift)
				span.SetEndTimestamp(span.EndTimestamp() + shift)
				for _, event := range span.Events().All() {
					event.SetTimestamp(event.Timestamp() + shift)
				}
			}
		}
	}
	for i, id := range c.ids {
		c.ids[i] = change.TraceID(id)
	}
	for _, start := range c.starts {
		start.SetInt(start.Int() + int64(shift))
	}
	for _, bottleneck := range c.bottlenecks {
		var id pcommon.SpanID
		_, _ = hex.Decode(id[:], []byte(bottleneck.Str())) // it is an id, of analysis
		moved := moveSpanID(id, change.Span)
		bottleneck.SetStr(hex.EncodeToString(moved[:]))
	}
	c.mask, c.origin = mask, origin
}

func moveSpanID(id pcommon.SpanID, mask uint64) pcommon.SpanID {
	binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(id[:])^mask)
	return id
}

// pool is the calls that are written again and again.
type pool struct {
	calls  []*storedCall
	source *rand.PCG
	rng    *rand.Rand // of source
	next   int
}

func newPool(ctx context.Context, seed uint64, traces, maxSpans int) (*pool, error) {
	assembled, err := assembledCalls(ctx, seed, traces, maxSpans)
	if err != nil {
		return nil, err
	}
	p := &pool{source: rand.NewPCG(seed, 0x70001)}
	p.rng = rand.New(p.source)
	for i := range assembled.encoded {
		td, err := assembled.next(i)
		if err != nil {
			return nil, err
		}
		p.calls = append(p.calls, newStoredCall(td))
	}
	return p, nil
}

// take is the next call, released at a time. It is the caller's until the one after it is taken.
func (p *pool) take(releasedAt int64) *storedCall {
	c := p.calls[p.next%len(p.calls)]
	p.next++
	c.renumber(p.rng, releasedAt)
	return c
}

// groupedSize is what zstd makes of traces of the shop as OTLP, each trace on its own behind the other in blocks, in bytes a span. They are not
// annotated.
func groupedSize(seed uint64, traces, block int) (float64, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)))
	if err != nil {
		return 0, err
	}
	s := shop.New(shop.Options{Seed: seed})
	var pending, out []byte
	size, spans := 0, 0
	flush := func() {
		out = encoder.EncodeAll(pending, out[:0])
		size += len(out)
		pending = pending[:0]
	}
	for n := range traces {
		v := s.Visit(n)
		batches := make(map[int]*wire.Batch)
		var order []int
		s.Encode(v, 0, func(k int, scope wire.Scope, span *wire.Span) {
			instance := s.Instance(&v.Spans[k])
			if batches[instance] == nil {
				batches[instance] = wire.NewBatch(s.Resource(instance), shop.SchemaURL)
				order = append(order, instance)
			}
			batches[instance].Add(scope, span)
			spans++
		})
		for _, instance := range order {
			payload := batches[instance].Payload()
			payload.Move(wire.Mask{}, 1_700_000_000_000_000_000+int64(n)*1e6)
			pending = append(pending, payload.Bytes()...)
		}
		if len(pending) >= block {
			flush()
		}
	}
	flush()
	return float64(size) / float64(spans), nil
}
