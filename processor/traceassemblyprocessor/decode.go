package traceassemblyprocessor

import (
	"fmt"
	"slices"
	"weak"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// callDecoder makes pdata of calls. It keeps memory for the next one; it is for one goroutine.
type callDecoder struct {
	again  bool // what was given back may be used again
	buf    []byte
	spans  *otlpwire.Decoder              // of the call that is handed on
	idle   weak.Pointer[otlpwire.Decoder] // what was given back, until the collector of garbage takes it: a quiet system needs none
	scopes []ptrace.SpanSlice
}

const (
	// maxDecoderBytes is the most that a callDecoder keeps.
	maxDecoderBytes = 1 << 20
	// spareAttributes is for how many attributes a decoded span has room: trace_analysis writes about as many on most.
	spareAttributes = 10
	// sparePatched is that of a span on which assembly writes: it mostly speaks for its release, of which trace_analysis writes a dozen more.
	sparePatched = 24
)

// decode is the call with what assembly writes on it. Every attempt to hand it on has its own: whoever is handed it may change it, but
// for the bytes of what is held, which its strings are parts of, and strings do not change.
func (d *callDecoder) decode(c *call) (ptrace.Traces, error) {
	d.buf = d.buf[:0]
	if d.spans = d.idle.Value(); d.spans == nil {
		d.spans = otlpwire.NewKeeping()
	}
	d.idle = weak.Pointer[otlpwire.Decoder]{}
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
	return traces, d.decodeSpans(c, d.makeSpans(c, traces))
}

// done ends a call. Where it is given back, and has what was decoded, the next one is decoded into its memory; else that is whoever's
// was handed it.
func (d *callDecoder) done(traces ptrace.Traces, returned bool) {
	if d.again && returned && d.spans.Holds(traces) {
		d.spans.Rewind()
		d.idle = weak.Make(d.spans)
	}
	d.spans = nil
}

// makeSpans makes the spans of the call, empty, and lists them by the number of their scope.
func (d *callDecoder) makeSpans(c *call, traces ptrace.Traces) []ptrace.SpanSlice {
	scopes := slices.Grow(d.scopes[:0], c.scopes)[:c.scopes]
	for i := range c.resources {
		of := traces.ResourceSpans().At(i).ScopeSpans()
		for j := range c.resources[i].scopes {
			s := &c.resources[i].scopes[j]
			scopes[s.number] = of.At(j).Spans()
			otlpwire.Make(s.spans, scopes[s.number])
		}
	}
	d.scopes = scopes
	return scopes
}

// decodeSpans decodes the spans, and writes on them what assembly has to say. It goes from release to release, so that the spans of a trace
// stand together in memory wherever they hang: who comes next reads them by trace.
func (d *callDecoder) decodeSpans(c *call, scopes []ptrace.SpanSlice) error {
	defer clear(scopes)
	patched := c.patched
	for i := range c.raw {
		if i+2 < len(c.raw) {
			otlpwire.Prefetch(c.raw[i+2].bytes)
		}
		raw := &c.raw[i]
		spans, at := scopes[raw.scope], int(raw.at)
		write := len(patched) > 0 && patched[0].at == i
		if d.spans.Spare = spareAttributes; write {
			d.spans.Spare = sparePatched
		}
		if err := d.spans.DecodeAt(raw.bytes, spans, at); err != nil {
			return err
		}
		if write {
			patched[0].apply(spans.At(at))
			patched = patched[1:]
		}
	}
	return nil
}

func (p *patchedSpan) apply(span ptrace.Span) {
	if p.conflict {
		markConflict(span)
	}
	p.patch.apply(span)
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
