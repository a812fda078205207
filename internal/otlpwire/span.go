package otlpwire

// Fields of spans, events, links and statuses. The number of flags takes a tag of two bytes.
const (
	traceIDTag       = 1<<3 | lenType
	spanIDTag        = 2<<3 | lenType
	traceStateTag    = 3<<3 | lenType
	parentTag        = 4<<3 | lenType
	nameTag          = 5<<3 | lenType
	kindTag          = 6<<3 | varintType
	startTag         = 7<<3 | i64Type
	stopTag          = 8<<3 | i64Type
	attributeTag     = 9<<3 | lenType
	droppedAttrsTag  = 10<<3 | varintType
	eventTag         = 11<<3 | lenType
	droppedEventsTag = 12<<3 | varintType
	linkTag          = 13<<3 | lenType
	droppedLinksTag  = 14<<3 | varintType
	statusTag        = 15<<3 | lenType
	flagsTag         = 0x80 | (16<<3|i32Type)&0x7f
	flagsTagEnd      = (16<<3 | i32Type) >> 7

	eventTimeTag      = 1<<3 | i64Type
	eventNameTag      = 2<<3 | lenType
	eventAttributeTag = 3<<3 | lenType
	eventDroppedTag   = 4<<3 | varintType

	linkTraceIDTag   = 1<<3 | lenType
	linkSpanIDTag    = 2<<3 | lenType
	linkStateTag     = 3<<3 | lenType
	linkAttributeTag = 4<<3 | lenType
	linkDroppedTag   = 5<<3 | varintType
	linkFlagsTag     = 6<<3 | i32Type

	statusMessageTag = 2<<3 | lenType
	statusCodeTag    = 3<<3 | varintType
	statusError      = 2
)

// once says whether a field stands for the first time, and remembers it.
func once(seen *uint32, tag byte) bool {
	bit := uint32(1) << (tag >> 3)
	first := *seen&bit == 0
	*seen |= bit
	return first
}

// readSpan reads the span from pos to end. It says whether it is regular.
func (s *Scanner) readSpan(body string, pos, end int) bool {
	span := &s.span
	*span = Span{At: pos, End: end}
	s.shape = Shape{}
	var seen uint32
	for pos < end {
		tag := body[pos]
		pos++
		if tag != attributeTag && tag != eventTag && tag != linkTag && !once(&seen, tag) {
			return false
		}
		switch tag {
		case attributeTag, eventTag, linkTag, traceIDTag, spanIDTag, parentTag, nameTag, traceStateTag, statusTag:
			from, to := field(body, pos, end)
			if to == none || !s.part(body, tag, from, to) {
				return false
			}
			pos = to
		case kindTag, droppedAttrsTag, droppedEventsTag, droppedLinksTag:
			n, next := uvarint(body, pos, end)
			if next == none {
				return false
			}
			if tag == kindTag {
				span.Kind = int32(n)
			}
			pos = next
		case startTag, stopTag:
			if pos+8 > end {
				return false
			}
			if tag == startTag {
				span.Start = fixed64(body, pos)
			} else {
				span.Stop = fixed64(body, pos)
			}
			pos += 8
		case flagsTag:
			if pos+5 > end || body[pos] != flagsTagEnd {
				return false
			}
			pos += 5
		default:
			return false
		}
	}
	span.Shape = s.shape
	return true
}

// part reads what has a length.
func (s *Scanner) part(body string, tag byte, from, to int) bool {
	span := &s.span
	switch tag {
	case attributeTag:
		return s.attribute(body, from, to)
	case eventTag:
		s.shape.Parts++
		return s.event(body, from, to)
	case linkTag:
		s.shape.Parts++
		return s.link(body, from, to)
	case traceIDTag:
		return from == to || copyID(span.TraceID[:], body[from:to])
	case spanIDTag:
		return from == to || copyID(span.ID[:], body[from:to])
	case parentTag:
		return from == to || copyID(span.Parent[:], body[from:to])
	case nameTag:
		span.Name = body[from:to]
	case statusTag:
		return s.status(body, from, to)
	}
	return true
}

func copyID(to []byte, id string) bool { return copy(to, id) == len(to) && len(id) == len(to) }

// message reads the fields of a message that are not looked into: those of lengths, numbers and fixed sizes; attributes of the given tag
// are. Bits of known are the tags that it may have.
func (s *Scanner) message(body string, pos, end int, attributes byte, known func(tag byte) bool, each func(tag byte, from, to int) bool) bool {
	var seen uint32
	for pos < end {
		tag := body[pos]
		pos++
		if !known(tag) || tag != attributes && !once(&seen, tag) {
			return false
		}
		from, to := pos, none
		switch tag & 7 {
		case lenType:
			from, to = field(body, pos, end)
		case varintType:
			_, to = uvarint(body, pos, end)
		case i64Type:
			to = pos + 8
		case i32Type:
			to = pos + 4
		}
		if to == none || to > end {
			return false
		}
		switch {
		case tag == attributes:
			if !s.attribute(body, from, to) {
				return false
			}
		case each != nil && !each(tag, from, to):
			return false
		}
		pos = to
	}
	return true
}

func (s *Scanner) event(body string, pos, end int) bool {
	return s.message(body, pos, end, eventAttributeTag, func(tag byte) bool {
		return tag == eventTimeTag || tag == eventNameTag || tag == eventAttributeTag || tag == eventDroppedTag
	}, nil)
}

func (s *Scanner) link(body string, pos, end int) bool {
	return s.message(body, pos, end, linkAttributeTag, func(tag byte) bool {
		switch tag {
		case linkTraceIDTag, linkSpanIDTag, linkStateTag, linkAttributeTag, linkDroppedTag, linkFlagsTag:
			return true
		}
		return false
	}, func(tag byte, from, to int) bool {
		switch tag {
		case linkTraceIDTag:
			return from == to || to-from == len(Span{}.TraceID)
		case linkSpanIDTag:
			return from == to || to-from == len(Span{}.ID)
		}
		return true
	})
}

func (s *Scanner) status(body string, pos, end int) bool {
	return s.message(body, pos, end, 0, func(tag byte) bool { return tag == statusMessageTag || tag == statusCodeTag },
		func(tag byte, from, to int) bool {
			if tag == statusCodeTag {
				code, _ := uvarint(body, from, to)
				s.span.Failed = int32(code) == statusError
			}
			return true
		})
}

// Fields of resources and scopes.
const (
	resourceAttributeTag = 1<<3 | lenType
	resourceDroppedTag   = 2<<3 | varintType
	resourceEntityTag    = 3<<3 | lenType
	scopeNameTag         = 1<<3 | lenType
	scopeVersionTag      = 2<<3 | lenType
	scopeAttributeTag    = 3<<3 | lenType
	scopeDroppedTag      = 4<<3 | varintType
)

// Resource looks at the bytes of a resource; ok says whether it is regular.
func (s *Scanner) Resource(resource string) (shape Shape, ok bool) {
	s.shape = Shape{}
	pos, end := 0, len(resource)
	for pos < end {
		tag := resource[pos]
		from, to := field(resource, pos+1, end)
		switch {
		case tag == resourceDroppedTag:
			if _, to = uvarint(resource, pos+1, end); to == none {
				return s.shape, false
			}
		case to == none,
			tag != resourceAttributeTag && tag != resourceEntityTag,
			tag == resourceAttributeTag && !s.attribute(resource, from, to),
			tag == resourceEntityTag && !entity(resource, from, to):
			return s.shape, false
		}
		pos = to
	}
	return s.shape, true
}

// entity looks at an EntityRef: texts under four numbers.
func entity(body string, pos, end int) bool {
	for pos < end {
		tag := body[pos]
		_, to := field(body, pos+1, end)
		if to == none || tag&7 != lenType || tag < 1<<3 || tag >= 5<<3 {
			return false
		}
		pos = to
	}
	return true
}

// Scope looks at the bytes of an instrumentation scope; ok says whether it is regular.
func (s *Scanner) Scope(scope string) (shape Shape, ok bool) {
	s.shape = Shape{}
	ok = s.message(scope, 0, len(scope), scopeAttributeTag, func(tag byte) bool {
		return tag == scopeNameTag || tag == scopeVersionTag || tag == scopeAttributeTag || tag == scopeDroppedTag
	}, nil)
	return s.shape, ok
}
