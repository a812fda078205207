package block

import "encoding/binary"

// byteStream reads a stream from its front. What is not there reads as zero and sets failed, which the streams of a body share.
type byteStream struct {
	buf    []byte
	at     int // how far it was read; a slice that grows shorter would be a pointer for the garbage collector to see each time
	failed *bool
}

// len is the number of bytes that are left, and rest they are.
func (s *byteStream) len() int { return len(s.buf) - s.at }

func (s *byteStream) rest() []byte { return s.buf[s.at:] }

func (s *byteStream) fail() {
	*s.failed = true
	s.at = len(s.buf)
}

func (s *byteStream) byte() byte {
	if s.at >= len(s.buf) {
		*s.failed = true
		return 0
	}
	b := s.buf[s.at]
	s.at++
	return b
}

func (s *byteStream) uvarint() uint64 {
	if at := s.at; at < len(s.buf) && s.buf[at] < 0x80 {
		s.at = at + 1
		return uint64(s.buf[at])
	}
	v, n := binary.Uvarint(s.rest())
	if n <= 0 {
		s.fail()
		return 0
	}
	s.at += n
	return v
}

// bytes reads n bytes, which are a part of the stream.
func (s *byteStream) bytes(n uint64) []byte {
	if n > uint64(s.len()) {
		s.fail()
		return nil
	}
	to := s.at + int(n)
	b := s.buf[s.at:to:to]
	s.at = to
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
