package rollup

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A value that stays for long is packed: most of it are distances between bins, in which a byte holds a few bits.

// AppendPacked is Append, but what it appends is compressed where that makes it smaller.
func (s *Sums) AppendPacked(buf []byte, tables Tables) []byte {
	plain := s.Append(nil, tables)
	content := plain[1:] // without the version
	start := len(buf)
	buf = binary.AppendUvarint(append(buf, packedVersion), uint64(len(content)))
	from := len(buf)
	buf = packer.EncodeAll(content, buf)
	if len(buf)-start >= len(plain) || len(content) > maxUnpacked(len(buf)-from) {
		return append(buf[:start], plain...)
	}
	return buf
}

// maxUnpacked bounds what n bytes are unpacked to.
func maxUnpacked(n int) int { return 1<<20 + min(n, 1<<40)*4096 }

// Both are shared, and made when the process starts, for their channels must belong to no test's bubble of time.
var (
	packer   = newPacker()
	unpacker = newUnpacker()
)

func newPacker() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(true))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	e.EncodeAll(nil, nil) // makes the channel, which would be made by who comes first
	return e
}

func newUnpacker() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err))
	}
	return d
}

// unpackedPool has what values were unpacked into, *[]byte.
var unpackedPool = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled bounds what is kept of that.
const maxPooled = 1 << 20

// unpack fills v.unpacked with what stands behind the first byte.
func (v *value) unpack(d *decoder) bool {
	length := d.Uvarint()
	frame := d.Bytes(d.Len())
	if d.Failed() || length > uint64(maxUnpacked(len(frame))) {
		return false
	}
	if uint64(cap(*v.unpacked)) < length {
		*v.unpacked = make([]byte, 0, length)
	}
	out, err := unpacker.DecodeAll(frame, (*v.unpacked)[:0:length])
	if err != nil || uint64(len(out)) != length {
		return false
	}
	*v.unpacked = (*v.unpacked)[:length] // where out is: it never grows
	return true
}

// close gives the memory back. What was read of the value is not to be used any more.
func (v *value) close() {
	if v.unpacked != nil && cap(*v.unpacked) <= maxPooled {
		*v.unpacked = (*v.unpacked)[:0]
		unpackedPool.Put(v.unpacked)
	}
	v.unpacked = nil
}
