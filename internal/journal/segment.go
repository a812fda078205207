package journal

import (
	"encoding/binary"
	"fmt"
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

	isChunk = 4 // in each kind, so that zeros are no chunk
	begins  = 1
	ends    = 2
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

func recordLength(record [][]byte) (n int) {
	for _, part := range record {
		n += len(part)
	}
	return n
}

// maxEncoded bounds what a record of n bytes takes, wherever it begins.
func maxEncoded(n int) int64 {
	return int64(n) + int64(n/(blockSize-chunkHeader)+2)*chunkHeader + minChunk
}

// add encodes a record into the buffer, writing that whenever it is full, and returns the record's offset. It consumes the
// slice of parts.
func (s *segment) add(record [][]byte) (offset uint32, err error) {
	left, kind := recordLength(record), byte(isChunk|begins)
	for kind&ends == 0 {
		if cap(s.buffer)-len(s.buffer) < 2*blockSize {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
		if room := blockSize - int(s.size%blockSize); room < minChunk {
			s.buffer = append(s.buffer, make([]byte, room)...)
			s.size += int64(room)
		}
		at, room := len(s.buffer), blockSize-int(s.size%blockSize)-chunkHeader
		s.buffer = s.buffer[:at+chunkHeader]
		for room > 0 && len(record) > 0 {
			part := record[0][:min(room, len(record[0]))]
			s.buffer = append(s.buffer, part...)
			left, room = left-len(part), room-len(part)
			if record[0] = record[0][len(part):]; len(record[0]) == 0 {
				record = record[1:]
			}
		}
		if kind&begins != 0 {
			offset = uint32(s.size)
		}
		if left == 0 {
			kind |= ends
		}
		chunk := s.buffer[at:]
		binary.LittleEndian.PutUint16(chunk[4:], uint16(len(chunk)-chunkHeader))
		chunk[6] = kind
		binary.LittleEndian.PutUint32(chunk, chunkSum(s.number, uint32(s.size), chunk[4:]))
		s.size += int64(len(chunk))
		kind &^= begins
	}
	return offset, nil
}

// flush writes the buffer.
func (s *segment) flush() error {
	if len(s.buffer) == 0 {
		return nil
	}
	_, err := s.file.Write(s.buffer)
	s.buffer, s.dirty = s.buffer[:0], true
	if err != nil {
		return fmt.Errorf("write journal segment %d: %w", s.number, err)
	}
	return nil
}
