package traceassemblyprocessor

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// release is spans on their way from a shard to a call, with what assembly writes on them written. It belongs to whoever
// holds it; its spans' origins are read only.
type release struct {
	key    traceKey
	spans  []heldSpan
	last   time.Duration // arrival of the trace's last span
	size   int64         // see measure
	weight int64         // in memory
	memory *remembered   // with a journal
}

// close releases what is held of a trace and keeps its skeleton.
func (s *shard) close(t *trace, now time.Duration, outcome string) {
	s.learnRelease(t, outcome, now)
	switch {
	case t.parts:
		s.cut(t, conventions.OutcomePart, s.cfg.MaxPartBytes)
	case len(t.spans) == 0: // interim releases had everything
		t.version--
	case t.late:
		s.remember(t)
		s.annotate(t, t.spans)
		s.emit(t, t.spans, t.measure.size, conventions.OutcomeLate)
	case t.version > 1:
		s.remember(t)
		t.released = s.skeletons.index(t.history)
		s.annotate(t, t.spans)
		s.emit(t, t.spans, t.measure.size, outcome)
	default:
		s.remember(t)
		s.emit(t, t.spans, t.measure.size, outcome)
	}
	t.spans = nil
	s.trim(t)
	sk := t.history
	sk.version, sk.last, sk.released = t.version, t.last, now
	sk.quiet = outcome == conventions.OutcomeQuiet && !t.late
	s.skeletons.put(sk, now+s.cfg.LateWindow)
	s.forgetTrace(t)
}

// cutInterim releases what is held of a trace that stays open.
func (s *shard) cutInterim(t *trace, now time.Duration) {
	if len(t.spans) > 0 {
		if t.parts {
			s.cut(t, conventions.OutcomePart, s.cfg.MaxPartBytes)
		} else {
			s.cut(t, conventions.OutcomeInterim, s.cfg.MaxTraceBytes)
			t.version++
			t.part = 0
		}
		t.history.released, t.history.last = now, t.last
	}
	t.interim = now + s.cfg.InterimInterval
}

// cut releases what is held of a trace that stays open, in parts of at most maxBytes.
func (s *shard) cut(t *trace, outcome string, maxBytes int64) {
	if len(t.spans) == 0 {
		return
	}
	s.remember(t)
	t.released = s.skeletons.index(t.history)
	for i := range t.spans {
		delete(t.held, t.spans[i].id)
	}
	s.annotate(t, t.spans)
	from, part := 0, newMeasure()
	for i := range t.spans {
		size := part.size
		part.add(&t.spans[i])
		if i > from && part.exceedsPart(maxBytes) {
			s.emit(t, t.spans[from:i:i], size, outcome)
			from, part = i, newMeasure()
			part.add(&t.spans[i])
		}
	}
	before := t.before + len(t.spans)
	s.emit(t, slices.Clip(t.spans[from:]), part.size, outcome)
	t.before, t.pending, t.until = before, 0, 0
	t.spans, t.measure, t.weight, t.root = newSpans(), newMeasure(), 0, noSpan
	s.trim(t)
}

// trim drops what is remembered of the spans of a trace that takes too much: one trace must not crowd out all others.
func (s *shard) trim(t *trace) {
	if t.history.lateWeight() > s.skeletons.limit/2 {
		s.skeletons.forget(t.history)
		s.skeletons.evicted++
		t.released, t.identities = nil, nil
	}
}

// remember adds the held spans to the trace's skeleton, which takes over their symbols.
func (s *shard) remember(t *trace) {
	sk := t.history
	if sk == nil {
		sk = &skeleton{key: t.key, entry: s.symbols.again(t.entry(t.spans).op), released: t.last}
		t.history = sk
	} else {
		s.skeletons.weight -= sk.weight()
	}
	s.enter(t)
	sk.identities = t.identities
	sk.spans = slices.Grow(sk.spans, len(t.spans))
	for i := range t.spans {
		h := &t.spans[i]
		sk.spans = append(sk.spans, skeletonSpan{id: h.id, times: h.times, op: h.op, next: noSpan, kind: h.kind})
		if sk.index != nil {
			sk.link(len(sk.spans) - 1)
		}
		if t.missing(h) && sk.miss(h.parent, h.op) {
			s.symbols.again(h.op)
		}
	}
	s.skeletons.weight += sk.weight()
}

// enter makes the earliest root the trace's entry, for the release that brings it and for those that follow.
func (s *shard) enter(t *trace) {
	if t.root == noSpan {
		return
	}
	sk, root := t.history, &t.spans[t.root]
	if !sk.rootID.IsEmpty() && !earlier(root.start, root.id, sk.rootStart, sk.rootID) {
		return
	}
	sk.rootStart, sk.rootID = root.start, root.id
	s.symbols.again(root.op)
	s.symbols.unref(sk.entry)
	sk.entry = root.op
}

// emit makes one release of spans, which become the release's.
func (s *shard) emit(t *trace, spans []heldSpan, size int64, outcome string) {
	r := &release{key: t.key, spans: spans, last: t.last, size: size}
	for i := range spans {
		s.origins.unref(spans[i].origin)
		r.weight += int64(spans[i].weight)
	}
	holder := t.entry(spans)
	holder.patched = true
	attrs := holder.span.Attributes()
	attrs.PutStr(conventions.AttrOutcome, outcome)
	attrs.PutInt(conventions.AttrVersion, int64(t.version))
	if t.part > 0 {
		attrs.PutInt(conventions.AttrPart, int64(t.part))
	}
	if t.late || t.parts || t.version > 1 || outcome == conventions.OutcomeInterim {
		if n := t.missingParents(spans); n > 0 {
			attrs.PutInt(conventions.AttrMissingParents, int64(n))
		}
	}
	if s.ledger != nil {
		r.memory = s.memoryOf(t, spans)
	}
	t.part++
	s.budget.release(r.weight)
	s.telemetry.release(outcome)
	s.releases = append(s.releases, r)
}

// memoryOf is what the journal says of the trace with a release of these spans. remember has been called.
func (s *shard) memoryOf(t *trace, spans []heldSpan) *remembered {
	sk := t.history
	m := &remembered{
		version: t.version, entry: s.symbols.at(sk.entry), rootStart: sk.rootStart, rootID: sk.rootID,
		operations: make([]operation, len(spans)),
	}
	for _, missed := range sk.missing {
		m.missing = append(m.missing, missedParent{missed.id, s.symbols.at(missed.child)})
	}
	for i := range spans {
		m.operations[i] = s.symbols.at(spans[i].op)
	}
	return m
}

// missingParents counts the parents of spans that were released nowhere and are not held.
func (t *trace) missingParents(spans []heldSpan) int {
	if t.awaited == 0 {
		return 0
	}
	ids := make(map[pcommon.SpanID]struct{})
	for i := range spans {
		if t.missing(&spans[i]) {
			ids[spans[i].parent] = struct{}{}
		}
	}
	return len(ids)
}

// annotate writes on late spans and parts what analysis cannot see in them: their entry, a caller in another service that is
// in another release, and a child in another service that was released before. The spans are in the skeleton by now.
func (s *shard) annotate(t *trace, spans []heldSpan) {
	entry := s.symbols.at(t.history.entry)
	for i := range spans {
		h := &spans[i]
		h.patched = true
		attrs := h.span.Attributes()
		attrs.PutStr(conventions.AttrEntryService, entry.service)
		attrs.PutStr(conventions.AttrEntryOperation, entry.name)
		own := s.symbols.at(h.op)
		if parent, ok := s.parentOf(t, h); ok && parent.service != own.service {
			attrs.PutStr(conventions.AttrParentService, parent.service)
			attrs.PutStr(conventions.AttrParentOperation, parent.name)
		}
		if child, ok := s.childOf(t.history, h.id, own.service); ok {
			attrs.PutStr(conventions.AttrChildService, child.service)
			attrs.PutStr(conventions.AttrChildOperation, child.name)
		}
	}
}

// parentOf is the operation of a span's parent. Of several spans with the parent's id it is the innermost, which link put first.
func (s *shard) parentOf(t *trace, h *heldSpan) (operation, bool) {
	first, ok := t.released[h.parent]
	if !ok || h.parent.IsEmpty() {
		return operation{}, false
	}
	return s.symbols.at(t.history.spans[first].op), true
}

// childOf is the operation of a released span that missed the parent id, in another service, and forgets that it did.
func (s *shard) childOf(sk *skeleton, id pcommon.SpanID, service string) (child operation, found bool) {
	before := sk.weight()
	sk.missing = slices.DeleteFunc(sk.missing, func(m missingParent) bool {
		if m.id != id {
			return false
		}
		if op := s.symbols.at(m.child); !found && op.service != service {
			child, found = op, true
		}
		s.symbols.unref(m.child)
		return true
	})
	s.skeletons.weight += sk.weight() - before
	return child, found
}

// markConflict marks a span whose identity was received before with other times.
func markConflict(span ptrace.Span) {
	v, ok := span.Attributes().Get(conventions.AttrViolations)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		v = span.Attributes().PutEmpty(conventions.AttrViolations)
		v.SetEmptySlice()
	}
	for _, name := range v.Slice().All() {
		if name.Type() == pcommon.ValueTypeStr && name.Str() == conventions.ViolationConflictingSpanID {
			return
		}
	}
	v.Slice().AppendEmpty().SetStr(conventions.ViolationConflictingSpanID)
}
