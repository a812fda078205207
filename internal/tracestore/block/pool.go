package block

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// decompressor is shared: DecodeAll is safe for concurrent use, and never writes beyond the capacity that it is given. It is made when the
// process starts, for its channel must belong to no test's bubble of time.
var decompressor = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	return d
}()

// maxPooled bounds the buffers that are kept.
const maxPooled = 4 << 20

var buffers sync.Pool // of *[]byte

// takeBuffer is an empty buffer with room for n bytes.
func takeBuffer(n int) []byte {
	if b, ok := buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0:n]
	}
	return make([]byte, 0, n)
}

func giveBuffer(b []byte) {
	if cap(b) <= maxPooled {
		b = b[:0]
		buffers.Put(&b)
	}
}
