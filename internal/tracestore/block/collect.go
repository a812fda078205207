package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// collected is a release as the encoder wants it: what pdata has, gathered in one pass, with its size. Its slices are reused; strings in them,
// and behind their ends, are pdata's until letGo.
type collected struct {
	groups  []group
	spans   []spanRecord
	subs    []subRecord // events and links
	values  []value
	filled  struct{ spans, subs, values int } // how far the slices were filled since letGo
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
	values        values
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
	values  values
}

// reset empties the slices.
func (c *collected) reset() {
	c.spans, c.subs, c.values = rewind(c.spans, &c.filled.spans), rewind(c.subs, &c.filled.subs), rewind(c.values, &c.filled.values)
	c.groups, c.size, c.scratch = c.groups[:0], 0, reuse(c.scratch)
}

func rewind[T any](list []T, filled *int) []T {
	*filled = max(*filled, len(list))
	if list = reuse(list); list == nil {
		*filled = 0
	}
	return list
}

// letGo forgets the strings of pdata.
func (c *collected) letGo() {
	c.reset()
	clear(c.spans[:c.filled.spans])
	clear(c.subs[:c.filled.subs])
	clear(c.values[:c.filled.values])
	c.filled.spans, c.filled.subs, c.filled.values = 0, 0, 0
}

// collect fills e.release.
func (e *Encoder) collect(release *tracetree.Release) error {
	c := &e.release
	c.reset()
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
	c.spans = append(c.spans, spanRecord{
		shape: shape{record: recordSpan, kind: uint32(s.Kind()), status: uint32(s.Status().Code()), flags: s.Flags()},
		id:    binary.BigEndian.Uint64(id[:]), parent: binary.BigEndian.Uint64(parent[:]),
		start: uint64(s.StartTimestamp()), end: uint64(s.EndTimestamp()), name: s.Name(), service: service,
		dropped: [3]uint32{s.DroppedAttributesCount(), s.DroppedEventsCount(), s.DroppedLinksCount()},
	})
	r := &c.spans[len(c.spans)-1]
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
	return size
}

// attributes collects attributes and answers their size as fields. State and message, where they are not empty, become values of
// their own.
func (c *collected) attributes(attrs pcommon.Map, state, message string) (values, int) {
	n := attrs.Len()
	from, size := len(c.values), 0
	list := slices.Grow(c.values, n+2)[:from+n]
	of := values{section: section{int32(from), int32(from + n)}}
	at := from
	for key, v := range attrs.All() {
		x := &list[at]
		at++
		x.key, x.kind = key, kindOf(v)
		body := 0
		switch x.kind {
		case kindString:
			x.s = v.Str()
			if len(x.s) <= smallBody && len(key) <= smallBody && len(key) > 0 {
				size += smallSize + len(key) + len(x.s)
				of.note(len(key), kindString)
				continue
			}
			body = fieldSize(len(x.s))
		case kindInt:
			x.number = uint64(v.Int())
			body = 1 + uvarintSize(x.number)
		case kindDouble:
			x.number = math.Float64bits(v.Double())
			body = 1 + 8
		case kindBool:
			x.number = 0
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
		of.note(len(key), x.kind)
	}
	c.values = list
	if state != "" {
		c.note(&of, value{kind: kindState, s: state})
	}
	if message != "" {
		c.note(&of, value{kind: kindMessage, s: message})
	}
	return of, size
}

// A key and a string of at most smallBody bytes have lengths of one byte all the way out: smallSize is the four fields' tags and lengths.
const (
	smallBody = 60
	smallSize = 8
)

// note adds a value behind the attributes.
func (c *collected) note(of *values, v value) {
	c.values = append(c.values, v)
	of.to++
	of.note(0, v.kind)
}

// values are the attributes of a record. Their hash is of what is the same for all records of an operation: the lengths and kinds of keys.
type values struct {
	section
	hash uint64
}

func (v *values) note(length int, k kind) {
	v.hash = (v.hash ^ uint64(length) ^ uint64(k)<<32) * 0x9e3779b97f4a7c15
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
