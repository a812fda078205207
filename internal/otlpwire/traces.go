package otlpwire

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/pdatalayout"
)

// TracesDecoder makes pdata of whole requests, spans and resources as Decoder does; scopes are pdata's own work. The zero value is ready. It
// is not safe for concurrent use.
type TracesDecoder struct {
	spans   Decoder
	scanner Scanner
	found   found
}

// found is what a request has: ResourceSpans with their scopes, and the spans of all these.
type found struct {
	request   string
	resources []foundGroup // end is where their scopes end in scopes
	scopes    []foundGroup // end is where their spans end in spans
	spans     []string
	frame     []byte // all of it but the spans and resources, as a request
}

type foundGroup struct {
	head, schemaURL string
	end             int
	resource        string // in the place of head
}

// Decode makes of a request what pdata makes of it. The request must not change any more: texts are parts of it. What one decoder makes shares
// memory, which stays as long as any of it. The error is pdata's.
func (d *TracesDecoder) Decode(request string) (ptrace.Traces, error) {
	var unmarshaler ptrace.ProtoUnmarshaler
	d.found.reset()
	d.found.request = request
	if !known || d.scanner.Scan(request, &d.found) != nil {
		return unmarshaler.UnmarshalTraces(Bytes(request))
	}
	td, err := unmarshaler.UnmarshalTraces(d.found.makeFrame())
	if err != nil {
		return td, err
	}
	scope, from := 0, 0
	for i, rs := range td.ResourceSpans().All() {
		if err := d.resource(d.found.resources[i].resource, rs.Resource()); err != nil {
			return td, err
		}
		for _, ss := range rs.ScopeSpans().All() {
			to := d.found.scopes[scope].end
			if err := d.spans.Decode(d.found.spans[from:to], ss.Spans()); err != nil {
				return td, err
			}
			scope, from = scope+1, to
		}
	}
	return td, nil
}

// resource decodes one.
func (d *TracesDecoder) resource(raw string, to pcommon.Resource) error {
	if raw == "" || d.plainResource(raw, to) {
		return nil
	}
	var unmarshaler ptrace.ProtoUnmarshaler
	td, err := unmarshaler.UnmarshalTraces(Request(raw, "", ""))
	if err != nil {
		return err
	}
	td.ResourceSpans().At(0).Resource().MoveTo(to)
	return nil
}

// plainResource says whether the resource is regular, and has nothing but what a Decoder decodes.
func (d *TracesDecoder) plainResource(raw string, to pcommon.Resource) bool {
	if shape, ok := d.scanner.Resource(raw); !ok || shape.Deep {
		return false
	}
	list := d.spans.pairs.Take(attributeCount(raw, resourceAttributeTag), 0)
	at, dropped := 0, uint64(0)
	plain := walk(raw, func(tag byte, from, to int) bool {
		switch tag {
		case resourceAttributeTag:
			at++
			return d.spans.attribute(raw, from, to, &list[at-1])
		case resourceDroppedTag:
			dropped, _ = uvarint(raw, from, to)
			return true
		}
		return false
	})
	if !plain {
		return false
	}
	attrs := to.Attributes()
	*(*pdatalayout.Wrapper[[]pdatalayout.Attribute])(unsafe.Pointer(&attrs)).Orig = list
	to.SetDroppedAttributesCount(uint32(dropped))
	return true
}

func (f *found) reset() {
	clear(f.resources)
	clear(f.scopes)
	clear(f.spans)
	f.request, f.resources, f.scopes, f.spans = "", f.resources[:0], f.scopes[:0], f.spans[:0]
}

// Resource implements Visitor.
func (f *found) Resource(resource, schemaURL string) (visit bool, err error) {
	f.resources = append(f.resources, foundGroup{resource: resource, schemaURL: schemaURL, end: len(f.scopes)})
	return true, nil
}

// Scope implements Visitor.
func (f *found) Scope(scope, schemaURL string) (visit bool, err error) {
	f.scopes = append(f.scopes, foundGroup{head: scope, schemaURL: schemaURL, end: len(f.spans)})
	f.resources[len(f.resources)-1].end++
	return true, nil
}

// Span implements Visitor.
func (f *found) Span(s *Span) error {
	f.spans = append(f.spans, f.request[s.At:s.End])
	f.scopes[len(f.scopes)-1].end++
	return nil
}

// Skipped implements Visitor.
func (*found) Skipped(int) {}

func (f *found) makeFrame() []byte {
	f.frame = f.frame[:0]
	from := 0
	for _, rs := range f.resources {
		size := rs.size()
		for _, ss := range f.scopes[from:rs.end] {
			size += SizeOf(ss.size())
		}
		f.frame = rs.append(BeginResourceSpans(f.frame, size))
		for _, ss := range f.scopes[from:rs.end] {
			f.frame = ss.append(BeginScopeSpans(f.frame, ss.size()))
		}
		from = rs.end
	}
	return f.frame
}

func (g *foundGroup) size() int { return SizeOf(len(g.head)) + SizeOfSchemaURL(g.schemaURL) }

func (g *foundGroup) append(buf []byte) []byte {
	return AppendSchemaURL(AppendHead(buf, g.head), g.schemaURL)
}
