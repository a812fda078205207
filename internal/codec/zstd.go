package codec

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// NewCompressor makes an encoder that compresses one piece of bytes at a time (EncodeAll), without a checksum.
func NewCompressor(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(level),
		zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(true))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	e.EncodeAll(nil, nil) // makes the channel, which would be made by who comes first, perhaps in a test's bubble of time
	return e
}

// decompressor is shared: DecodeAll is safe for concurrent use, and never writes beyond the capacity that it is given. It is made when the
// process starts, for its channel must belong to no test's bubble of time.
var decompressor = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	return d
}()

var errLength = errors.New("another length")

// Decompress is the content of a frame, which must be of so many bytes, in a buffer as TakeBuffer has it. It fails where the frame is broken or of
// another length.
func Decompress(frame []byte, length int) ([]byte, error) {
	buf := TakeBuffer(length)
	out, err := decompressor.DecodeAll(frame, buf)
	if err == nil && len(out) != length {
		err = errLength
	}
	if err != nil {
		GiveBuffer(buf)
		return nil, fmt.Errorf("frame of %d bytes: %w", length, err)
	}
	return out, nil
}

// maxPooled bounds the buffers that are kept.
const maxPooled = 4 << 20

// buffers are kept by the largest power of two that they have room for: what is asked for differs in size a hundredfold.
var buffers [23]sync.Pool // of *[]byte; the last are of maxPooled

// TakeBuffer is an empty buffer with room for n bytes, and for less than twice as many.
func TakeBuffer(n int) []byte {
	if n > maxPooled {
		return make([]byte, 0, n)
	}
	class := bits.Len(uint(max(n, 1) - 1))
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// GiveBuffer gives one back, which is not to be used any more.
func GiveBuffer(b []byte) {
	if n := cap(b); n > 0 && n <= maxPooled {
		b = b[:0]
		buffers[bits.Len(uint(n))-1].Put(&b)
	}
}
