package traceassemblyprocessor

// expiryHeap orders the open traces of a shard by due; see container/heap. A span that postpones a deadline leaves due as it
// is: the trace is looked at when due, and put back.
type expiryHeap []*trace

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *expiryHeap) Push(x any) {
	t := x.(*trace)
	t.heapIndex = len(*h)
	*h = append(*h, t)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}

// The lists that a trace can stand in: of all open traces by arrival of the first span, and of those that memory pressure
// takes first.
const (
	byAge = iota
	byReadiness
	traceLists
)

// traceList is a doubly linked list through the traces themselves.
type traceList struct {
	which int // index of trace.links
	head  *trace
	tail  *trace
	len   int
}

type traceLinks struct {
	prev, next *trace
	in         bool
}

func (l *traceList) pushBack(t *trace) {
	links := &t.links[l.which]
	if links.in {
		return
	}
	*links = traceLinks{prev: l.tail, in: true}
	if l.tail != nil {
		l.tail.links[l.which].next = t
	} else {
		l.head = t
	}
	l.tail = t
	l.len++
}

func (l *traceList) remove(t *trace) {
	links := &t.links[l.which]
	if !links.in {
		return
	}
	if links.prev != nil {
		links.prev.links[l.which].next = links.next
	} else {
		l.head = links.next
	}
	if links.next != nil {
		links.next.links[l.which].prev = links.prev
	} else {
		l.tail = links.prev
	}
	*links = traceLinks{}
	l.len--
}
