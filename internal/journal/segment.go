package journal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	magic       = "twjrnl"
	version     = 1
	fileHeader  = 16
	blockSize   = 32 << 10
	chunkHeader = 7
	minChunk    = chunkHeader + 1 // a block's rest below this is padding
)

const (
	whole = 1 + iota
	first
	middle
	last
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is the one that is written to.
type segment struct {
	number uint32
	file   vfs.File
	buffer []byte // the log's; what is encoded and not written
	size   int64  // with the buffer
	dirty  bool   // something was written since the last sync
	kept   bool   // a record in it was answered without an error
}

func newSegment(number uint32, file vfs.File, buffer []byte) *segment {
	return &segment{number: number, file: file, buffer: appendHeader(buffer[:0], number), size: fileHeader}
}

func appendHeader(b []byte, number uint32) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint32(b, number)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[len(b)-12:], castagnoli))
}

// chunkSum is the checksum of a chunk that stands at offset; body begins behind the checksum itself.
func chunkSum(number, offset uint32, body []byte) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint32(place[:], number)
	binary.LittleEndian.PutUint32(place[4:], offset)
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, body)
}

func recordLength(record [][]byte) int {
	n := 0
	for _, part := range record {
		n += len(part)
	}
	return n
}

// maxEncoded bounds what a record of n bytes takes, wherever it begins.
func maxEncoded(n int) int64 {
	return int64(n) + int64(n/(blockSize-chunkHeader)+2)*chunkHeader + minChunk
}

// add encodes a record into the buffer, writing that whenever it is full, and returns the record's offset. It consumes the slice of parts.
func (s *segment) add(record [][]byte) (uint32, error) {
	if room := blockSize - int(s.size%blockSize); room < minChunk {
		if err := s.makeRoom(room); err != nil {
			return 0, err
		}
		s.buffer = append(s.buffer, make([]byte, room)...)
		s.size += int64(room)
	}
	start := uint32(s.size)
	left := recordLength(record)
	for begun := false; !begun || left > 0; begun = true {
		n := min(left, blockSize-int(s.size%blockSize)-chunkHeader)
		left -= n
		if err := s.makeRoom(chunkHeader + n); err != nil {
			return 0, err
		}
		at := len(s.buffer)
		s.buffer = s.buffer[:at+chunkHeader]
		for missing := n; missing > 0; {
			if len(record[0]) <= missing {
				s.buffer = append(s.buffer, record[0]...)
				missing -= len(record[0])
				record = record[1:]
				continue
			}
			s.buffer = append(s.buffer, record[0][:missing]...)
			record[0], missing = record[0][missing:], 0
		}
		chunk := s.buffer[at:]
		binary.LittleEndian.PutUint16(chunk[4:], uint16(n))
		chunk[6] = kind(begun, left > 0)
		binary.LittleEndian.PutUint32(chunk, chunkSum(s.number, uint32(s.size), chunk[4:]))
		s.size += int64(len(chunk))
	}
	return start, nil
}

func kind(begun, more bool) byte {
	switch {
	case !begun && !more:
		return whole
	case !begun:
		return first
	case more:
		return middle
	default:
		return last
	}
}

// makeRoom sees to it that n more bytes, at most a block, fit the buffer.
func (s *segment) makeRoom(n int) error {
	if len(s.buffer)+n <= cap(s.buffer) {
		return nil
	}
	return s.flush()
}

// flush writes the buffer.
func (s *segment) flush() error {
	if len(s.buffer) == 0 {
		return nil
	}
	_, err := s.file.Write(s.buffer)
	s.buffer = s.buffer[:0]
	s.dirty = true
	return err
}
