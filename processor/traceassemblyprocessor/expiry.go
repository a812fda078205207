package traceassemblyprocessor

import "time"

// expiryHeap orders the open traces of a shard by when they are looked at, the earliest first. An entry holds the time itself, so that
// ordering reads no trace, and is never moved: a trace that is to be looked at earlier gets another entry, and one that is released
// leaves its entries behind. Those do not count when their time comes. A span that postpones a deadline changes nothing: the trace is
// looked at when due, and put back.
type expiryHeap []expiry

type expiry struct {
	due   time.Duration
	trace *trace
	life  uint32 // of the trace
}

// current says whether the entry counts.
func (e *expiry) current() bool { return e.trace.life == e.life && e.trace.due == e.due }

// push notes when a trace is looked at.
func (h *expiryHeap) push(t *trace, due time.Duration) {
	t.due = due
	*h = append(*h, expiry{due, t, t.life})
	list, i := *h, len(*h)-1
	for i > 0 {
		above := (i - 1) / 2
		if list[above].due <= list[i].due {
			break
		}
		list[above], list[i] = list[i], list[above]
		i = above
	}
}

// pop takes the first entry out.
func (h *expiryHeap) pop() expiry {
	list := *h
	first, last := list[0], len(list)-1
	list[0], list[last] = list[last], expiry{}
	list = list[:last]
	*h = list
	for i := 0; ; {
		below := 2*i + 1
		if below >= len(list) {
			return first
		}
		if below+1 < len(list) && list[below+1].due < list[below].due {
			below++
		}
		if list[i].due <= list[below].due {
			return first
		}
		list[i], list[below] = list[below], list[i]
		i = below
	}
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
