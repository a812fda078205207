// Package codec reads and writes what stands in files of ours: numbers as varints, strings as a length and bytes, frames of zstd. Reading never
// goes beyond what is there, whatever the bytes are.
package codec

import "encoding/binary"

// AppendString writes a length and the bytes.
func AppendString[S string | []byte](buf []byte, s S) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// Reader reads a value from its front. After a failure every read answers zero.
type Reader struct {
	buf    []byte
	at     int    // how far it was read; after a failure to the end
	text   string // from the first string on; empty until one is read
	textAt int    // where in buf text begins
	failed bool
}

// NewReader reads buf, which must not change while the reader is used.
func NewReader(buf []byte) *Reader { return &Reader{buf: buf} }

// Failed says whether anything read was not there.
func (r *Reader) Failed() bool { return r.failed }

// Fail says that what was read makes no sense.
func (r *Reader) Fail() { r.at, r.failed = len(r.buf), true }

// Done says whether everything was there and nothing is left.
func (r *Reader) Done() bool { return !r.failed && r.at == len(r.buf) }

// Len is the number of bytes that are left.
func (r *Reader) Len() int { return len(r.buf) - r.at }

// Bytes reads n bytes, which are a part of the buffer; nil where there are fewer.
func (r *Reader) Bytes(n int) []byte {
	if r.failed || n < 0 || n > r.Len() {
		r.Fail()
		return nil
	}
	b := r.buf[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Fixed32 reads 4 bytes, the highest first.
func (r *Reader) Fixed32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Fixed64 reads 8 bytes, the highest first.
func (r *Reader) Fixed64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads an unsigned number. Most are small.
func (r *Reader) Uvarint() uint64 {
	if at := r.at; at < len(r.buf) && r.buf[at] < 0x80 {
		r.at = at + 1
		return uint64(r.buf[at])
	}
	n, size := binary.Uvarint(r.buf[r.at:])
	return advance(r, n, size)
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	if at := r.at; at < len(r.buf) && r.buf[at] < 0x80 {
		r.at = at + 1
		n := int64(r.buf[at])
		return n>>1 ^ -(n & 1)
	}
	n, size := binary.Varint(r.buf[r.at:])
	return advance(r, n, size)
}

func advance[T int64 | uint64](r *Reader, n T, size int) T {
	if size <= 0 {
		r.Fail()
		return 0
	}
	r.at += size
	return n
}

// Below reads an unsigned number that must be below limit: the place of something in a table that was read before.
func (r *Reader) Below(limit int) int {
	n := r.Uvarint()
	if n >= uint64(limit) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Count reads the number of things that follow, each of which takes at least size bytes, so that nobody makes room for more than
// can be there.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(r.Len()/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// String reads a string. All strings of a reader share one copy of the bytes.
func (r *Reader) String() string {
	size := r.Uvarint()
	if r.failed || size > uint64(r.Len()) {
		r.Fail()
		return ""
	}
	if size == 0 {
		return ""
	}
	if r.text == "" { // what was read before is of no use any more
		r.text, r.textAt = string(r.buf[r.at:]), r.at
	}
	from := r.at - r.textAt
	r.at += int(size)
	return r.text[from : from+int(size)]
}

// Strings reads a number of strings and the strings; nil for none.
func (r *Reader) Strings() []string {
	n := r.Count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.String()
	}
	return list
}
