package block

import "encoding/binary"

// byteStream reads a stream from its front. What is not there reads as zero and sets failed, which the streams of a body share.
type byteStream struct {
	buf    []byte
	failed *bool
}

func (s *byteStream) byte() byte {
	if len(s.buf) == 0 {
		*s.failed = true
		return 0
	}
	b := s.buf[0]
	s.buf = s.buf[1:]
	return b
}

func (s *byteStream) uvarint() uint64 {
	if len(s.buf) > 0 && s.buf[0] < 0x80 {
		v := s.buf[0]
		s.buf = s.buf[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(s.buf)
	if n <= 0 {
		*s.failed = true
		s.buf = nil
		return 0
	}
	s.buf = s.buf[n:]
	return v
}

// readUvarint is the number at the front of buf, and what follows it. Most are small.
func readUvarint(buf []byte) (v uint64, rest []byte, ok bool) {
	if len(buf) > 0 && buf[0] < 0x80 {
		return uint64(buf[0]), buf[1:], true
	}
	return longUvarint(buf)
}

func longUvarint(buf []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(buf)
	if n <= 0 {
		return 0, nil, false
	}
	return v, buf[n:], true
}

// bytes reads n bytes, which are a part of the stream.
func (s *byteStream) bytes(n uint64) []byte {
	if n > uint64(len(s.buf)) {
		*s.failed = true
		s.buf = nil
		return nil
	}
	b := s.buf[:n:n]
	s.buf = s.buf[n:]
	return b
}

// text reads a length and so many bytes.
func (s *byteStream) text() []byte { return s.bytes(s.uvarint()) }

// below reads a number below limit.
func (s *byteStream) below(limit int) int {
	n := s.uvarint()
	if n >= uint64(limit) {
		*s.failed = true
		return 0
	}
	return int(n)
}

// count reads the number of things that follow in this stream or in another one that has room for at most limit.
func (s *byteStream) count(limit int) int { return s.below(limit + 1) }
