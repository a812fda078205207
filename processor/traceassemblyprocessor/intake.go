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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/otlpwire"
	"github.com/tracewright/tracewright/internal/rawspans"
	tenants "github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracetree"
)

var errStopped = errors.New("trace_assembly is not running; send again later")

// arrival is one span on its way to its shard; the origin is shared. What assembly needs of the span is read here, where its bytes came by
// a moment ago.
type arrival struct {
	trace  pcommon.TraceID
	origin *origin
	name   string            // a part of the request
	raw    string            // so is this, unless it stands elsewhere
	at     int               // of raw in the request, or elsewhere
	call   *conventions.Call // of a virtual peer if nobody answers; nil for most
	held   heldSpan          // without what the shard knows: its origin, operation, times of arrival
}

// elsewhere is the place of bytes that were written anew.
const elsewhere = -1

// batch is what one request brings for one shard.
type batch struct {
	at       time.Duration    // arrival, on the processor's clock
	record   journal.Position // of the request, if there is a journal
	request  string
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

// ConsumeTraces takes a request whole or answers an error; every error but that of a bad tenant, or of what is no request, is retryable.
// td becomes the processor's. A request that fails because ctx ends may be taken in part: its sender repeats it, and what was taken
// is recognised as duplicate.
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
	request, err := requestBytes(td)
	var in *intake
	if err == nil {
		in, err = p.read(request, tenant)
	}
	if errors.Is(err, tenants.ErrName) {
		p.telemetry.refused(refusedTenant)
		return err
	}
	if err != nil {
		p.telemetry.refused(refusedMalformed)
		return err
	}
	if !p.budget.reserve(in.weight+in.shared, in.spans) {
		in.recycle()
		return p.full()
	}
	var record journal.Position
	if p.ledger != nil && in.spans > 0 {
		begin := p.now()
		if record, err = p.ledger.arrive(ctx, tenant, request, in.spans); err != nil {
			if now := p.now(); errors.Is(err, ctx.Err()) && now-begin < journalPatience {
				p.telemetry.refused(refusedContext)
			} else {
				p.telemetry.refused(refusedJournal)
				p.health.refused(now, err)
			}
			p.budget.drop(in.weight+in.shared, in.spans)
			in.recycle()
			return err
		}
	}
	in.arrived(record)
	p.health.taken()
	p.telemetry.received(in.rejected.total())
	p.telemetry.rejected(&in.rejected)
	p.rejects.note(&in.rejected)
	if err := p.send(ctx, in); err != nil {
		return err
	}
	p.telemetry.accepted(len(request))
	return nil
}

// journalPatience is how long a caller has waited for the journal at least whose giving up is the journal's fault: one that hangs refuses
// requests in no other way.
const journalPatience = time.Second

// requestBytes is a request as OTLP protobuf: as it came, where the receiver hands that on, else encoded.
func requestBytes(td ptrace.Traces) (string, error) {
	request, err := rawspans.Unwrap(td)
	if err != nil {
		return "", consumererror.NewPermanent(err)
	}
	if td.ResourceSpans().Len() == 0 {
		return request, nil
	}
	encoded, err := encodeTraces(td)
	if err != nil {
		return "", consumererror.NewPermanent(err)
	}
	return request + encoded, nil
}

func (p *assemblyProcessor) full() error {
	p.telemetry.refused(refusedMemory)
	err := fmt.Errorf("trace_assembly is full: %d bytes are held and memory_limit_bytes is %d; send again later",
		p.budget.held.Load(), p.cfg.MemoryLimitBytes)
	p.health.refused(p.now(), err)
	return err
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
	p        *assemblyProcessor
	request  string
	tenant   string
	resource *resource // of the spans that are read now
	origin   *origin
	mix      uint64
	counted  int64 // spans that were taken when the resource began, and the scope
	scoped   int64

	batches  []*batch // by shard; nil where the request has nothing for it
	weight   int64
	shared   int64 // weight of resources and scopes that have spans
	spans    int64
	index    uint32 // of the next span
	rejected rejections
}

// recycle gives the batches back; the intake has none any more, so that doing it again does nothing.
func (in *intake) recycle() {
	for _, b := range in.batches {
		if b != nil {
			b.recycle()
		}
	}
	in.batches = nil
}

// arrived says that the request comes now, and where it stands in the journal. What it waited for before, a slow disk or room, is no time
// in which no spans came.
func (in *intake) arrived(record journal.Position) {
	now := in.p.now()
	for _, b := range in.batches {
		if b != nil {
			b.at, b.record = now, record
		}
	}
}

// scanners keep memory for the next request.
var scanners = sync.Pool{New: func() any { return &otlpwire.Scanner{Prefix: conventions.Prefix} }}

// invalidError has the status that makes receivers blame the sender and not themselves.
type invalidError struct{ error }

func (e *invalidError) Unwrap() error { return e.error }

// GRPCStatus is what google.golang.org/grpc/status finds.
func (e *invalidError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, e.Error())
}

// read splits a request by shard. Its error is permanent: what it is given is no request.
func (p *assemblyProcessor) read(request, tenant string) (*intake, error) {
	scanner := scanners.Get().(*otlpwire.Scanner)
	defer scanners.Put(scanner)
	in := &intake{p: p, request: request, tenant: tenant, batches: make([]*batch, len(p.shards))}
	err := scanner.Scan(request, in)
	if errors.Is(err, otlpwire.ErrIrregular) {
		in.recycle()
		if request, err = regular(request); err == nil {
			in = &intake{p: p, request: request, tenant: tenant, batches: make([]*batch, len(p.shards))}
			err = scanner.Scan(request, in)
		}
	}
	if err != nil {
		in.recycle()
		return nil, consumererror.NewPermanent(&invalidError{fmt.Errorf("read spans: %w", err)})
	}
	in.leaveScope()
	in.leaveResource()
	for _, b := range in.batches {
		if b != nil {
			b.shared = in.shared
			break
		}
	}
	return in, nil
}

func (in *intake) leaveScope() {
	if in.origin != nil && in.spans > in.scoped {
		in.shared += in.origin.weight
	}
	in.origin, in.scoped = nil, in.spans
}

func (in *intake) leaveResource() {
	if in.resource != nil && in.spans > in.counted {
		in.shared += in.resource.weight
	}
	in.resource, in.counted = nil, in.spans
}

// Resource begins the spans of a resource.
func (in *intake) Resource(raw, schemaURL string) (visit bool, err error) {
	in.leaveScope()
	in.leaveResource()
	in.resource, err = in.p.senders.resource(in.tenant, raw, schemaURL)
	if in.resource != nil {
		in.mix = tenantMix(in.resource.key.tenant)
	}
	return in.resource != nil, err
}

// Scope begins the spans of a scope.
func (in *intake) Scope(raw, schemaURL string) (visit bool, err error) {
	in.leaveScope()
	in.origin, err = in.p.senders.origin(in.resource, raw, schemaURL)
	return in.origin != nil, err
}

// Skipped passes over spans whose resource or scope is nested too deeply.
func (in *intake) Skipped(spans int) {
	in.rejected[rejectedDepth] += spans
	in.index += uint32(spans)
}

// Span takes a span, or rejects it.
func (in *intake) Span(s *otlpwire.Span) error {
	index := in.index
	in.index++
	trace, id := pcommon.TraceID(s.TraceID), pcommon.SpanID(s.ID)
	raw, at := in.request[s.At:s.End], s.At
	switch {
	case trace.IsEmpty():
		in.rejected[rejectedTraceID]++
		return nil
	case id.IsEmpty():
		in.rejected[rejectedSpanID]++
		return nil
	case s.Deep:
		in.rejected[rejectedDepth]++
		return nil
	}
	if s.Marked {
		var err error
		if raw, err = in.p.withoutAnnotations(raw); err != nil {
			return err
		}
		at = elsewhere
	}
	if int64(len(raw))+in.origin.total() > in.p.cfg.MaxSpanBytes {
		in.rejected[rejectedSize]++
		return nil
	}
	shard := shardOf(trace, in.mix, len(in.batches))
	b := in.batches[shard]
	if b == nil {
		b = batches.Get().(*batch)
		b.request = in.request
		in.batches[shard] = b
	}
	kind := ptrace.SpanKind(s.Kind)
	start, end := pcommon.Timestamp(s.Start), pcommon.Timestamp(s.Stop)
	b.arrivals = append(b.arrivals, arrival{trace: trace, origin: in.origin, name: s.Name, raw: raw, at: at, call: in.call(kind, raw), held: heldSpan{
		bytes: spanBytes{size: uint32(len(raw))}, id: id, parent: pcommon.SpanID(s.Parent), start: start, end: end, times: hashTimes(start, end),
		kind: tracetree.KnownKind(kind), failed: s.Failed, ref: spanRef{index: index},
		decoded: decodedWeight(s.Shape, len(raw)),
	}})
	weight := spanWeight(len(raw))
	b.weight += weight
	in.weight += weight
	in.spans++
	return nil
}

// call is that of a virtual peer if nobody answers.
func (in *intake) call(kind ptrace.SpanKind, raw string) *conventions.Call {
	if !conventions.Calling(kind) {
		return nil
	}
	clues := in.p.calls.Clues(kind)
	otlpwire.Attributes(raw, func(key string, v otlpwire.Value) {
		switch v.Type {
		case otlpwire.Text:
			clues.Text(key, v.Text)
		case otlpwire.Int:
			clues.Int(key, v.Int)
		}
	})
	return in.p.calls.Of(&clues, func() ptrace.Span { return decodeSpan(raw) })
}

// spanOverhead is what a held span takes in memory beside its bytes: our own struct, and the room that growing left. Measured by
// TestSpanWeight, and by make bench-assembly on tracegen's spans.
const spanOverhead = 300

// spanWeight is what a held span of so many bytes takes in memory.
func spanWeight(size int) int64 { return spanOverhead + int64(size) }

// What a span takes while it is handed on, decoded, beside its bytes: pdata's structs, with the room that is left for more attributes.
const (
	decodedOverhead = 220 + 40*spareAttributes
	patchedOverhead = 40 * (sparePatched - spareAttributes)
	attributeWeight = 52  // of an attribute, or a value within a value
	partWeight      = 120 // an event or a link
)

func decodedWeight(shape otlpwire.Shape, size int) int32 {
	return int32(min(decodedOverhead+attributeWeight*shape.Values+partWeight*shape.Parts+size, math.MaxInt32))
}

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
