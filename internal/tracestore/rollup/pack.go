package rollup

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"

	"github.com/tracewright/tracewright/internal/codec"
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

// packer is shared, and made when the process starts.
var packer = codec.NewCompressor(zstd.SpeedDefault)

// unpack fills v.unpacked with what stands behind the first byte.
func (v *value) unpack(d *decoder) bool {
	length := d.Uvarint()
	frame := d.Bytes(d.Len())
	if d.Failed() || length > uint64(maxUnpacked(len(frame))) {
		return false
	}
	var err error
	v.unpacked, err = codec.Decompress(frame, int(length))
	return err == nil
}

// close gives the memory back. What was read of the value is not to be used any more.
func (v *value) close() {
	codec.GiveBuffer(v.unpacked)
	v.unpacked = nil
}
