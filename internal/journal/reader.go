package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Report says what reading a segment found.
type Report struct {
	Records      int   // yielded
	Corrupt      int   // damaged places with something that can be read behind them; each may have taken several records
	CorruptBytes int64 // skipped at these places
	TornBytes    int64 // at the end, skipped: what was being written when the process or the machine stopped, or damage
}

// reader reads one segment, a block at a time.
type reader struct {
	number uint32
	yield  func(Position, []byte) error
	report Report
	good   int64 // bytes that are accounted for

	record []byte
	start  int64 // of the record that is incomplete; -1: there is none
	damage int64 // where damage began behind which nothing was readable so far; -1: nowhere
	lost   bool  // parts of a record whose first is lost are to be expected
}

func read(file vfs.File, number uint32, yield func(Position, []byte) error) (Report, error) {
	info, err := file.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("read journal segment %d: %w", number, err)
	}
	size := min(info.Size(), math.MaxUint32)
	r := &reader{number: number, yield: yield, start: -1, damage: -1}
	block := make([]byte, blockSize)
	var unreadable error
	for base := int64(0); base < size; base += blockSize {
		n, err := file.ReadAt(block[:min(blockSize, size-base)], base)
		if err != nil && !errors.Is(err, io.EOF) {
			// A bad sector must not cost the blocks behind it, but the user should know before removing the segment.
			unreadable = fmt.Errorf("read journal segment %d at %d: %w", number, base, err)
			r.damagedAt(base)
			continue
		}
		if err := r.block(block[:n], base); err != nil {
			return r.report, err
		}
	}
	if r.start >= 0 {
		r.damagedAt(size)
	}
	if r.damage >= 0 {
		r.report.TornBytes = size - r.damage
	}
	r.report.CorruptBytes = size - r.good - r.report.TornBytes
	return r.report, unreadable
}

// block yields the records that end in this block, which stands at base. The error is yield's, or the file is not ours to read.
func (r *reader) block(b []byte, base int64) error {
	at := 0
	if base == 0 {
		if err := r.header(b); err != nil {
			return err
		}
		at = fileHeader
	}
	for at < len(b) && blockSize-at >= minChunk {
		end := at + chunkHeader
		if end <= len(b) {
			end += int(binary.LittleEndian.Uint16(b[at+4:]))
		}
		if end > len(b) || b[at+6]&isChunk == 0 ||
			binary.LittleEndian.Uint32(b[at:]) != chunkSum(r.number, uint32(base)+uint32(at), b[at+4:end]) {
			r.damagedAt(base + int64(at))
			return nil
		}
		if err := r.chunk(b[at+6], base+int64(at), b[at+chunkHeader:end]); err != nil {
			return err
		}
		at = end
	}
	r.good += int64(max(len(b)-at, 0)) // padding
	return nil
}

// header judges the file's header. A damaged one costs nothing but itself, because every chunk says where it belongs.
func (r *reader) header(b []byte) error {
	switch {
	case len(b) < fileHeader || binary.LittleEndian.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli):
		r.damagedAt(0)
	case !bytes.Equal(b[:fileHeader], appendHeader(nil, r.number)):
		return fmt.Errorf("read journal segment %d: the file is of another kind, version or number (it begins with %q): move it away", r.number, b[:12])
	default:
		r.good += fileHeader
	}
	return nil
}

// chunk takes a chunk whose checksum holds.
func (r *reader) chunk(kind byte, at int64, part []byte) error {
	if r.damage >= 0 { // it is not the end that is torn
		r.report.Corrupt++
		r.damage, r.lost = -1, true
	}
	begun := r.start >= 0
	if begun == (kind&begins != 0) && !r.lost {
		r.report.Corrupt++ // a record without its end, or without its beginning
	}
	switch {
	case kind&begins != 0:
		r.start, r.lost, r.record = at, false, r.record[:0]
	case !begun:
		r.lost = true
		return nil
	}
	end := at + chunkHeader + int64(len(part))
	if kind&(begins|ends) != begins|ends { // a whole record need not be copied
		r.record = append(r.record, part...)
		part = r.record
	}
	if kind&ends == 0 {
		return nil
	}
	position := Position{Segment: r.number, Offset: uint32(r.start)}
	r.good += end - r.start
	r.start = -1
	r.report.Records++
	return r.yield(position, part)
}

// damagedAt notes that nothing can be read from there to the end of the block.
func (r *reader) damagedAt(offset int64) {
	if r.start >= 0 {
		offset, r.start = r.start, -1
	}
	if r.damage < 0 {
		r.damage = offset
	}
}
