package traceassemblyprocessor

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// callDecoder makes pdata of calls. It keeps memory for the next one; it is for one goroutine.
type callDecoder struct {
	buf   []byte
	spans otlpwire.Decoder
}

const (
	// maxDecoderBytes is the most that a callDecoder keeps.
	maxDecoderBytes = 1 << 20
	// spareAttributes is for how many attributes a decoded span has room: trace_analysis writes about as many on most.
	spareAttributes = 8
)

// decode is the call with what assembly writes on it. Every attempt to hand it on has its own: whoever is handed it may change it, but
// for the bytes of what is held, which its strings are parts of, and strings do not change.
func (d *callDecoder) decode(c *call) (ptrace.Traces, error) {
	d.buf = d.buf[:0]
	for i := range c.resources {
		d.buf = c.resources[i].encodeHeads(d.buf, c.releasedAt)
	}
	traces, err := unmarshaler.UnmarshalTraces(d.buf)
	if err != nil {
		return traces, fmt.Errorf("decode what is held: %w", err)
	}
	if cap(d.buf) > maxDecoderBytes {
		d.buf = nil
	}
	d.spans.Spare = spareAttributes
	defer d.spans.Reset()
	for i := range c.resources {
		scopes := traces.ResourceSpans().At(i).ScopeSpans()
		for j := range c.resources[i].scopes {
			if err := c.resources[i].scopes[j].decode(&d.spans, scopes.At(j).Spans()); err != nil {
				return traces, err
			}
		}
	}
	return traces, nil
}

// encodeHeads writes a resource and its scopes, without spans, as a request.
func (r *callResource) encodeHeads(buf []byte, releasedAt int64) []byte {
	var own []byte
	if r.from.key.tenant != "" {
		own = otlpwire.AppendTextAttribute(own, conventions.AttrTenant, r.from.key.tenant)
	}
	own = otlpwire.AppendIntAttribute(own, conventions.AttrReleasedAt, releasedAt)
	size := otlpwire.SizeOf(len(r.from.body)+len(own)) + otlpwire.SizeOfSchemaURL(r.from.schemaURL)
	for j := range r.scopes {
		size += otlpwire.SizeOf(r.scopes[j].headBytes())
	}
	buf = otlpwire.BeginResourceSpans(slices.Grow(buf, otlpwire.SizeOf(size)), size)
	buf = append(otlpwire.BeginHead(buf, len(r.from.body)+len(own)), r.from.body...)
	buf = append(buf, own...)
	for j := range r.scopes {
		buf = r.scopes[j].encodeHead(buf)
	}
	return otlpwire.AppendSchemaURL(buf, r.from.schemaURL)
}

func (s *callScope) headBytes() int {
	return otlpwire.SizeOf(len(s.from.body)) + otlpwire.SizeOfSchemaURL(s.from.schemaURL)
}

func (s *callScope) encodeHead(buf []byte) []byte {
	buf = otlpwire.AppendHead(otlpwire.BeginScopeSpans(buf, s.headBytes()), s.from.body)
	return otlpwire.AppendSchemaURL(buf, s.from.schemaURL)
}

// decode decodes the spans, and writes on them what assembly has to say.
func (s *callScope) decode(decoder *otlpwire.Decoder, spans ptrace.SpanSlice) error {
	if err := decoder.Decode(s.spans, spans); err != nil {
		return err
	}
	for _, p := range s.patched {
		if p.conflict {
			markConflict(spans.At(p.at))
		}
		p.patch.apply(spans.At(p.at))
	}
	return nil
}
