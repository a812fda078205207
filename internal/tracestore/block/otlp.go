package block

import "encoding/binary"

// Tags of the fields of OTLP that are written by hand, in the order of pdata's marshalling: number<<3 | wire type.
const (
	tagRepeated = 1<<3 | 2 // TracesData.resource_spans, ArrayValue.values, KeyValueList.values

	tagResource    = 1<<3 | 2 // ResourceSpans
	tagScopeSpans  = 2<<3 | 2
	tagResourceURL = 3<<3 | 2
	tagScope       = 1<<3 | 2 // ScopeSpans
	tagSpans       = 2<<3 | 2
	tagScopeURL    = 3<<3 | 2

	tagResourceAttribute = 1<<3 | 2 // Resource
	tagResourceDropped   = 2 << 3

	tagScopeName    = 1<<3 | 2 // InstrumentationScope
	tagScopeVersion = 2<<3 | 2

	tagKeyValueKey   = 1<<3 | 2
	tagKeyValueValue = 2<<3 | 2

	tagAnyString = 1<<3 | 2
	tagAnyBool   = 2 << 3
	tagAnyInt    = 3 << 3
	tagAnyDouble = 4<<3 | 1
	tagAnyArray  = 5<<3 | 2
	tagAnyMap    = 6<<3 | 2
	tagAnyBytes  = 7<<3 | 2

	tagTraceID       = 1<<3 | 2 // Span; the first three are those of Link too
	tagSpanID        = 2<<3 | 2
	tagTraceState    = 3<<3 | 2
	tagParentID      = 4<<3 | 2
	tagName          = 5<<3 | 2
	tagKind          = 6 << 3
	tagStart         = 7<<3 | 1
	tagEnd           = 8<<3 | 1
	tagAttributes    = 9<<3 | 2
	tagDropped       = 10 << 3
	tagEvents        = 11<<3 | 2
	tagDroppedEvents = 12 << 3
	tagLinks         = 13<<3 | 2
	tagDroppedLinks  = 14 << 3
	tagStatus        = 15<<3 | 2
	tagFlags         = 16<<3 | 5 // takes two bytes

	tagEventTime       = 1<<3 | 1
	tagEventName       = 2<<3 | 2
	tagEventAttributes = 3<<3 | 2
	tagEventDropped    = 4 << 3

	tagLinkAttributes = 4<<3 | 2
	tagLinkDropped    = 5 << 3
	tagLinkFlags      = 6<<3 | 5

	tagStatusMessage = 2<<3 | 2
	tagStatusCode    = 3 << 3
)

// appendTagged begins a field of size bytes.
func appendTagged(buf []byte, tag byte, size int) []byte {
	return binary.AppendUvarint(append(buf, tag), uint64(size))
}

// fieldSize is the size of a field of body bytes with tag and length.
func fieldSize(body int) int { return 1 + uvarintSize(uint64(body)) + body }

// appendKey appends the key of a KeyValue, which is left out where it is empty.
func appendKey[S string | []byte](buf []byte, key S) []byte {
	if len(key) == 0 {
		return buf
	}
	return append(appendTagged(buf, tagKeyValueKey, len(key)), key...)
}

// keyValueSize is the size of a KeyValue message whose AnyValue has a size.
func keyValueSize[S string | []byte](key S, value int) int {
	if len(key) == 0 {
		return fieldSize(value)
	}
	return fieldSize(len(key)) + fieldSize(value)
}

// valueSize is the size of an AnyValue message whose text has a length.
func valueSize(k kind, length int, number uint64) int {
	switch k {
	case kindString:
		return fieldSize(length)
	case kindInt:
		return 1 + uvarintSize(number)
	case kindDouble:
		return 1 + 8
	case kindBool:
		return 1 + 1
	case kindAny:
		return length
	}
	return 0
}

// appendValue appends the value of a KeyValue, an AnyValue message of the size.
func appendValue[S string | []byte](buf []byte, k kind, size int, text S, number uint64) []byte {
	buf = appendTagged(buf, tagKeyValueValue, size)
	switch k {
	case kindString:
		buf = append(appendTagged(buf, tagAnyString, len(text)), text...)
	case kindInt:
		buf = binary.AppendUvarint(append(buf, tagAnyInt), number)
	case kindDouble:
		buf = binary.LittleEndian.AppendUint64(append(buf, tagAnyDouble), number)
	case kindBool:
		buf = append(buf, tagAnyBool, byte(min(number, 1)))
	case kindAny:
		buf = append(buf, text...)
	}
	return buf
}

func appendNonZero(buf []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return buf
	}
	return binary.AppendUvarint(append(buf, tag), v)
}

func appendFixed64(buf []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return buf
	}
	return binary.LittleEndian.AppendUint64(append(buf, tag), v)
}

func appendNonEmpty[S string | []byte](buf []byte, tag byte, s S) []byte {
	if len(s) == 0 {
		return buf
	}
	return append(appendTagged(buf, tag, len(s)), s...)
}

// begin begins a field whose size is not known yet; end closes it with what begin returned.
func begin(buf []byte, tag byte) ([]byte, int) {
	buf = append(buf, tag, 0)
	return buf, len(buf)
}

func end(buf []byte, at int) []byte {
	size := len(buf) - at
	extra := uvarintSize(uint64(size)) - 1 // besides the byte that begin left
	if extra > 0 {
		buf = append(buf, make([]byte, extra)...)
		copy(buf[at+extra:], buf[at:])
	}
	binary.PutUvarint(buf[at-1:], uint64(size))
	return buf
}
