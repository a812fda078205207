package traceassemblyprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spanState is what a held span lacks.
type spanState uint8

const (
	lacksChild  spanState = 1 << iota // a CLIENT span without a child in another service
	pending                           // it lacks one and is counted in trace.pending
	lacksParent                       // its parent had not come when it came
)

// requestState is what happened to a trace in the request being worked on.
type requestState struct {
	touched  bool
	lacked   bool // something was missing before
	advanced bool // what came belongs to what is waited for
	gap      time.Duration
}

// awaited and what is below it stand in trace.held for a parent that has not come: number and a mark of the first span that names it.
const awaited = -2

// wanted is what stands in trace.held for a parent that span number n (of all, released ones included) names. served says that
// a child in another service than the parent's is known.
func wanted(n int, served bool) int32 {
	v := awaited - int32(n)<<1
	if served {
		v--
	}
	return v
}

// wantedBy is the held span that named the parent first, nil if it was released.
func (t *trace) wantedBy(v int32) (child *heldSpan, served bool) {
	v = awaited - v
	if n := int(v>>1) - t.before; n >= 0 && n < len(t.spans) {
		child = &t.spans[n]
	}
	return child, v&1 != 0
}

func entryKind(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer
}

// answers says whether h is what a CLIENT span of the other service expects as child.
func (c *contents) answers(h *heldSpan, service string) bool {
	return entryKind(h.kind) || c.service(h) != service
}

// arrival is when a held span came.
func (t *trace) arrival(h *heldSpan) time.Duration {
	return t.first + time.Duration(h.at)*time.Millisecond
}

// after is how long after a held span another one came.
func (h *heldSpan) after(other *heldSpan) time.Duration {
	return time.Duration(int64(h.at)-int64(other.at)) * time.Millisecond
}

// parentCame is called for a span that was awaited. It says whether a child in another service is there.
func (t *trace) parentCame(v int32, h *heldSpan, learned *learnedOperations) (served bool) {
	child, served := t.wantedBy(v)
	t.request.advanced = t.request.advanced || h.kind != ptrace.SpanKindConsumer
	if child == nil {
		return served
	}
	if o := learned.of(child.op); o != nil && o.parent.total > 0 {
		o.parent.arrived(h.after(child))
	}
	return served || t.answers(child, t.service(h))
}

// maxShared is how many spans of one id are looked at.
const maxShared = 4

// childCame is called for a span with a parent; at is where it will be held.
func (t *trace) childCame(at int, h *heldSpan, learned *learnedOperations) {
	v, ok := t.held.get(h.parent)
	switch {
	case ok && v >= 0:
		if int(v) == at { // its own parent
			return
		}
		h.up = v
		parent := &t.spans[v]
		t.request.advanced = t.request.advanced || h.kind != ptrace.SpanKindConsumer && parent.kind != ptrace.SpanKindConsumer
		for n := 0; n < maxShared; n++ {
			if parent.state&lacksChild != 0 && t.answers(h, t.service(parent)) {
				t.answered(parent, h, learned)
			}
			if parent.next < 0 {
				break
			}
			parent = &t.spans[parent.next]
		}
	case ok:
		h.state |= lacksParent
		if child, served := t.wantedBy(v); !served && (entryKind(h.kind) || child != nil && t.service(child) != t.service(h)) {
			t.held.set(h.parent, v-1) // its mark that it is served
		}
	default:
		if _, released := t.released[h.parent]; released {
			t.request.advanced = true
			return
		}
		h.state |= lacksParent
		t.held.set(h.parent, wanted(t.before+at, entryKind(h.kind)))
		t.awaited++
	}
}

// sharedID is called for a span whose id another one has, as client and server of one call may. It says whether h is a client that
// needs no other child.
func (t *trace) sharedID(h *heldSpan, learned *learnedOperations) (served bool) {
	if h.kind != ptrace.SpanKindClient && h.kind != ptrace.SpanKindServer {
		return false
	}
	for i, n := h.next, 0; i >= 0 && n < maxShared; i, n = t.spans[i].next, n+1 {
		other := &t.spans[i]
		if h.kind == ptrace.SpanKindClient &&
			(other.kind == ptrace.SpanKindServer || other.kind == ptrace.SpanKindClient && other.state&lacksChild == 0) {
			return true
		}
		if h.kind == ptrace.SpanKindServer && other.state&lacksChild != 0 {
			t.answered(other, h, learned)
		}
	}
	return false
}

// answered takes the child that a CLIENT span lacks.
func (t *trace) answered(client, child *heldSpan, learned *learnedOperations) {
	if client.state&pending != 0 {
		t.pending--
		t.request.advanced = true
	}
	if o := learned.of(client.op); o != nil {
		learned.childCame(o.child(client.failed), child.after(client), t.last)
	}
	client.state &^= lacksChild | pending
}

// expectChild is called for a CLIENT span whose child in another service is not there.
func (t *trace) expectChild(h *heldSpan, learned *learnedOperations) {
	h.state |= lacksChild
	if learned.client(&t.contents, h).waits(h.failed) > 0 {
		h.state |= pending
		t.pending++
	}
}

// maxAncestors bounds how far up a CONSUMER span is looked for.
const maxAncestors = 32

// asynchronous says whether a span hangs below a CONSUMER span that itself has a parent. Nobody waits for such spans.
func (t *trace) asynchronous(h *heldSpan) bool {
	for range maxAncestors {
		if h.parent.IsEmpty() {
			return false
		}
		parent, ok := t.held.get(h.parent)
		if h.kind == ptrace.SpanKindConsumer {
			_, released := t.released[h.parent]
			return released || ok && parent >= 0
		}
		if !ok || parent < 0 {
			return false
		}
		h = &t.spans[parent]
	}
	return false
}

// patience is until when it pays to wait for what the trace lacks: forever where only the quiet period says. expectedChild says that
// nothing else than a child is waited for.
func (t *trace) patience(learned *learnedOperations) (until time.Duration, expectedChild bool) {
	orphans := 0
	expectedChild = t.roots > 0
	for i := range t.spans {
		h := &t.spans[i]
		var wait time.Duration
		switch {
		case h.state&(pending|lacksParent) == 0:
			continue
		case h.state&lacksParent != 0 && t.missing(h):
			orphans++
			expectedChild = false
			wait = forever
			if o := learned.of(h.op); o != nil {
				wait = o.parent.waits()
			}
		}
		if h.state&pending != 0 && !t.asynchronous(h) {
			wait = max(wait, learned.waits(&t.contents, h, t.last))
		}
		if wait >= unknown {
			return wait, expectedChild && t.awaited == 0
		}
		if wait > 0 {
			until = max(until, t.arrival(h)+wait)
		}
	}
	if t.roots == 0 && orphans == 0 || t.before > 0 && t.awaited > 0 { // a cycle; orphans that were released
		return forever, false
	}
	return max(until, 1), expectedChild && until > 0
}

// learn takes what a trace that is released lacks as never to come.
func (t *trace) learn(learned *learnedOperations) {
	for i := range t.spans {
		h := &t.spans[i]
		if h.state&lacksChild != 0 {
			learned.client(&t.contents, h).child(h.failed).missed()
		}
		if h.state&lacksParent != 0 && t.missing(h) {
			learned.make(h.op).parent.missed()
		}
	}
}
