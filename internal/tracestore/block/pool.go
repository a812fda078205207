package block

import "sync"

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
