package traceassemblyprocessor

import (
	"math/bits"
	"sync"
)

// Lists of held spans grow by doubling through these lengths, each of which has a pool of its own. In one pool for all, lists would end up
// as long as the longest trace that ever had them: late fragments of two spans took the room of 32.
const (
	minList   = 4
	maxPooled = 256
	listSizes = 7 // from minList to maxPooled
)

var spanLists [listSizes]sync.Pool

// listBoxes are what lists are put into the pools in.
var listBoxes = sync.Pool{New: func() any { return new([]heldSpan) }}

// listPool is the pool of lists of that capacity, nil where there is none.
func listPool(capacity int) *sync.Pool {
	if capacity < minList || capacity > maxPooled || capacity&(capacity-1) != 0 {
		return nil
	}
	return &spanLists[bits.TrailingZeros(uint(capacity))-bits.TrailingZeros(minList)]
}

// appendSpan is append; nobody else may have the list. h is copied.
func appendSpan(list []heldSpan, h *heldSpan) []heldSpan {
	if len(list) < cap(list) {
		return append(list, *h)
	}
	pool := listPool(max(minList, 2*cap(list)))
	if pool == nil {
		return append(list, *h)
	}
	longer := takeList(pool, max(minList, 2*cap(list)))
	longer = append(append(longer, list...), *h)
	recycleList(list)
	return longer
}

func takeList(pool *sync.Pool, capacity int) []heldSpan {
	boxed, _ := pool.Get().(*[]heldSpan)
	if boxed == nil {
		return make([]heldSpan, 0, capacity)
	}
	list := *boxed
	*boxed = nil
	listBoxes.Put(boxed)
	return list[:0]
}

// recycleList gives back a list that nobody has any more.
func recycleList(list []heldSpan) {
	pool := listPool(cap(list))
	if pool == nil {
		return
	}
	boxed := listBoxes.Get().(*[]heldSpan)
	*boxed = list[:0]
	pool.Put(boxed)
}
