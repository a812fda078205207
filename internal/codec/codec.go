// Package codec reads and writes what stands in files of ours: numbers as varints, strings as a length and bytes. Reading never
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
	text   string // from the first string on; empty until one is read
	whole  int    // length of text
	failed bool
}

// NewReader reads buf, which must not change while the reader is used.
func NewReader(buf []byte) *Reader { return &Reader{buf: buf} }

// Failed says whether anything read was not there.
func (r *Reader) Failed() bool { return r.failed }

// Fail says that what was read makes no sense.
func (r *Reader) Fail() { r.failed = true }

// Done says whether everything was there and nothing is left.
func (r *Reader) Done() bool { return !r.failed && len(r.buf) == 0 }

// Len is the number of bytes that are left.
func (r *Reader) Len() int { return len(r.buf) }

// Bytes reads n bytes, which are a part of the buffer; nil where there are fewer.
func (r *Reader) Bytes(n int) []byte {
	if r.failed || n < 0 || n > len(r.buf) {
		r.failed = true
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
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

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	n, size := binary.Uvarint(r.buf)
	return advance(r, n, size)
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	n, size := binary.Varint(r.buf)
	return advance(r, n, size)
}

func advance[T int64 | uint64](r *Reader, n T, size int) T {
	if r.failed || size <= 0 {
		r.failed = true
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

// Below reads an unsigned number that must be below limit: the place of something in a table that was read before.
func (r *Reader) Below(limit int) int {
	n := r.Uvarint()
	if n >= uint64(limit) {
		r.failed = true
		return 0
	}
	return int(n)
}

// Count reads the number of things that follow, each of which takes at least size bytes, so that nobody makes room for more than
// can be there.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.buf)/size) {
		r.failed = true
		return 0
	}
	return int(n)
}

// String reads a string. All strings of a reader share one copy of the bytes.
func (r *Reader) String() string {
	size := r.Uvarint()
	if r.failed || size > uint64(len(r.buf)) {
		r.failed = true
		return ""
	}
	if size == 0 {
		return ""
	}
	if r.text == "" { // what was read before is of no use any more
		r.text, r.whole = string(r.buf), len(r.buf)
	}
	at := r.whole - len(r.buf)
	r.buf = r.buf[size:]
	return r.text[at : at+int(size)]
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
