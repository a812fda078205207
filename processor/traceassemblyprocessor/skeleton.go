package traceassemblyprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// skeleton is what is remembered of a released trace, so that a late span is recognised and gets its entry and its parent.
// While a late fragment or a part of the trace is open its trace owns the skeleton, otherwise the shard's table does.
type skeleton struct {
	key      traceKey
	version  int           // of the last release
	entry    uint32        // symbol; one reference. The earliest released root's, a guess until there is one
	last     time.Duration // arrival of the last span
	released time.Duration // the last release
	expires  time.Duration
	quiet    bool          // its release was for the quiet period
	queued   time.Duration // when the last of its entries in the queue expires, 0 for none
	spans    []skeletonSpan
	// missing are parents that released spans named and that were not released, with the span that misses them; at most
	// maxMissing, for a span that comes with such an id is annotated with its child.
	missing []missingParent

	rootStart pcommon.Timestamp
	rootID    pcommon.SpanID // of the earliest released root, empty until there is one

	// Made when a late span or a part first needs them, and kept, for where one came there may be many.
	index      map[pcommon.SpanID]int32 // span id → its first span in spans
	identities identities               // see trace
}

// skeletonSpan holds no pointer. It has one reference to its operation.
type skeletonSpan struct {
	id    pcommon.SpanID
	times uint32 // hash of start and end
	op    uint32
	next  int32 // the next one of the same id, noSpan for none; set by link
	kind  ptrace.SpanKind
}

type missingParent struct {
	id    pcommon.SpanID
	child uint32 // symbol; one reference
}

const (
	noSpan     = -1
	maxMissing = 64

	skeletonWeight     = 320 // with its place in the table
	skeletonSpanWeight = 24
	missingWeight      = 12
	indexWeight        = 24 // of a span in index
	identityWeight     = 64 // of a span in identities
)

func (s *skeleton) weight() int64 {
	weight := skeletonWeight + int64(cap(s.spans))*skeletonSpanWeight + int64(cap(s.missing))*missingWeight
	if s.index != nil {
		weight += int64(len(s.spans)) * indexWeight
	}
	if s.identities != nil {
		weight += int64(len(s.spans)) * identityWeight
	}
	return weight
}

// lateWeight is what it takes once a late span has come.
func (s *skeleton) lateWeight() int64 {
	if s.index != nil {
		return s.weight()
	}
	return s.weight() + int64(len(s.spans))*indexWeight
}

// link puts a span into the index and chains those of one id: the innermost stands first.
func (s *skeleton) link(i int) {
	span := &s.spans[i]
	first, ok := s.index[span.id]
	switch {
	case !ok:
		span.next = noSpan
	case tracetree.ParentRank(span.kind) <= tracetree.ParentRank(s.spans[first].kind):
		span.next = first
	default:
		span.next, s.spans[first].next = s.spans[first].next, int32(i)
		return
	}
	s.index[span.id] = int32(i)
}

// miss remembers that a released span of operation child misses its parent. It says whether a reference was taken.
func (s *skeleton) miss(parent pcommon.SpanID, child uint32) bool {
	if len(s.missing) >= maxMissing {
		return false
	}
	for _, m := range s.missing {
		if m.id == parent && m.child == child {
			return false
		}
	}
	s.missing = append(s.missing, missingParent{parent, child})
	return true
}

// skeletons is a shard's table of skeletons, bounded in time and in bytes.
type skeletons struct {
	window  time.Duration
	limit   int64
	symbols *symbols
	byTrace map[traceKey]*skeleton
	queue   []skeletonDue // by time; an entry is void once its skeleton was taken
	head    int           // of queue
	weight  int64         // of all skeletons, those that open traces own too
	evicted int           // since the last report
}

type skeletonDue struct {
	*skeleton
	expires time.Duration
}

func newSkeletons(window time.Duration, limit int64, symbols *symbols) *skeletons {
	return &skeletons{window: window, limit: limit, symbols: symbols, byTrace: make(map[traceKey]*skeleton)}
}

// put keeps a skeleton until the window has passed since now, or gives it back unchanged after take.
func (s *skeletons) put(sk *skeleton, expires time.Duration) {
	sk.expires = expires
	s.byTrace[sk.key] = sk
	if sk.queued != expires { // given back, its entry is there, or would be there once more with each duplicate
		sk.queued = expires
		s.queue = append(s.queue, skeletonDue{sk, expires})
	}
}

// take hands the skeleton of a trace over to its caller, nil where none is remembered.
func (s *skeletons) take(key traceKey, now time.Duration) *skeleton {
	sk := s.byTrace[key]
	switch {
	case sk == nil:
		return nil
	case sk.expires <= now:
		s.remove(sk)
		return nil
	}
	delete(s.byTrace, key)
	return sk
}

// index is the skeleton's index, made where there is none yet.
func (s *skeletons) index(sk *skeleton) map[pcommon.SpanID]int32 {
	if sk.index == nil {
		s.weight -= sk.weight()
		sk.index = make(map[pcommon.SpanID]int32, len(sk.spans))
		for i := range sk.spans {
			sk.link(i)
		}
		s.weight += sk.weight()
	}
	return sk.index
}

// identify keeps the identities of a skeleton's trace with it.
func (s *skeletons) identify(sk *skeleton, of identities) {
	s.weight -= sk.weight()
	sk.identities = of
	s.weight += sk.weight()
}

// forget drops what a skeleton remembers of spans; entry and version stay.
func (s *skeletons) forget(sk *skeleton) {
	s.weight -= sk.weight()
	for i := range sk.spans {
		s.symbols.unref(sk.spans[i].op)
	}
	for _, m := range sk.missing {
		s.symbols.unref(m.child)
	}
	sk.spans, sk.missing, sk.index, sk.identities = nil, nil, nil, nil
	s.weight += sk.weight()
}

func (s *skeletons) full() bool { return s.weight+s.symbols.weight > s.limit }

// evict drops the skeletons whose window has passed and, while there is too much, the ones that would go next.
func (s *skeletons) evict(now time.Duration) {
	for s.head < len(s.queue) {
		due := &s.queue[s.head]
		current := s.byTrace[due.key] == due.skeleton && due.skeleton.expires == due.expires
		if current && due.expires > now {
			if !s.full() {
				break
			}
			s.evicted++
		}
		if current {
			s.remove(due.skeleton)
		}
		if due.queued == due.expires {
			due.queued = 0
		}
		*due = skeletonDue{}
		s.head++
	}
	if s.head > len(s.queue)/2 {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
}

func (s *skeletons) remove(sk *skeleton) {
	delete(s.byTrace, sk.key)
	s.forget(sk)
	s.symbols.unref(sk.entry)
	s.weight -= sk.weight()
}
