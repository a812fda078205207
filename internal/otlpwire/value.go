package otlpwire

// Fields of AnyValue with their tags.
const (
	textTag   = 1<<3 | lenType
	boolTag   = 2<<3 | varintType
	intTag    = 3<<3 | varintType
	doubleTag = 4<<3 | i64Type
	arrayTag  = 5<<3 | lenType
	mapTag    = 6<<3 | lenType
	bytesTag  = 7<<3 | lenType
	indexTag  = 8<<3 | varintType // of a table that traces have not

	elementTag  = 1<<3 | lenType // of arrays and maps
	keyTag      = 1<<3 | lenType
	valueTag    = 2<<3 | lenType
	keyIndexTag = 3<<3 | varintType
)

// MaxNesting is how deep the arrays and maps of a value are nested at most. Nobody writes such values, but everything that decodes, copies
// or prints them takes some stack for each level, and a stack that is full ends the process.
const MaxNesting = 10_000

// Shape is what is to be known of attributes.
type Shape struct {
	// Marked says that a key begins with the Scanner's prefix.
	Marked bool
	// Deep says that a value is nested above MaxNesting. What it holds was not looked at.
	Deep bool
	// Values is the number of attributes, and of values within their values.
	Values int
	// Parts is the number of a span's events and links.
	Parts int
}

// container is an array or a map that is being looked at.
type container struct {
	pos, end int // of what has not been looked at
	isMap    bool
}

// attribute looks at a KeyValue. It says whether it is regular.
func (s *Scanner) attribute(body string, pos, end int) bool {
	s.shape.Values++
	key, from, to := pair(body, pos, end)
	if len(key) >= len(s.Prefix) && key[:len(s.Prefix)] == s.Prefix {
		s.shape.Marked = true
	}
	return to != none && s.value(body, from, to)
}

// pair reads a KeyValue and answers where its value stands, which may be before the key; to is none where it is irregular. One
// without a value has an empty one.
func pair(body string, pos, end int) (key string, from, to int) {
	hasKey, hasValue := false, false
	from, to = end, end
	for pos < end {
		tag := body[pos]
		if tag == keyIndexTag {
			if _, pos = uvarint(body, pos+1, end); pos == none {
				return "", 0, none
			}
			continue
		}
		begin, next := field(body, pos+1, end)
		switch {
		case next == none:
			return "", 0, none
		case tag == keyTag && !hasKey:
			hasKey, key = true, body[begin:next]
		case tag == valueTag && !hasValue:
			hasValue, from, to = true, begin, next
		default:
			return "", 0, none
		}
		pos = next
	}
	return key, from, to
}

// value looks at an AnyValue, however deep it is nested. It says whether it is regular.
func (s *Scanner) value(body string, pos, end int) bool {
	open := s.open[:0]
	for {
		next := end
		if pos < end {
			switch tag := body[pos]; tag {
			case textTag, bytesTag:
				_, next = field(body, pos+1, end)
			case intTag, boolTag, indexTag:
				_, next = uvarint(body, pos+1, end)
			case doubleTag:
				next = pos + 9
			case arrayTag, mapTag:
				var from int
				from, next = field(body, pos+1, end)
				if len(open) == MaxNesting {
					s.shape.Deep = true
					return next == end
				}
				open = append(open, container{from, next, tag == mapTag})
				s.open = open // keeps what it has grown to
			default:
				return false
			}
		}
		if next != end {
			return false
		}
		var more, ok bool
		if open, pos, end, more, ok = s.element(body, open); !more {
			return ok
		}
	}
}

// element finds the next value in the innermost of the containers that have one. more says whether there is one, ok whether all was
// regular.
func (s *Scanner) element(body string, open []container) (left []container, pos, end int, more, ok bool) {
	for len(open) > 0 {
		in := &open[len(open)-1]
		if in.pos == in.end {
			open = open[:len(open)-1]
			continue
		}
		from, to := field(body, in.pos+1, in.end)
		if body[in.pos] != elementTag || to == none {
			return nil, 0, 0, false, false
		}
		in.pos = to
		s.shape.Values++
		if in.isMap {
			if _, from, to = pair(body, from, to); to == none {
				return nil, 0, 0, false, false
			}
		}
		return open, from, to, true, true
	}
	return nil, 0, 0, false, true
}
