package wire

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Resource and InstrumentationScope.
const (
	requestResourceSpans = 1
	resourceResource     = 1
	resourceScopeSpans   = 2
	resourceSchemaURL    = 3
	scopeScope           = 1
	scopeSpans           = 2
	resourceAttributes   = 1
	scopeName            = 1
	scopeVersion         = 2
)

// Resource is an encoded resource.
type Resource struct {
	bytes []byte
}

// Text adds an attribute.
func (r *Resource) Text(key, value string) {
	b := protowire.AppendTag(r.bytes, resourceAttributes, protowire.BytesType)
	r.bytes = text(keyValue(b, key, stringSize(value)), anyString, value)
}

// Int adds an attribute.
func (r *Resource) Int(key string, value int64) {
	b := protowire.AppendTag(r.bytes, resourceAttributes, protowire.BytesType)
	b = keyValue(b, key, 1+protowire.SizeVarint(uint64(value)))
	r.bytes = number(b, anyInt, uint64(value))
}

// Scope is an instrumentation scope.
type Scope struct {
	Name, Version string
}

// Batch collects spans of one resource for one request.
type Batch struct {
	resource  *Resource
	schemaURL string
	scopes    []scopeBatch
	spans     int
}

type scopeBatch struct {
	scope Scope
	bytes []byte
	marks marks
}

// NewBatch makes an empty batch; it keeps resource.
func NewBatch(resource *Resource, schemaURL string) *Batch {
	return &Batch{resource: resource, schemaURL: schemaURL}
}

// Add appends a copy of the span to its scope.
func (b *Batch) Add(scope Scope, span *Span) {
	s := b.scope(scope)
	s.bytes = protowire.AppendTag(s.bytes, scopeSpans, protowire.BytesType)
	s.bytes = protowire.AppendVarint(s.bytes, uint64(len(span.bytes)))
	s.marks.appendShifted(&span.marks, len(s.bytes))
	s.bytes = append(s.bytes, span.bytes...)
	b.spans++
}

func (b *Batch) scope(scope Scope) *scopeBatch {
	for i := range b.scopes {
		if b.scopes[i].scope == scope {
			return &b.scopes[i]
		}
	}
	b.scopes = append(b.scopes, scopeBatch{scope: scope})
	return &b.scopes[len(b.scopes)-1]
}

// Payload encodes the request. The batch is done after it.
func (b *Batch) Payload() *Payload {
	size := 1 + protowire.SizeBytes(len(b.resource.bytes)) + 1 + protowire.SizeBytes(len(b.schemaURL))
	heads := make([][]byte, len(b.scopes))
	var counts [3]int
	for i := range b.scopes {
		s := &b.scopes[i]
		heads[i] = scopeHead(s.scope)
		size += 1 + protowire.SizeBytes(len(heads[i])+len(s.bytes))
		counts[0] += len(s.marks.traceIDs)
		counts[1] += len(s.marks.spanIDs)
		counts[2] += len(s.marks.times)
	}
	p := &Payload{Spans: b.spans, marks: marks{
		traceIDs: make([]uint32, 0, counts[0]), spanIDs: make([]uint32, 0, counts[1]), times: make([]uint32, 0, counts[2]),
	}}
	out := make([]byte, 0, 1+protowire.SizeBytes(size))
	out = protowire.AppendTag(out, requestResourceSpans, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out = protowire.AppendTag(out, resourceResource, protowire.BytesType)
	out = protowire.AppendBytes(out, b.resource.bytes)
	for i := range b.scopes {
		s := &b.scopes[i]
		out = protowire.AppendTag(out, resourceScopeSpans, protowire.BytesType)
		out = protowire.AppendVarint(out, uint64(len(heads[i])+len(s.bytes)))
		out = append(out, heads[i]...)
		p.marks.appendShifted(&s.marks, len(out))
		out = append(out, s.bytes...)
	}
	p.bytes = text(out, resourceSchemaURL, b.schemaURL)
	return p
}

func scopeHead(scope Scope) []byte {
	inner := text(text(nil, scopeName, scope.Name), scopeVersion, scope.Version)
	return protowire.AppendBytes(protowire.AppendTag(nil, scopeScope, protowire.BytesType), inner)
}

// Mask changes ids: trace ids by all of it, span ids by Span. The zero Mask changes nothing.
type Mask struct {
	Trace [2]uint64
	Span  uint64
}

// TraceID is the trace id as the mask changes it.
func (m Mask) TraceID(id [16]byte) [16]byte {
	xor(id[:8], m.Trace[0])
	xor(id[8:], m.Trace[1])
	return id
}

// Payload is an encoded ExportTraceServiceRequest.
type Payload struct {
	// Spans is the number of spans in it.
	Spans int

	bytes  []byte
	marks  marks
	mask   Mask
	origin int64
}

// Bytes are the request as it stands; they change with the next Move.
func (p *Payload) Bytes() []byte { return p.bytes }

// Len is the number of bytes.
func (p *Payload) Len() int { return len(p.bytes) }

// Move makes the request that of another run: its ids are those it was encoded with, changed by mask, and its times
// count from origin (Unix nanoseconds). Only what differs from the last Move is written.
func (p *Payload) Move(mask Mask, origin int64) {
	if change := (Mask{
		Trace: [2]uint64{p.mask.Trace[0] ^ mask.Trace[0], p.mask.Trace[1] ^ mask.Trace[1]},
		Span:  p.mask.Span ^ mask.Span,
	}); change != (Mask{}) {
		for _, at := range p.marks.traceIDs {
			xor(p.bytes[at:at+8], change.Trace[0])
			xor(p.bytes[at+8:at+16], change.Trace[1])
		}
		for _, at := range p.marks.spanIDs {
			xor(p.bytes[at:at+8], change.Span)
		}
	}
	if shift := uint64(origin - p.origin); shift != 0 {
		for _, at := range p.marks.times {
			b := p.bytes[at : at+8]
			binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+shift)
		}
	}
	p.mask, p.origin = mask, origin
}

func xor(b []byte, mask uint64) {
	binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^mask)
}
