package otlpwire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/pdatalayout"
)

// Decoder makes pdata of spans that were found regular. What pdata makes with an allocation for each string, value and list is cut
// from slabs here, and strings are parts of the spans' bytes: they keep these alive, and a span the slab that it stands in. A slab is not
// used again but by Rewind, so whoever is handed the spans may keep and change them, as any pdata.
//
// The zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	// Spare is for how many more attributes each span has room.
	Spare int

	spans    pdatalayout.Slab[pdatalayout.Span]
	events   pdatalayout.Slab[pdatalayout.Event]
	links    pdatalayout.Slab[pdatalayout.Link]
	pairs    pdatalayout.Slab[pdatalayout.Attribute]
	texts    pdatalayout.Slab[pdatalayout.Text]
	integers pdatalayout.Slab[pdatalayout.Int]
	doubles  pdatalayout.Slab[pdatalayout.Double]
	booleans pdatalayout.Slab[pdatalayout.Bool]
	arrays   pdatalayout.Slab[pdatalayout.Array]
	values   pdatalayout.Slab[pdatalayout.Value]

	made spanSum
}

// spanSum tells lists of spans apart: how many, and the sum of where they stand.
type spanSum struct {
	spans int
	at    uintptr
}

func (s *spanSum) add(span *pdatalayout.Span) {
	s.spans++
	s.at += uintptr(unsafe.Pointer(span))
}

// NewKeeping makes a Decoder that may be rewound.
func NewKeeping() *Decoder {
	d := new(Decoder)
	d.spans.Keep, d.events.Keep, d.links.Keep, d.pairs.Keep, d.texts.Keep = true, true, true, true, true
	d.integers.Keep, d.doubles.Keep, d.booleans.Keep, d.arrays.Keep, d.values.Keep = true, true, true, true, true
	return d
}

// Rewind uses the memory of all that was decoded again, but for the texts, which are parts of the spans' bytes. Nobody may have anything of it any more.
func (d *Decoder) Rewind() {
	d.spans.Rewind()
	d.events.Rewind()
	d.links.Rewind()
	d.pairs.Rewind()
	d.texts.Rewind()
	d.integers.Rewind()
	d.doubles.Rewind()
	d.booleans.Rewind()
	d.arrays.Rewind()
	d.values.Rewind()
	d.made = spanSum{}
}

// Holds says whether td has the spans that were decoded since Rewind, each of them and no others. Where somebody has moved a span elsewhere, it has not.
func (d *Decoder) Holds(td ptrace.Traces) bool {
	if !known {
		return false
	}
	var found spanSum
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			spans := ss.Spans()
			for _, span := range *wrapped(&spans).Orig {
				found.add(span)
			}
		}
	}
	return found == d.made
}

// known says whether pdata is laid out as it is filled here.
var known = pdatalayout.Known

// Decode fills to, which must be empty, with spans, each of which is the bytes of a Span message that was found regular. The bytes must
// not change any more.
func (d *Decoder) Decode(spans []string, to ptrace.SpanSlice) error {
	Make(len(spans), to)
	for i, raw := range spans {
		if i+2 < len(spans) {
			Prefetch(spans[i+2])
		}
		if err := d.DecodeAt(raw, to, i); err != nil {
			return err
		}
	}
	return nil
}

// Make makes room in to, which must be empty, for n spans. Each is there when DecodeAt has decoded it.
func Make(n int, to ptrace.SpanSlice) {
	if known {
		*wrapped(&to).Orig = make([]*pdatalayout.Span, n)
		return
	}
	to.EnsureCapacity(n)
	for range n {
		to.AppendEmpty()
	}
}

// DecodeAt is Decode for one of the spans that Make made room for. Spans that are decoded one after the other stand together in memory.
func (d *Decoder) DecodeAt(raw string, to ptrace.SpanSlice, at int) error {
	if known {
		span := d.spans.One()
		d.made.add(span)
		(*wrapped(&to).Orig)[at] = span
		if d.span(raw, span) {
			return nil
		}
		*span = pdatalayout.Span{}
	}
	return decodeOne(raw, to.At(at))
}

func wrapped(spans *ptrace.SpanSlice) *pdatalayout.Wrapper[[]*pdatalayout.Span] {
	return (*pdatalayout.Wrapper[[]*pdatalayout.Span])(unsafe.Pointer(spans))
}

// Prefetch lets the processor fetch the bytes of a span that is decoded soon.
func Prefetch(raw string) { pdatalayout.PrefetchText(raw) }

// decodeOne has pdata decode.
func decodeOne(raw string, to ptrace.Span) error {
	var unmarshaler ptrace.ProtoUnmarshaler
	td, err := unmarshaler.UnmarshalTraces(Request("", "", raw))
	if err != nil {
		return fmt.Errorf("decode a span: %w", err)
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				span.MoveTo(to)
			}
		}
	}
	return nil
}

// lists counts the lists of a span.
func lists(span string) (attributes, events, links int) {
	for pos := 0; pos < len(span); {
		tag := span[pos]
		pos++
		switch tag & 7 {
		case lenType:
			_, pos = field(span, pos, len(span))
			switch tag {
			case attributeTag:
				attributes++
			case eventTag:
				events++
			case linkTag:
				links++
			}
		case varintType:
			_, pos = uvarint(span, pos, len(span))
		case i64Type:
			pos += 8
		default: // flags
			pos += 5
		}
	}
	return attributes, events, links
}

// span decodes a span. It says whether it has nothing but what is decoded here: no maps and bytes as values, no lists in lists.
func (d *Decoder) span(raw string, to *pdatalayout.Span) bool {
	attributes, events, links := lists(raw)
	to.Attributes = d.pairs.Take(attributes, d.Spare)
	if events > 0 {
		to.Events = make([]*pdatalayout.Event, 0, events)
	}
	if links > 0 {
		to.Links = make([]*pdatalayout.Link, 0, links)
	}
	attribute := 0
	for pos := 0; pos < len(raw); {
		tag := raw[pos]
		pos++
		switch tag & 7 {
		case lenType:
			from, next := field(raw, pos, len(raw))
			pos = next
			switch tag {
			case attributeTag:
				if !d.attribute(raw, from, next, &to.Attributes[attribute]) {
					return false
				}
				attribute++
			case traceIDTag:
				copy(to.TraceId[:], raw[from:next])
			case spanIDTag:
				copy(to.SpanId[:], raw[from:next])
			case parentTag:
				copy(to.ParentSpanId[:], raw[from:next])
			case traceStateTag:
				to.TraceState = raw[from:next]
			case nameTag:
				to.Name = raw[from:next]
			case statusTag:
				readStatus(raw, from, next, &to.Status)
			case eventTag:
				event := d.events.One()
				to.Events = append(to.Events, event)
				if !d.event(raw[from:next], event) {
					return false
				}
			case linkTag:
				link := d.links.One()
				to.Links = append(to.Links, link)
				if !d.link(raw[from:next], link) {
					return false
				}
			}
		case varintType:
			var n uint64
			n, pos = uvarint(raw, pos, len(raw))
			switch tag {
			case kindTag:
				to.Kind = int32(n)
			case droppedAttrsTag:
				to.DroppedAttributesCount = uint32(n)
			case droppedEventsTag:
				to.DroppedEventsCount = uint32(n)
			case droppedLinksTag:
				to.DroppedLinksCount = uint32(n)
			}
		case i64Type:
			if tag == startTag {
				to.StartTimeUnixNano = fixed64(raw, pos)
			} else {
				to.EndTimeUnixNano = fixed64(raw, pos)
			}
			pos += 8
		default:
			to.Flags = fixed32(raw, pos+1)
			pos += 5
		}
	}
	return true
}

func readStatus(raw string, pos, end int, to *pdatalayout.Status) {
	for pos < end {
		tag := raw[pos]
		if tag == statusMessageTag {
			from, next := field(raw, pos+1, end)
			to.Message, pos = raw[from:next], next
			continue
		}
		n, next := uvarint(raw, pos+1, end)
		to.Code, pos = int32(n), next
	}
}

// attributeCount counts the attributes of an event, a link or a resource.
func attributeCount(raw string, tag byte) (n int) {
	walk(raw, func(t byte, _, _ int) bool {
		if t == tag {
			n++
		}
		return true
	})
	return n
}

// walk calls each with the fields of an event, a link or a resource: where the value stands.
func walk(raw string, each func(tag byte, from, to int) bool) bool {
	for pos := 0; pos < len(raw); {
		tag := raw[pos]
		from, to := pos+1, 0
		switch tag & 7 {
		case lenType:
			from, to = field(raw, from, len(raw))
		case varintType:
			_, to = uvarint(raw, from, len(raw))
		case i64Type:
			to = from + 8
		default:
			to = from + 4
		}
		if !each(tag, from, to) {
			return false
		}
		pos = to
	}
	return true
}

func (d *Decoder) event(raw string, to *pdatalayout.Event) bool {
	to.Attributes = d.pairs.Take(attributeCount(raw, eventAttributeTag), 0)
	attribute := 0
	return walk(raw, func(tag byte, from, end int) bool {
		switch tag {
		case eventTimeTag:
			to.TimeUnixNano = fixed64(raw, from)
		case eventNameTag:
			to.Name = raw[from:end]
		case eventDroppedTag:
			n, _ := uvarint(raw, from, end)
			to.DroppedAttributesCount = uint32(n)
		case eventAttributeTag:
			attribute++
			return d.attribute(raw, from, end, &to.Attributes[attribute-1])
		}
		return true
	})
}

func (d *Decoder) link(raw string, to *pdatalayout.Link) bool {
	to.Attributes = d.pairs.Take(attributeCount(raw, linkAttributeTag), 0)
	attribute := 0
	return walk(raw, func(tag byte, from, end int) bool {
		switch tag {
		case linkTraceIDTag:
			copy(to.TraceId[:], raw[from:end])
		case linkSpanIDTag:
			copy(to.SpanId[:], raw[from:end])
		case linkStateTag:
			to.TraceState = raw[from:end]
		case linkDroppedTag:
			n, _ := uvarint(raw, from, end)
			to.DroppedAttributesCount = uint32(n)
		case linkFlagsTag:
			to.Flags = fixed32(raw, from)
		case linkAttributeTag:
			attribute++
			return d.attribute(raw, from, end, &to.Attributes[attribute-1])
		}
		return true
	})
}

// attribute decodes a KeyValue.
func (d *Decoder) attribute(raw string, pos, end int, to *pdatalayout.Attribute) bool {
	for pos < end {
		tag := raw[pos]
		if tag != keyTag && tag != valueTag {
			return false
		}
		from, next := field(raw, pos+1, end)
		if tag == keyTag {
			to.Key = raw[from:next]
		} else if from < next && !d.value(raw, from, next, &to.Value) {
			return false
		}
		pos = next
	}
	return true
}

// value decodes an AnyValue that is not empty.
func (d *Decoder) value(raw string, pos, end int, to *pdatalayout.Value) bool {
	held := to.Box()
	switch raw[pos] {
	case textTag:
		from, next := field(raw, pos+1, end)
		v := d.texts.One()
		v.StringValue = raw[from:next]
		*held = pdatalayout.Box{Type: pdatalayout.Types.Text, At: unsafe.Pointer(v)}
	case intTag:
		n, _ := uvarint(raw, pos+1, end)
		v := d.integers.One()
		v.IntValue = int64(n)
		*held = pdatalayout.Box{Type: pdatalayout.Types.Int, At: unsafe.Pointer(v)}
	case boolTag:
		n, _ := uvarint(raw, pos+1, end)
		v := d.booleans.One()
		v.BoolValue = n != 0
		*held = pdatalayout.Box{Type: pdatalayout.Types.Bool, At: unsafe.Pointer(v)}
	case doubleTag:
		v := d.doubles.One()
		v.DoubleValue = math.Float64frombits(fixed64(raw, pos+1))
		*held = pdatalayout.Box{Type: pdatalayout.Types.Double, At: unsafe.Pointer(v)}
	case arrayTag:
		from, next := field(raw, pos+1, end)
		v := d.arrays.One()
		v.ArrayValue = new(pdatalayout.Values)
		*held = pdatalayout.Box{Type: pdatalayout.Types.Array, At: unsafe.Pointer(v)}
		return d.array(raw, from, next, v.ArrayValue)
	default:
		return false
	}
	return true
}

// array decodes an ArrayValue. It says whether its values are plain ones.
func (d *Decoder) array(raw string, pos, end int, to *pdatalayout.Values) bool {
	n := 0
	for at := pos; at < end; n++ {
		var from int
		if from, at = field(raw, at+1, end); from < at && raw[from] == arrayTag {
			return false // nothing here recurses
		}
	}
	to.Values = d.values.Take(n, 0)
	for i := range to.Values {
		from, next := field(raw, pos+1, end)
		if from < next && !d.value(raw, from, next, &to.Values[i]) {
			return false
		}
		pos = next
	}
	return true
}

// fixed32 reads four bytes, which are there.
func fixed32(s string, pos int) uint32 {
	return binary.LittleEndian.Uint32(unsafe.Slice(unsafe.StringData(s[pos:pos+4]), 4))
}
