package traceassemblyprocessor

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// callDecoder makes pdata of calls. It keeps memory for the next one; it is for one goroutine.
type callDecoder struct{ buf []byte }

// maxDecoderBytes is the most that it keeps.
const maxDecoderBytes = 4 << 20

// decode is the call with what assembly writes on it. Every attempt to hand it on has its own: whoever is handed it may change it. It goes
// resource by resource: the bytes of one are in the processor's cache when they are decoded.
func (d *callDecoder) decode(c *call) (ptrace.Traces, error) {
	all := ptrace.NewTraces()
	all.ResourceSpans().EnsureCapacity(len(c.resources))
	for i := range c.resources {
		d.buf = c.resources[i].encode(d.buf[:0], c.releasedAt)
		one, err := unmarshaler.UnmarshalTraces(d.buf)
		if err != nil {
			return all, fmt.Errorf("decode what is held: %w", err)
		}
		one.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	if cap(d.buf) > maxDecoderBytes {
		d.buf = nil
	}
	c.write(all)
	return all, nil
}

// encode writes the spans of a resource as one request.
func (r *callResource) encode(buf []byte, releasedAt int64) []byte {
	var own []byte
	if r.from.key.tenant != "" {
		own = otlpwire.AppendTextAttribute(own, conventions.AttrTenant, r.from.key.tenant)
	}
	own = otlpwire.AppendIntAttribute(own, conventions.AttrReleasedAt, releasedAt)
	size := otlpwire.SizeOf(len(r.from.body)+len(own)) + otlpwire.SizeOfSchemaURL(r.from.schemaURL)
	for j := range r.scopes {
		size += otlpwire.SizeOf(r.scopes[j].bytes())
	}
	buf = otlpwire.BeginResourceSpans(slices.Grow(buf, otlpwire.SizeOf(size)), size)
	buf = append(otlpwire.BeginHead(buf, len(r.from.body)+len(own)), r.from.body...)
	buf = append(buf, own...)
	for j := range r.scopes {
		buf = r.scopes[j].encode(buf)
	}
	return otlpwire.AppendSchemaURL(buf, r.from.schemaURL)
}

func (s *callScope) bytes() int {
	return otlpwire.SizeOf(len(s.from.body)) + s.size + otlpwire.SizeOfSchemaURL(s.from.schemaURL)
}

func (s *callScope) encode(buf []byte) []byte {
	buf = otlpwire.AppendHead(otlpwire.BeginScopeSpans(buf, s.bytes()), s.from.body)
	for _, raw := range s.spans {
		buf = otlpwire.AppendSpan(buf, raw)
	}
	return otlpwire.AppendSchemaURL(buf, s.from.schemaURL)
}

// write writes on the decoded spans what assembly has to say of them.
func (c *call) write(traces ptrace.Traces) {
	for i := range c.resources {
		scopes := traces.ResourceSpans().At(i).ScopeSpans()
		for j := range c.resources[i].scopes {
			spans := scopes.At(j).Spans()
			for _, p := range c.resources[i].scopes[j].patched {
				if p.conflict {
					markConflict(spans.At(p.at))
				}
				p.patch.apply(spans.At(p.at))
			}
		}
	}
}
