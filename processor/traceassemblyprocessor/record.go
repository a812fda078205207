package traceassemblyprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// recorder adds the held spans of a trace to its skeleton as they are released, and writes on them what analysis cannot see in
// a release that holds only a part of its trace:
//
//   - their entry, and a caller in another service that is in another release;
//   - the calls of released orphans, where the parent is among the spans;
//   - the virtual call that was counted for a released client span, where the first span that answers it is among the spans;
//   - what changes of the trace's entry.
//
// So the sums over all releases are those over whole traces, whatever came late (docs/adr/006-late-edges.md).
type recorder struct {
	*shard
	t    *trace
	sk   *skeleton
	base int // of the held spans among the skeleton's
	ends []int
	// partial says that the release is not the whole trace.
	partial bool
	// index is the skeleton's, nil where the release is whole and every id is held once.
	index map[pcommon.SpanID]int32
}

// record adds the held spans to the trace's skeleton, which takes over their symbols. Where they are released in parts, ends are
// the parts' ends among them.
func (s *shard) record(t *trace, outcome string, ends []int) {
	r := recorder{
		shard: s, t: t, sk: t.history, ends: ends,
		partial: partial(t, outcome),
	}
	first := r.sk == nil
	if first {
		r.sk = s.skeletons.make(t.key)
		t.history = r.sk
	}
	s.skeletons.weight -= r.sk.weight()
	r.enter(first)
	r.append()
	s.skeletons.weight += r.sk.weight()
	if t.shared || r.partial {
		r.index = s.skeletons.index(r.sk)
	}
	s.skeletons.weight -= r.sk.weight()
	r.connect()
	if r.sk.counted == 0 {
		r.sk.setOutcome(outcome)
	}
	if !r.partial && r.index != nil { // until a late span comes
		r.sk.more.index, r.sk.more.next = nil, nil
	}
	s.skeletons.weight += r.sk.weight()
}

// partial says that a release of the trace is not all of it.
func partial(t *trace, outcome string) bool {
	return t.late || t.version > 1 || outcome == conventions.OutcomePart || outcome == conventions.OutcomeInterim
}

// append adds the spans to the skeleton.
func (r *recorder) append() {
	t, sk := r.t, r.sk
	if t.identities != nil {
		sk.extra().identities = t.identities
	}
	r.base = len(sk.spans)
	sk.spans = slices.Grow(sk.spans, len(t.spans))
	for i := range t.spans {
		h := &t.spans[i]
		sk.spans = append(sk.spans, skeletonSpan{
			id: h.id, times: h.times, op: h.op, kind: uint8(h.kind), conflict: h.conflict,
			failed: h.failed,
		})
		if sk.indexed() {
			sk.link(r.base + i)
		}
	}
}

// enter makes the earliest root the trace's entry, for the release that brings it and for those that follow.
func (r *recorder) enter(first bool) {
	t, sk := r.t, r.sk
	if t.root == noSpan {
		if first {
			sk.entry = r.endpointOf(&t.spans[t.entry(t.spans)])
		}
		return
	}
	root := &t.spans[t.root]
	if sk.rooted && root.start >= sk.rootStart {
		return
	}
	sk.rooted, sk.rootStart = true, root.start
	before := sk.entry
	sk.entry = r.endpointOf(root)
	if sk.counted != 0 && before != sk.entry && !root.conflict {
		was, attrs := r.skeletons.endpoints.at(before), t.patch(root)
		r.putEntryCount(attrs)
		attrs.putStr(conventions.AttrRetractedEntryService, was.service)
		attrs.putStr(conventions.AttrRetractedEntryOperation, was.name)
		putStr(attrs, conventions.AttrRetractedEntryEnvironment, was.environment)
		putTrue(attrs, conventions.AttrRetractedEntryError, sk.failed)
	}
	r.skeletons.endpoints.unref(before)
}

// putEntryCount writes where the trace's entry is counted, besides its name.
func (r *recorder) putEntryCount(attrs *patches) {
	attrs.putStr(conventions.AttrEntryOutcome, r.sk.outcome())
	putStr(attrs, conventions.AttrEntryEnvironment, r.skeletons.endpoints.at(r.sk.entry).environment)
}

// endpointOf is a span's operation as the entry of its trace; one reference.
func (r *recorder) endpointOf(h *heldSpan) uint32 {
	return r.skeletons.endpoints.ref(endpoint{
		operation: r.symbols.at(h.op), environment: r.t.origin(h).resource.environment,
	})
}

// connect finds how the spans hang together with each other and with the released ones.
func (r *recorder) connect() {
	t, sk := r.t, r.sk
	r.answered = slices.Grow(r.answered[:0], len(t.spans))[:len(t.spans)]
	clear(r.answered)
	for i := range t.spans {
		h := &t.spans[i]
		if r.partial {
			entry, attrs := r.skeletons.endpoints.at(sk.entry), t.patch(h)
			attrs.putStr(conventions.AttrEntryService, entry.service)
			attrs.putStr(conventions.AttrEntryOperation, entry.name)
		}
		if h.conflict {
			continue
		}
		r.fail(i)
		if at := r.caller(h); at != noSpan {
			r.call(i, int(at))
		} else if t.missing(h) {
			r.orphan(h)
		}
		if r.partial {
			r.adopt(i)
		}
	}
	for i := range t.spans {
		h := &t.spans[i]
		if r.answered[i] || h.conflict {
			r.skeletons.endpoints.unref(h.peer)
			h.peer = 0
		}
		sk.spans[r.base+i].peer = h.peer
	}
}

// fail notes that the trace failed, and writes it where its entry is counted without.
func (r *recorder) fail(i int) {
	if r.sk.failed || !r.t.spans[i].failed {
		return
	}
	r.sk.failed = true
	if r.sk.counted != 0 || r.part(i) > 0 {
		outcome := conventions.OutcomePart
		if r.sk.counted != 0 {
			outcome = r.sk.outcome()
		}
		attrs := r.t.patch(&r.t.spans[i])
		attrs.putBool(conventions.AttrEntryError, true)
		attrs.putStr(conventions.AttrEntryOutcome, outcome)
		putStr(attrs, conventions.AttrEntryEnvironment, r.skeletons.endpoints.at(r.sk.entry).environment)
	}
}

// part is the part in which a held span is released.
func (r *recorder) part(i int) int {
	if len(r.ends) == 0 {
		return 0
	}
	part, found := slices.BinarySearch(r.ends, i)
	if found {
		part++ // it begins where the one before ends
	}
	return part
}

// caller is where the parent of a held span is in the skeleton, noSpan where it is not. It is that of the tree (package
// tracetree), but for cycles, which are not looked for.
func (r *recorder) caller(h *heldSpan) int32 {
	if r.index == nil { // every id is held once
		if h.up >= 0 {
			return int32(r.base) + h.up
		}
		if h.parent.IsEmpty() || h.parent == h.id {
			return noSpan
		}
		if i, ok := r.t.held.get(h.parent); ok && i >= 0 {
			return int32(r.base) + i
		}
		return noSpan
	}
	if h.kind == ptrace.SpanKindServer {
		if at := r.half(h.id, ptrace.SpanKindClient); at != noSpan {
			return at
		}
	}
	if h.parent.IsEmpty() || h.parent == h.id {
		return noSpan
	}
	if at, ok := r.index[h.parent]; ok && !r.sk.spans[at].conflict {
		return at
	}
	return noSpan
}

// half is the span of an id with that kind.
func (r *recorder) half(id pcommon.SpanID, kind ptrace.SpanKind) int32 {
	at, ok := r.index[id]
	for ; ok && at != noSpan; at = r.sk.next(at) {
		if s := &r.sk.spans[at]; s.spanKind() == kind && !s.conflict {
			return at
		}
	}
	return noSpan
}

// call notes the call that held span i answers, whose caller is at.
func (r *recorder) call(i, at int) {
	h, parent := &r.t.spans[i], &r.sk.spans[at]
	caller := r.symbols.at(parent.op)
	if caller.service == r.symbols.at(h.op).service {
		return
	}
	if j := at - r.base; j >= 0 {
		r.answered[j] = true
		if r.part(j) != r.part(i) {
			r.t.patch(&r.t.spans[j]).putBool(conventions.AttrAnswered, true)
		}
	}
	if !r.partial { // analysis sees both
		return
	}
	attrs := r.t.patch(h)
	attrs.putStr(conventions.AttrParentService, caller.service)
	attrs.putStr(conventions.AttrParentOperation, caller.name)
	if parent.peer == 0 {
		return
	}
	peer := r.skeletons.endpoints.at(parent.peer)
	attrs.putStr(conventions.AttrRetractedPeerService, peer.service)
	attrs.putStr(conventions.AttrRetractedPeerKind, peer.kind)
	putStr(attrs, conventions.AttrRetractedEnvironment, peer.environment)
	attrs.putStr(conventions.AttrRetractedProtocol, peer.protocol)
	putTrue(attrs, conventions.AttrRetractedError, parent.failed)
	r.skeletons.endpoints.unref(parent.peer)
	parent.peer = 0
	if r.ledger != nil {
		r.retracted = append(r.retracted, retraction{parent.id, parent.kind})
	}
}

// orphan remembers a span whose parent was not released.
func (r *recorder) orphan(h *heldSpan) {
	r.orphans++
	if r.partial {
		r.t.patch(h).putBool(conventions.AttrOrphan, true)
	}
	child := r.skeletons.endpoints.ref(endpoint{
		operation: r.symbols.at(h.op), protocol: protocolOf(r.t.raw(h)), environment: r.t.origin(h).resource.environment,
	})
	m := missingParent{duration: int64(tracestore.DurationBetween(h.start, h.end)), id: h.parent, child: child, calls: 1, failed: h.failed}
	if !r.sk.miss(m) {
		r.skeletons.endpoints.unref(child)
	}
}

// adopt writes on held span i the calls of its children that were released as orphans, and forgets that they were.
func (r *recorder) adopt(i int) {
	h, more := &r.t.spans[i], r.sk.more
	if more == nil || r.index == nil {
		return
	}
	if h.kind == ptrace.SpanKindClient { // a server half that was released before it has found another caller, or none
		at := r.half(h.id, ptrace.SpanKindServer)
		if at != noSpan && int(at) < r.base && r.symbols.at(r.sk.spans[at].op).service != r.symbols.at(h.op).service {
			r.answered[i] = true
			r.t.patch(h).putBool(conventions.AttrAnswered, true)
		}
	}
	if len(more.missing) == 0 || int(r.index[h.id]) != r.base+i { // children belong to the innermost of the id
		return
	}
	repaired := 0
	var others []missingParent
	service := r.symbols.at(h.op).service
	more.missing = slices.DeleteFunc(more.missing, func(m missingParent) bool {
		if m.id != h.id {
			return false
		}
		repaired += int(m.calls)
		if r.skeletons.endpoints.at(m.child).service != service {
			others = append(others, m)
		} else {
			r.skeletons.endpoints.unref(m.child)
		}
		return true
	})
	if repaired == 0 {
		return
	}
	r.t.patch(h).putInt(conventions.AttrRepaired, int64(repaired))
	if len(others) > 0 {
		r.answered[i] = true
		r.putChildren(r.t.patch(h), others)
	}
}

// putChildren writes the calls of a span's released children and gives their endpoints back.
func (r *recorder) putChildren(attrs *patches, children []missingParent) {
	put := func(key string, value func(e *endpoint, m *missingParent) (element patch, zero bool)) {
		list, zero := make([]patch, len(children)), true
		for i := range children {
			e := r.skeletons.endpoints.at(children[i].child)
			element, none := value(&e, &children[i])
			list[i], zero = element, none && zero
		}
		if !zero {
			attrs.put(patch{key: key, kind: pcommon.ValueTypeSlice, list: list})
		}
	}
	text := func(of func(e *endpoint) string) func(*endpoint, *missingParent) (patch, bool) {
		return func(e *endpoint, _ *missingParent) (patch, bool) {
			return patch{kind: pcommon.ValueTypeStr, str: of(e)}, of(e) == ""
		}
	}
	put(conventions.AttrChildService, text(func(e *endpoint) string { return e.service }))
	put(conventions.AttrChildOperation, text(func(e *endpoint) string { return e.name }))
	put(conventions.AttrChildEnvironment, text(func(e *endpoint) string { return e.environment }))
	put(conventions.AttrChildProtocol, text(func(e *endpoint) string { return e.protocol }))
	put(conventions.AttrChildDuration, func(_ *endpoint, m *missingParent) (patch, bool) {
		return patch{kind: pcommon.ValueTypeInt, num: m.duration}, m.duration == 0
	})
	put(conventions.AttrChildCalls, func(_ *endpoint, m *missingParent) (patch, bool) {
		return patch{kind: pcommon.ValueTypeInt, num: int64(m.calls)}, m.calls == 1
	})
	put(conventions.AttrChildError, func(_ *endpoint, m *missingParent) (patch, bool) {
		return patch{kind: pcommon.ValueTypeBool, num: truth(m.failed)}, !m.failed
	})
	for i := range children {
		r.skeletons.endpoints.unref(children[i].child)
	}
}

func putStr(attrs *patches, key, value string) {
	if value != "" {
		attrs.putStr(key, value)
	}
}

func putTrue(attrs *patches, key string, value bool) {
	if value {
		attrs.putBool(key, true)
	}
}
