package otlpwire

import (
	"encoding/binary"
	"unsafe"
)

// Tags of protobuf, of fields whose number is below 16: the number and how the value is written.
const (
	varintType = 0
	i64Type    = 1
	lenType    = 2
	i32Type    = 5
)

// none is a position that is not there.
const none = -1

// uvarint reads a number before end, and where it ends; none where it is broken.
func uvarint(s string, pos, end int) (n uint64, next int) {
	for shift := uint(0); pos < end && shift < 64; shift += 7 {
		b := s[pos]
		pos++
		if b < 0x80 {
			if shift == 63 && b > 1 {
				return 0, none
			}
			return n | uint64(b)<<shift, pos
		}
		n |= uint64(b&0x7f) << shift
	}
	return 0, none
}

// field reads the length at pos and answers where what it announces stands; to is none where that is not before end.
func field(s string, pos, end int) (from, to int) {
	if pos < end && s[pos] < 0x80 { // nearly all
		if to = pos + 1 + int(s[pos]); to <= end {
			return pos + 1, to
		}
		return 0, none
	}
	n, from := uvarint(s, pos, end)
	if from == none || n > uint64(end-from) {
		return 0, none
	}
	return from, from + int(n)
}

// fixed64 reads eight bytes, which are there.
func fixed64(s string, pos int) uint64 {
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(s[pos:pos+8]), 8))
}

// Bytes are those of a string. They must not be changed.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// String is made of bytes that are not changed as long as it is used.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
