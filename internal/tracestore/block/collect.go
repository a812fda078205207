package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// collected is a release as the encoder wants it: what pdata has, gathered in one pass, with its size. Its slices are reused; its strings are
// pdata's until it is cleared.
type collected struct {
	groups  []group
	spans   []spanRecord
	subs    []subRecord // events and links
	values  []value
	any     anyWriter
	scratch []byte
	size    int // of the release as OTLP
}

// group is the spans that stand together in one ScopeSpans.
type group struct {
	resource, scope *entity
	newResource     bool
	spans           int
	size            int // of the spans' fields
}

type section struct{ from, to int32 }

func (s section) len() int { return int(s.to - s.from) }

type spanRecord struct {
	shape
	id, parent    uint64
	start, end    uint64
	name          string
	service       *text
	values        section
	events, links section
	dropped       [3]uint32
}

// subRecord is an event or a link.
type subRecord struct {
	time    uint64
	name    string
	traceID pcommon.TraceID
	spanID  uint64
	flags   uint32
	dropped uint32
	values  section
}

func (c *collected) clear() {
	clear(c.spans)
	clear(c.subs)
	clear(c.values)
	c.groups, c.spans, c.subs, c.values, c.size = c.groups[:0], reuse(c.spans), reuse(c.subs), reuse(c.values), 0
	c.scratch = reuse(c.scratch)
}

// collect fills e.release.
func (e *Encoder) collect(release *tracetree.Release) error {
	c := &e.release
	c.clear()
	for i := range release.Spans {
		span := &release.Spans[i]
		newResource := i == 0 || span.Resource != release.Spans[i-1].Resource
		if newResource || span.Scope != release.Spans[i-1].Scope {
			resource, err := e.resource(span.Resource, span.SchemaURL)
			if err != nil {
				return err
			}
			scope, err := e.scope(span.Scope, span.ScopeSchemaURL)
			if err != nil {
				return err
			}
			c.groups = append(c.groups, group{resource: resource, scope: scope, newResource: newResource})
		}
		if span.TraceID() != release.TraceID {
			return fmt.Errorf("span of trace %s in a release of trace %s", span.TraceID(), release.TraceID)
		}
		g := &c.groups[len(c.groups)-1]
		g.spans++
		g.size += fieldSize(c.span(span, g.resource.service))
	}
	c.size = c.measure()
	if c.size > MaxReleaseBytes || len(c.values) > math.MaxInt32 {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, c.size, MaxReleaseBytes)
	}
	return nil
}

// measure is the size of all groups.
func (c *collected) measure() int {
	total, resource := 0, 0
	for i := len(c.groups) - 1; i >= 0; i-- {
		g := &c.groups[i]
		resource += fieldSize(fieldSize(len(g.scope.otlp)) + g.size + nonEmptySize(g.scope.url))
		if g.newResource {
			total += fieldSize(fieldSize(len(g.resource.otlp)) + resource + nonEmptySize(g.resource.url))
			resource = 0
		}
	}
	return total
}

// span collects a span and answers its size.
func (c *collected) span(s *tracetree.Span, service *text) int {
	id, parent := s.SpanID(), s.ParentSpanID()
	r := spanRecord{
		shape: shape{record: recordSpan, kind: uint32(s.Kind()), status: uint32(s.Status().Code()), flags: s.Flags()},
		id:    binary.BigEndian.Uint64(id[:]), parent: binary.BigEndian.Uint64(parent[:]),
		start: uint64(s.StartTimestamp()), end: uint64(s.EndTimestamp()), name: s.Name(), service: service,
		dropped: [3]uint32{s.DroppedAttributesCount(), s.DroppedEventsCount(), s.DroppedLinksCount()},
	}
	state, message := s.TraceState().AsRaw(), s.Status().Message()
	size := idSize(16, s.TraceID().IsEmpty()) + idSize(8, id.IsEmpty()) + idSize(8, parent.IsEmpty()) +
		nonEmptySize(state) + nonEmptySize(r.name) + numberSize(uint64(int32(r.kind))) + fixedSize(r.start) + fixedSize(r.end) +
		fieldSize(nonEmptySize(message)+numberSize(uint64(int32(r.status))))
	if r.flags != 0 {
		size += 2 + 4
	}
	for _, n := range r.dropped {
		size += numberSize(uint64(n))
	}
	var n int
	r.values, n = c.attributes(s.Attributes(), state, message)
	size += n
	r.events.from = int32(len(c.subs))
	for _, event := range s.Events().All() {
		sub := subRecord{time: uint64(event.Timestamp()), name: event.Name(), dropped: event.DroppedAttributesCount()}
		sub.values, n = c.attributes(event.Attributes(), "", "")
		c.subs = append(c.subs, sub)
		size += fieldSize(fixedSize(sub.time) + nonEmptySize(sub.name) + numberSize(uint64(sub.dropped)) + n)
	}
	r.events.to = int32(len(c.subs))
	r.links.from = r.events.to
	for _, link := range s.Links().All() {
		id := link.SpanID()
		sub := subRecord{
			traceID: link.TraceID(), spanID: binary.BigEndian.Uint64(id[:]), flags: link.Flags(), dropped: link.DroppedAttributesCount(),
		}
		state := link.TraceState().AsRaw()
		sub.values, n = c.attributes(link.Attributes(), state, "")
		c.subs = append(c.subs, sub)
		n += idSize(16, sub.traceID.IsEmpty()) + idSize(8, id.IsEmpty()) + nonEmptySize(state) + numberSize(uint64(sub.dropped))
		if sub.flags != 0 {
			n += 1 + 4
		}
		size += fieldSize(n)
	}
	r.links.to = int32(len(c.subs))
	if r.events.len() > 0 {
		r.bits |= hasEvents
	}
	if r.links.len() > 0 {
		r.bits |= hasLinks
	}
	if r.dropped != [3]uint32{} {
		r.bits |= hasDropped
	}
	c.spans = append(c.spans, r)
	return size
}

// attributes collects attributes and answers their size as fields. State and message, where they are not empty, become values of
// their own.
func (c *collected) attributes(attrs pcommon.Map, state, message string) (section, int) {
	from, size := int32(len(c.values)), 0
	for key, v := range attrs.All() {
		x := value{key: key, kind: kindOf(v)}
		body := 0
		switch x.kind {
		case kindString:
			x.s = v.Str()
			body = fieldSize(len(x.s))
		case kindInt:
			x.number = uint64(v.Int())
			body = 1 + uvarintSize(x.number)
		case kindDouble:
			x.number = math.Float64bits(v.Double())
			body = 1 + 8
		case kindBool:
			if v.Bool() {
				x.number = 1
			}
			body = 1 + 1
		case kindAny:
			c.scratch = c.any.append(c.scratch[:0], v)
			x.s = string(c.scratch)
			body = len(x.s)
		}
		size += fieldSize(keyValueSize(key, body))
		c.values = append(c.values, x)
	}
	if state != "" {
		c.values = append(c.values, value{kind: kindState, s: state})
	}
	if message != "" {
		c.values = append(c.values, value{kind: kindMessage, s: message})
	}
	return section{from, int32(len(c.values))}, size
}

func idSize(n int, empty bool) int {
	if empty {
		return 2
	}
	return 2 + n
}

func nonEmptySize(s string) int {
	if s == "" {
		return 0
	}
	return fieldSize(len(s))
}

func numberSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + uvarintSize(v)
}

func fixedSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + 8
}
