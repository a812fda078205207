package otlpwire

// ValueType is what an attribute holds, as far as anybody asks.
type ValueType uint8

const (
	Other ValueType = iota
	Text
	Int
)

// Value is that of an attribute.
type Value struct {
	Type ValueType
	Text string
	Int  int64
}

// Attributes calls yield with each attribute of a span that was found regular. What it is given are parts of the span.
func Attributes(span string, yield func(key string, value Value)) {
	for pos := 0; pos < len(span); {
		tag := span[pos]
		pos++
		switch tag & 7 {
		case lenType:
			from, to := field(span, pos, len(span))
			if tag == attributeTag {
				readAttribute(span, from, to, yield)
			}
			pos = to
		case varintType:
			_, pos = uvarint(span, pos, len(span))
		case i64Type:
			pos += 8
		case i32Type: // flags
			pos += 5
		}
	}
}

func readAttribute(span string, pos, end int, yield func(key string, value Value)) {
	var v Value
	key, pos, end := pair(span, pos, end)
	if pos < end {
		switch span[pos] {
		case textTag:
			from, to := field(span, pos+1, end)
			v = Value{Type: Text, Text: span[from:to]}
		case intTag:
			n, _ := uvarint(span, pos+1, end)
			v = Value{Type: Int, Int: int64(n)}
		}
	}
	yield(key, v)
}
