package wire

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of opentelemetry.proto.trace.v1 and common.v1.
const (
	spanTraceID    = 1
	spanID         = 2
	spanParentID   = 4
	spanName       = 5
	spanKind       = 6
	spanStart      = 7
	spanEnd        = 8
	spanAttributes = 9
	spanEvents     = 11
	spanLinks      = 13
	spanStatus     = 15
	spanFlags      = 16

	eventTime       = 1
	eventName       = 2
	eventAttributes = 3

	linkTraceID = 1
	linkSpanID  = 2
	linkFlags   = 6

	statusMessage = 2
	statusCode    = 3

	keyValueKey   = 1
	keyValueValue = 2

	anyString = 1
	anyBool   = 2
	anyInt    = 3
	anyDouble = 4
	anyArray  = 5

	statusError = 2
)

// marks are the offsets at which ids and times stand.
type marks struct {
	traceIDs []uint32 // 16 bytes each
	spanIDs  []uint32 // 8 bytes each: span, parent and linked ids
	times    []uint32 // 8 bytes each, little endian
}

func (m *marks) reset() {
	m.traceIDs, m.spanIDs, m.times = m.traceIDs[:0], m.spanIDs[:0], m.times[:0]
}

// appendShifted appends the offsets of other, moved by shift.
func (m *marks) appendShifted(other *marks, shift int) {
	m.traceIDs = appendShifted(m.traceIDs, other.traceIDs, shift)
	m.spanIDs = appendShifted(m.spanIDs, other.spanIDs, shift)
	m.times = appendShifted(m.times, other.times, shift)
}

func appendShifted(to, from []uint32, shift int) []uint32 {
	for _, offset := range from {
		to = append(to, offset+uint32(shift))
	}
	return to
}

// Header is what every span has. Times are nanoseconds from an origin that Payload.Move names later.
type Header struct {
	TraceID [16]byte
	SpanID  uint64
	// ParentID is 0 for a root.
	ParentID uint64
	Name     string
	Kind     int
	Start    int64
	End      int64
	Flags    uint32
}

// Span is one encoded span. It is used again for the next: Begin, then attributes, events, links and Fail in any order.
// A span without Begin is empty.
type Span struct {
	bytes []byte
	marks marks
	// event collects an event, whose length stands before it.
	event      []byte
	eventMarks marks
	inEvent    bool
}

// Begin starts a new span and forgets the last.
func (s *Span) Begin(h *Header) {
	s.bytes, s.inEvent = s.bytes[:0], false
	s.marks.reset()
	s.bytes = traceID(s.bytes, &s.marks, spanTraceID, h.TraceID)
	s.bytes = id(s.bytes, &s.marks, spanID, h.SpanID)
	if h.ParentID != 0 {
		s.bytes = id(s.bytes, &s.marks, spanParentID, h.ParentID)
	}
	s.bytes = text(s.bytes, spanName, h.Name)
	s.bytes = number(s.bytes, spanKind, uint64(h.Kind))
	s.bytes = moment(s.bytes, &s.marks, spanStart, h.Start)
	s.bytes = moment(s.bytes, &s.marks, spanEnd, h.End)
	if h.Flags != 0 {
		s.bytes = flags(s.bytes, spanFlags, h.Flags)
	}
}

// Fail sets the status ERROR.
func (s *Span) Fail(message string) {
	var status []byte
	if message != "" {
		status = text(status, statusMessage, message)
	}
	status = number(status, statusCode, statusError)
	s.bytes = protowire.AppendTag(s.bytes, spanStatus, protowire.BytesType)
	s.bytes = protowire.AppendBytes(s.bytes, status)
}

// Link adds a link to another span.
func (s *Span) Link(trace [16]byte, span uint64) {
	s.bytes = protowire.AppendTag(s.bytes, spanLinks, protowire.BytesType)
	s.bytes = protowire.AppendVarint(s.bytes, 2+16+2+8+5) // tag and length of the ids, tag and value of the flags
	s.bytes = traceID(s.bytes, &s.marks, linkTraceID, trace)
	s.bytes = id(s.bytes, &s.marks, linkSpanID, span)
	s.bytes = flags(s.bytes, linkFlags, 1)
}

// Event adds an event; what is added within describe are its attributes.
func (s *Span) Event(name string, at int64, describe func()) {
	s.event, s.inEvent = s.event[:0], true
	s.eventMarks.reset()
	s.event = moment(s.event, &s.eventMarks, eventTime, at)
	s.event = text(s.event, eventName, name)
	describe()
	s.inEvent = false
	s.bytes = protowire.AppendTag(s.bytes, spanEvents, protowire.BytesType)
	s.bytes = protowire.AppendVarint(s.bytes, uint64(len(s.event)))
	s.marks.appendShifted(&s.eventMarks, len(s.bytes))
	s.bytes = append(s.bytes, s.event...)
}

// Text adds an attribute.
func (s *Span) Text(key, value string) {
	b := s.key(key, stringSize(value))
	s.attribute(text(b, anyString, value))
}

// Int adds an attribute.
func (s *Span) Int(key string, value int64) {
	b := s.key(key, 1+protowire.SizeVarint(uint64(value)))
	s.attribute(number(b, anyInt, uint64(value)))
}

// Double adds an attribute.
func (s *Span) Double(key string, value float64) {
	b := s.key(key, 1+8)
	b = protowire.AppendTag(b, anyDouble, protowire.Fixed64Type)
	s.attribute(protowire.AppendFixed64(b, math.Float64bits(value)))
}

// Bool adds an attribute.
func (s *Span) Bool(key string, value bool) {
	b := s.key(key, 2)
	s.attribute(number(b, anyBool, protowire.EncodeBool(value)))
}

// TextList adds an attribute: an array of one text.
func (s *Span) TextList(key, value string) {
	element := stringSize(value)                              // AnyValue
	array := 1 + protowire.SizeBytes(element)                 // ArrayValue
	b := s.key(key, 1+protowire.SizeBytes(array))             // AnyValue around it
	b = protowire.AppendTag(b, anyArray, protowire.BytesType) // array_value
	b = protowire.AppendVarint(b, uint64(array))              //
	b = protowire.AppendTag(b, 1, protowire.BytesType)        // values
	s.attribute(text(protowire.AppendVarint(b, uint64(element)), anyString, value))
}

// key starts an attribute whose AnyValue is size bytes long.
func (s *Span) key(key string, size int) []byte {
	b, field := s.bytes, protowire.Number(spanAttributes)
	if s.inEvent {
		b, field = s.event, eventAttributes
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return keyValue(b, key, size)
}

func (s *Span) attribute(b []byte) {
	if s.inEvent {
		s.event = b
		return
	}
	s.bytes = b
}

// keyValue appends a KeyValue up to its value of size bytes, with its own length before it.
func keyValue(b []byte, key string, size int) []byte {
	b = protowire.AppendVarint(b, uint64(stringSize(key)+1+protowire.SizeBytes(size)))
	b = text(b, keyValueKey, key)
	b = protowire.AppendTag(b, keyValueValue, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size))
}

// stringSize is the size of a string field with a number below 16.
func stringSize(value string) int { return 1 + protowire.SizeBytes(len(value)) }

func text(b []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func number(b []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func flags(b []byte, field protowire.Number, value uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, field, protowire.Fixed32Type), value)
}

func traceID(b []byte, m *marks, field protowire.Number, value [16]byte) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), 16)
	m.traceIDs = append(m.traceIDs, uint32(len(b)))
	return append(b, value[:]...)
}

func id(b []byte, m *marks, field protowire.Number, value uint64) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), 8)
	m.spanIDs = append(m.spanIDs, uint32(len(b)))
	return binary.BigEndian.AppendUint64(b, value)
}

func moment(b []byte, m *marks, field protowire.Number, value int64) []byte {
	b = protowire.AppendTag(b, field, protowire.Fixed64Type)
	m.times = append(m.times, uint32(len(b)))
	return protowire.AppendFixed64(b, uint64(value))
}
