package block

import (
	"fmt"
	"math/bits"
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

// buffers are kept by the largest power of two that they have room for: what is asked for differs in size a hundredfold.
var buffers [23]sync.Pool // of *[]byte; the last are of maxPooled

// takeBuffer is an empty buffer with room for n bytes, and for less than twice as many.
func takeBuffer(n int) []byte {
	if n > maxPooled {
		return make([]byte, 0, n)
	}
	class := bits.Len(uint(max(n, 1) - 1))
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

func giveBuffer(b []byte) {
	if n := cap(b); n > 0 && n <= maxPooled {
		b = b[:0]
		buffers[bits.Len(uint(n))-1].Put(&b)
	}
}

// What is made of a body to read of it is kept, too: a look-up makes much of it, for a single trace.
var (
	tablesPool = sync.Pool{New: func() any { return new(tables) }}
	cursorPool = sync.Pool{New: func() any { return new(cursor) }}
	columnPool = sync.Pool{New: func() any { return new(columnReader) }}
)

var headersPool = sync.Pool{New: func() any { return new(headersRoom) }}

func (r *headersRoom) close() {
	r.headers, r.bottlenecks = emptied(r.headers), emptied(r.bottlenecks)
	headersPool.Put(r)
}

// maxKeptRoom bounds the room of a list, in elements, that is kept of an opened body.
const maxKeptRoom = 1 << 16

// emptied is a list without elements that keeps its room, if that is not too much, and nothing that they refer to.
func emptied[T any](list []T) []T {
	if cap(list) > maxKeptRoom {
		return nil
	}
	clear(list)
	return list[:0]
}
