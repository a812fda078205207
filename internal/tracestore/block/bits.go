package block

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// bitWriter packs numbers of any width, the lowest bits first.
type bitWriter struct {
	buf []byte
	acc uint64
	n   uint // bits in acc, below 64
}

func (w *bitWriter) reset() { w.buf, w.acc, w.n = reuse(w.buf), 0, 0 }

// write appends the lowest width bits of v, which has no others; width is at most 64.
func (w *bitWriter) write(v uint64, width uint) {
	w.acc |= v << w.n
	if w.n+width < 64 {
		w.n += width
		return
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.acc)
	w.acc = v >> (64 - w.n) // 0 where n is 0
	w.n += width - 64
}

// finish is everything written, filled up with zero bits to whole bytes. Nothing may be written after it.
func (w *bitWriter) finish() []byte {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.buf = append(w.buf, byte(w.acc))
		w.acc >>= 8
	}
	return w.buf
}

// bitReader reads what bitWriter wrote.
type bitReader struct {
	buf    []byte
	pos    uint64 // in bits
	failed *bool
}

func (r *bitReader) read(width uint) uint64 {
	if width == 0 {
		return 0
	}
	at, shift := r.pos>>3, uint(r.pos&7)
	r.pos += uint64(width)
	if at+9 <= uint64(len(r.buf)) {
		v := binary.LittleEndian.Uint64(r.buf[at:]) >> shift
		if shift+width > 64 {
			v |= uint64(r.buf[at+8]) << (64 - shift)
		}
		return v & (^uint64(0) >> (64 - width))
	}
	if r.pos > uint64(len(r.buf))*8 {
		*r.failed = true
		return 0
	}
	var tail [9]byte
	copy(tail[:], r.buf[at:])
	v := binary.LittleEndian.Uint64(tail[:]) >> shift
	if shift+width > 64 {
		v |= uint64(tail[8]) << (64 - shift)
	}
	return v & (^uint64(0) >> (64 - width))
}

func (r *bitReader) skip(n uint64) { r.pos += n }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// A classed number is a byte with its length in bits, its class, and the bits below the highest one, which is set. Classes
// compress well, bits do not, so that they stand in different streams.

const maxClass = 64

func (w *bitWriter) classed(classes []byte, v uint64) []byte {
	class := uint(bits.Len64(v))
	if class > 1 {
		w.write(v&^(1<<(class-1)), class-1)
	}
	return append(classes, byte(class))
}

// classWidth is the number of bits that a number of the class has in the stream of bits.
func classWidth(class byte) uint { return max(uint(class), 1) - 1 }

// classWidths is what the numbers of the classes, without the bits outside of the mask, have together.
func classWidths(classes []byte, mask byte) (n uint64) {
	for _, class := range classes {
		n += uint64(classWidth(class & mask))
	}
	return n
}

func (r *bitReader) classed(class byte) uint64 {
	if class < 2 {
		return uint64(class)
	}
	if class > maxClass {
		*r.failed = true
		return 0
	}
	width := uint(class) - 1
	return r.read(width) | 1<<width
}

// mix spreads a number over all bits.
func mix(v uint64) uint64 {
	v ^= v >> 32
	v *= 0x9e3779b97f4a7c15
	return v ^ v>>29
}

// spread is odd and not known to senders, so that they cannot choose what falls together in a table (multiply-shift hashing:
// Dietzfelbinger et al., A Reliable Randomized Algorithm for the Closest-Pair Problem, 1997).
var spread = rand.Uint64() | 1

// spot is where v stands in a table of size, a power of two above 1.
func spot(v uint64, size int) int { return int(v * spread >> (bits.LeadingZeros64(uint64(size)) + 1)) }
