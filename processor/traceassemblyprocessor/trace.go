package traceassemblyprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

type traceKey struct {
	tenant string
	id     pcommon.TraceID
}

// heldSpan is one span that is not released yet, with what assembly looks at again and again. Its bytes, its origin and what is written
// on it are numbers in its contents.
type heldSpan struct {
	id     pcommon.SpanID
	parent pcommon.SpanID
	start  pcommon.Timestamp
	end    pcommon.Timestamp
	bytes  spanBytes
	origin uint32
	patch  uint32 // 0 for nothing
	times  uint32 // hash of start and end
	op     uint32 // symbol; one reference
	// decoded is what it takes in memory while it is handed on, beside what it takes now.
	decoded int32
	next    int32 // the next held span of the same id, noSpan for none
	up      int32 // the first held span of the parent's id, if it came before; else noSpan
	kind    ptrace.SpanKind
	// peer is the endpoint of a virtual call, which counts if nobody answers; one reference, 0 for most. record takes it back where
	// somebody does.
	peer uint32
	ref  spanRef // in the journal, if there is one
	at   uint32  // arrival, milliseconds after the trace's first
	// conflict: its identity came before with other times.
	conflict bool
	failed   bool // its status is error
	state    spanState
}

func (h *heldSpan) weight() int64 { return spanWeight(int(h.bytes.size)) }

// trace is an open trace, or the late fragment of a released one. What it knows of its structure grows with every span, so
// that asking whether it is complete costs nothing.
//
//	held        span id → its first held span, or at most awaited: named as a parent and neither held nor released; see wanted
//	released    span id → its first span in history, whose index it is; nil while history has none
//	identities  of what is held and what history has; nil as long as spans can be compared one by one
type trace struct {
	key     traceKey
	version int // of the releases that it makes
	part    int // the next one
	late    bool
	parts   bool // it grew too large: what comes is released in parts
	request requestState
	shared  bool // two held spans have one id

	first, last time.Duration // arrivals
	longest     time.Duration // gap between two arrivals while something was missing
	until       time.Duration // when waiting for what is missing ends; 0 while that is not known
	interim     time.Duration // when an interim release is due, 0 for never
	due         time.Duration // when the expiry heap looks at it; never later than its deadline
	life        uint32        // tells entries of the heap apart that are of another trace in the same place
	links       [traceLists]traceLinks

	contents
	measure measure // of spans
	held    places
	awaited int  // parents; one may stand for those that cut forgot
	pending int  // CLIENT spans whose child in another service is expected and has not come
	roots   int  // released ones included
	before  int  // spans that were released in parts or interims
	waited  bool // it was held for nothing but an expected child
	root    int  // the earliest held root, noSpan if there is none

	history    *skeleton
	released   map[pcommon.SpanID]int32
	identities identities
}

// complete says whether the root, all parents and all expected children are there.
func (t *trace) complete() bool { return t.roots > 0 && t.awaited == 0 && t.pending == 0 }

// seen compares a span with those of its id that came before, and says how many they were, unless the trace has identities.
func (t *trace) seen(h *heldSpan) (duplicate, conflicting bool, compared int) {
	if t.identities != nil {
		duplicate, conflicting = t.identities.seen(h)
		return duplicate, conflicting, 0
	}
	if first, ok := t.held.get(h.id); ok {
		for i := first; i >= 0 && !duplicate; i = t.spans[i].next {
			s := &t.spans[i]
			duplicate = s.kind == h.kind && s.times == h.times
			conflicting = conflicting || s.kind == h.kind
			compared++
		}
	}
	if first, ok := t.released[h.id]; ok {
		for i := first; i >= 0 && !duplicate; i = t.history.next(i) {
			s := &t.history.spans[i]
			duplicate = s.spanKind() == h.kind && s.times == h.times
			conflicting = conflicting || s.spanKind() == h.kind
			compared++
		}
	}
	return duplicate, conflicting, compared
}

// add takes a span that seen did not find; h is copied.
func (t *trace) add(h *heldSpan, learned *learnedOperations) {
	at := len(t.spans)
	t.until = 0
	first, ok := t.held.get(h.id)
	h.next, h.up = noSpan, noSpan
	served := false
	switch {
	case !ok:
	case first <= awaited:
		t.awaited--
		served = t.parentCame(first, h, learned)
	default:
		h.next, t.shared = first, true
		served = t.sharedID(h, learned)
	}
	t.held.set(h.id, int32(at))
	if h.parent.IsEmpty() {
		t.roots++
		t.request.advanced = true
		if t.root == noSpan || earlier(h.start, h.id, t.spans[t.root].start, t.spans[t.root].id) {
			t.root = at
		}
	} else {
		t.childCame(at, h, learned)
	}
	if h.kind == ptrace.SpanKindClient && !t.late && !served {
		t.expectChild(h, learned)
	}
	if t.identities != nil {
		t.identities.add(h.id, h.kind, h.times)
	}
	t.spans = appendSpan(t.spans, h)
}

// missing says whether a span's parent has not come.
func (t *trace) missing(h *heldSpan) bool {
	if h.parent.IsEmpty() || t.awaited == 0 {
		return false
	}
	at, _ := t.held.get(h.parent)
	return at <= awaited
}

// entry is the entry root among the given spans, which are not empty: the earliest root, else the earliest span whose parent is
// missing, else (a cycle, or a fragment that hangs on what was released) the earliest.
func (t *trace) entry(spans []heldSpan) int {
	best, bestRank := noSpan, 0
	for i := range spans {
		h := &spans[i]
		rank := 2
		switch {
		case h.parent.IsEmpty():
			rank = 0
		case t.missing(h):
			rank = 1
		}
		if best == noSpan || rank < bestRank || rank == bestRank && earlier(h.start, h.id, spans[best].start, spans[best].id) {
			best, bestRank = i, rank
		}
	}
	return best
}

func earlier(start pcommon.Timestamp, id pcommon.SpanID, otherStart pcommon.Timestamp, other pcommon.SpanID) bool {
	if start != otherStart {
		return start < otherStart
	}
	return string(id[:]) < string(other[:])
}

// hashTimes tells spans of one id and kind apart. Of two such spans that share a hash of 32 bits the second is lost; that needs
// tens of thousands of them.
func hashTimes(start, end pcommon.Timestamp) uint32 {
	h := uint64(start)*0x9e3779b97f4a7c15 ^ uint64(end)
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}
