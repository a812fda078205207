package traceassemblyprocessor

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// release is spans on their way from a shard to a call, with what assembly writes on them written. It belongs to whoever
// holds it; its spans' origins are read only.
type release struct {
	key traceKey
	contents
	stay   stay
	size   int64       // see measure
	weight int64       // in memory
	memory *remembered // with a journal
	more   bool        // with a journal: the next release is the next part of the same cut
	part   bool        // others share its contents, but for the spans
}

// stay is when the first and the last span of a trace came, or of a late fragment.
type stay struct{ first, last time.Duration }

// close releases what is held of a trace and keeps its skeleton.
func (s *shard) close(t *trace, now time.Duration, outcome string) {
	s.learnRelease(t, outcome, now)
	switch {
	case t.parts:
		s.cut(t, conventions.OutcomePart, s.cfg.MaxPartBytes)
	case len(t.spans) == 0: // interim releases had everything
		t.version--
	default:
		if t.late {
			outcome = conventions.OutcomeLate
		}
		s.record(t, outcome, nil)
		s.emit(t, t.spans, t.measure.size, outcome)
		s.letGo(t)
	}
	t.contents = contents{}
	s.trim(t)
	sk := t.history
	sk.version, sk.last, sk.released = uint32(t.version), stampOf(t.last), stampOf(now)
	s.skeletons.put(sk)
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
		t.history.released, t.history.last = stampOf(now), stampOf(t.last)
	}
	t.interim = now + s.cfg.InterimInterval
}

// cut releases what is held of a trace that stays open, in parts of at most maxBytes.
func (s *shard) cut(t *trace, outcome string, maxBytes int64) {
	if len(t.spans) == 0 {
		return
	}
	var (
		ends  []int
		sizes []int64
		part  measure
	)
	for i := range t.spans {
		size := part.size
		part.add(t.spans[i].bytes.size, t.origin(&t.spans[i]))
		if size > 0 && part.exceedsPart(maxBytes) {
			ends, sizes = append(ends, i), append(sizes, size)
			part.reset()
			part.add(t.spans[i].bytes.size, t.origin(&t.spans[i]))
		}
	}
	ends, sizes = append(ends, len(t.spans)), append(sizes, part.size)
	s.record(t, outcome, ends)
	t.released = t.history.more.index
	for i := range t.spans {
		t.held.delete(t.spans[i].id)
	}
	from, before := 0, t.before+len(t.spans)
	for i, end := range ends {
		s.emit(t, t.spans[from:end:end], sizes[i], outcome)
		r := s.releases[len(s.releases)-1]
		r.more, r.part = s.ledger != nil && i < len(ends)-1, true
		from = end
	}
	s.letGo(t)
	t.before, t.pending, t.until = before, 0, 0
	t.contents, t.root = newContents(), noSpan
	t.measure.reset()
	s.trim(t)
	if t.awaited > maxMissing { // in the budget is nothing of them; its skeleton, too, knows no more
		t.held.reset()
		t.awaited = 1 // stands for them all: it is complete no more
	}
}

// trim drops what is remembered of the spans of a trace where it, or all that are open, take too much: one trace must not crowd out all
// others, and what has grown just now is a trace as good as any.
func (s *shard) trim(t *trace) {
	if t.history.lateWeight() > s.skeletons.limit/2 || s.skeletons.crowded() {
		s.skeletons.forget(t.history)
		s.skeletons.evicted++
		t.released, t.identities = nil, nil
	}
}

// letGo gives back the origins of what is released.
func (s *shard) letGo(t *trace) {
	for _, o := range t.origins {
		s.origins.unref(o)
	}
}

// emit makes one release of spans of the trace, which become the release's.
func (s *shard) emit(t *trace, spans []heldSpan, size int64, outcome string) {
	r := &release{key: t.key, stay: stay{t.first, t.last}, size: size}
	for i := range spans {
		r.weight += spans[i].weight()
	}
	patch := t.patch(&spans[t.entry(spans)])
	patch.putStr(conventions.AttrOutcome, outcome)
	patch.putInt(conventions.AttrVersion, int64(t.version))
	if t.part > 0 {
		patch.putInt(conventions.AttrPart, int64(t.part))
	}
	if partial(t, outcome) {
		if n := t.missingParents(spans); n > 0 {
			patch.putInt(conventions.AttrMissingParents, int64(n))
		}
	}
	r.contents = t.contents
	r.spans = spans
	s.budget.release(r.weight)
	if s.ledger != nil {
		r.memory = s.memoryOf(t, spans, outcome)
		if n := len(r.memory.missing); n > 0 { // can be far more than the spans
			missed := int64(n) * missedWeight
			s.budget.carry(missed, 0)
			r.weight += missed
		}
	}
	t.part++
	s.outcomes[slices.Index(conventions.Outcomes, outcome)]++
	s.releases = append(s.releases, r)
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
