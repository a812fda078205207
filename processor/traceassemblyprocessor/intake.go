package traceassemblyprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/tracetree"
)

var errStopped = errors.New("trace_assembly is not running; send again later")

// arrival is one span on its way to its shard. The shard owns the span; the origin is shared. What assembly needs of the span is read
// here, where it was decoded a moment ago: later reading it means waiting for memory.
type arrival struct {
	trace  pcommon.TraceID
	origin *origin
	held   heldSpan // without what the shard knows: its origin, operation, times of arrival
}

// batch is what one request brings for one shard.
type batch struct {
	at       time.Duration    // arrival, on the processor's clock
	record   journal.Position // of the request, if there is a journal
	arrivals []arrival
	weight   int64 // of the arrivals
	// shared is the weight of the request's resources and scopes, on one of its batches: reserved until the shard counts by
	// itself what it keeps of them.
	shared int64
}

// batches recycles them: they are made by requests and given back by shards.
var batches = sync.Pool{New: func() any { return new(batch) }}

// maxRecycled is the longest slice that is kept for reuse.
const maxRecycled = 4096

// refs are where the spans stand in the journal.
func (b *batch) refs() []spanRef {
	refs := make([]spanRef, len(b.arrivals))
	for i := range b.arrivals {
		refs[i] = spanRef{b.record, b.arrivals[i].held.ref.index}
	}
	return refs
}

func (b *batch) recycle() {
	clear(b.arrivals)
	if cap(b.arrivals) > maxRecycled {
		return
	}
	*b = batch{arrivals: b.arrivals[:0]}
	batches.Put(b)
}

// ConsumeTraces takes a request whole or answers an error; every error but that of a bad tenant is retryable. td becomes the
// processor's. A request that fails because ctx ends may be taken in part: its sender repeats it, and what was taken is
// recognised as duplicate.
func (p *assemblyProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if !p.gate.enter() {
		p.telemetry.refused(refusedStopped)
		return errStopped
	}
	defer p.gate.leave()
	if p.budget.full() {
		return p.full()
	}
	tenant, err := requestTenant(ctx, p.cfg.Tenant.Header)
	if err != nil {
		p.telemetry.refused(refusedTenant)
		return err
	}
	// Spans are used after this call returns. With pdata's pooling the receiver would recycle them then; this reference is
	// never given back, so that the garbage collector frees them instead.
	pref.RefTraces(td)

	var record *[]byte
	if p.ledger != nil { // before split takes it apart
		if record, err = encodeArrival(tenant, td); err != nil {
			return consumererror.NewPermanent(fmt.Errorf("encode spans for the journal: %w", err))
		}
	}
	var in intake
	in.split(p, td, tenant)
	if !p.budget.reserve(in.weight+in.shared, in.spans) {
		in.recycle()
		return p.full()
	}
	if p.ledger != nil && in.spans > 0 {
		at, err := p.ledger.arrive(ctx, record, in.spans)
		if err != nil {
			p.telemetry.refused(refusedJournal)
			p.budget.drop(in.weight+in.shared, in.spans)
			in.recycle()
			return err
		}
		in.journaled(at)
	}
	p.telemetry.received(in.rejected.total())
	p.telemetry.rejected(&in.rejected)
	p.rejects.note(&in.rejected)
	return p.send(ctx, &in)
}

func (p *assemblyProcessor) full() error {
	p.telemetry.refused(refusedMemory)
	return fmt.Errorf("trace_assembly is full: %d bytes are held and memory_limit_bytes is %d; send again later",
		p.budget.held.Load(), p.cfg.MemoryLimitBytes)
}

// send gives every shard its batch. Shards never wait for the next consumer, so this waits only as long as they work.
func (p *assemblyProcessor) send(ctx context.Context, in *intake) error {
	var err error
	for i, b := range in.batches {
		if b == nil {
			continue
		}
		weight, spans := b.weight+b.shared, len(b.arrivals) // b is the shard's once sent
		if err == nil {
			select {
			case p.shards[i].in <- message{batch: b}:
				p.telemetry.received(spans)
				continue
			case <-ctx.Done():
				p.telemetry.refused(refusedContext)
				err = fmt.Errorf("hand spans to their shard: %w", ctx.Err())
			case <-p.gate.stopping:
				p.telemetry.refused(refusedStopped)
				err = errStopped
			}
		}
		p.budget.drop(weight, int64(spans))
		if p.ledger != nil {
			p.ledger.drop(b.refs())
		}
		b.recycle()
	}
	return err
}

// intake is one request, split by shard.
type intake struct {
	batches  []*batch // by shard; nil where the request has nothing for it
	weight   int64
	shared   int64 // weight of resources and scopes that have spans
	spans    int64
	index    uint32 // of the next span
	rejected rejections
}

func (in *intake) recycle() {
	for _, b := range in.batches {
		if b != nil {
			b.recycle()
		}
	}
}

// journaled says where the request stands in the journal.
func (in *intake) journaled(record journal.Position) {
	for _, b := range in.batches {
		if b != nil {
			b.record = record
		}
	}
}

func (in *intake) split(p *assemblyProcessor, td ptrace.Traces, tenant string) {
	in.batches = make([]*batch, len(p.shards))
	at := p.now()
	for i := range td.ResourceSpans().Len() {
		rs := td.ResourceSpans().At(i)
		spansTenant := tenant
		if p.cfg.TrustAnnotations {
			spansTenant = takeTenant(rs.Resource().Attributes(), tenant)
		}
		if _, deep := inspectAttributes(rs.Resource().Attributes(), p.cfg.TrustAnnotations); deep {
			in.skip(&in.rejected[rejectedDepth], resourceSpanCount(rs))
			continue
		}
		r := newResource(spansTenant, rs)
		mix := tenantMix(spansTenant)
		before := in.spans
		for j := range rs.ScopeSpans().Len() {
			in.splitScope(p, r, mix, at, rs.ScopeSpans().At(j))
		}
		if in.spans > before {
			in.shared += r.weight
		}
	}
	for _, b := range in.batches {
		if b != nil {
			b.shared = in.shared
			break
		}
	}
}

func (in *intake) splitScope(p *assemblyProcessor, r *resource, mix uint64, at time.Duration, ss ptrace.ScopeSpans) {
	spans := ss.Spans()
	if _, deep := inspectAttributes(ss.Scope().Attributes(), p.cfg.TrustAnnotations); deep {
		in.skip(&in.rejected[rejectedDepth], spans.Len())
		return
	}
	o := newOrigin(r, ss)
	before := in.spans
	for k := range spans.Len() {
		in.add(p, o, mix, at, spans.At(k))
	}
	if in.spans > before {
		in.shared += o.weight
	}
}

// skip passes over spans that are rejected together.
func (in *intake) skip(why *int, spans int) {
	*why += spans
	in.index += uint32(spans)
}

func resourceSpanCount(rs ptrace.ResourceSpans) int {
	n := 0
	for i := range rs.ScopeSpans().Len() {
		n += rs.ScopeSpans().At(i).Spans().Len()
	}
	return n
}

func (in *intake) add(p *assemblyProcessor, o *origin, mix uint64, at time.Duration, span ptrace.Span) {
	id := span.TraceID()
	index := in.index
	in.index++
	switch {
	case id.IsEmpty():
		in.rejected[rejectedTraceID]++
		return
	case span.SpanID().IsEmpty():
		in.rejected[rejectedSpanID]++
		return
	}
	if p.cfg.TrustAnnotations {
		removeAssembly(span)
	}
	weight, deep := inspect(span, p.cfg.TrustAnnotations)
	if deep {
		in.rejected[rejectedDepth]++
		return
	}
	size := sizer.SpanSize(span)
	if int64(size)+o.total() > p.cfg.MaxSpanBytes {
		in.rejected[rejectedSize]++
		return
	}
	at0 := shardOf(id, mix, len(p.shards))
	b := in.batches[at0]
	if b == nil {
		b = batches.Get().(*batch)
		b.at = at
		in.batches[at0] = b
	}
	weight = spanWeight(weight, size)
	b.arrivals = append(b.arrivals, arrival{trace: id, origin: o, held: heldSpan{
		span: span, id: span.SpanID(), parent: span.ParentSpanID(), start: span.StartTimestamp(),
		times: hashTimes(span.StartTimestamp(), span.EndTimestamp()), size: int32(size), weight: int32(weight),
		kind: tracetree.KnownKind(span.Kind()), failed: span.Status().Code() == ptrace.StatusCodeError, call: p.calls.Read(span),
		ref: spanRef{index: index},
	}})
	b.weight += int64(weight)
	in.weight += int64(weight)
	in.spans++
}

var sizer ptrace.ProtoMarshaler

// What a held span takes in memory beside its bytes: pdata's structs and our own, with the room that growing left. Measured by
// TestSpanWeight, and by make bench-assembly on tracegen's spans.
const (
	spanOverhead    = 340
	attributeWeight = 52  // of an attribute, or a value within a value
	nestedWeight    = 120 // an event or a link
)

// spanWeight is what a held span takes in memory: contents is what inspect says of it, size is its OTLP size.
func spanWeight(contents, size int) int { return min(spanOverhead+contents+size, math.MaxInt32) }

// shardSeed makes the shard of a trace unpredictable: nobody can send everything to one.
var shardSeed = rand.Uint64()

func tenantMix(tenant string) uint64 { return xxhash.Sum64String(tenant) ^ shardSeed }

// shardOf mixes the id, for trace ids need not be random (some begin with the time).
func shardOf(id pcommon.TraceID, mix uint64, shards int) int {
	h := binary.LittleEndian.Uint64(id[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(id[8:]) ^ mix
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return int(h % uint64(shards))
}
