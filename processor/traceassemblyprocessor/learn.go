package traceassemblyprocessor

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// learnGap notes how long an open trace got nothing, where it lacked something then and got something that is waited for now.
func (t *trace) learnGap() {
	if t.request.lacked && t.request.advanced && len(t.spans)+t.before > 0 {
		t.longest = max(t.longest, t.request.gap)
	}
}

// learnRelease learns from a trace that is released for the last time, or from its late fragment.
func (s *shard) learnRelease(t *trace, outcome string, now time.Duration) {
	switch {
	case t.late:
		if sk := t.history; t.version == 2 && sk.counted != 0 && sk.outcome() == conventions.OutcomeQuiet && t.awaitedFragment() {
			s.quiet.late(s.entryOf(t), sk.last.age(t.first))
		}
	case outcome == conventions.OutcomeComplete || outcome == conventions.OutcomeQuiet || outcome == conventions.OutcomeTimeout:
		// Other releases say nothing of what would have come.
		t.learn(s.learned)
		s.quiet.released(s.entryOf(t), t.longest, now)
	}
}

// awaitedFragment says whether the trace should have waited for some of the late spans: not for what asynchronous consumers do, nor
// for what hangs on nothing that is known.
func (t *trace) awaitedFragment() bool {
	for i := range t.spans {
		h := &t.spans[i]
		if h.kind == ptrace.SpanKindConsumer {
			continue
		}
		if _, released := t.released[h.parent]; h.parent.IsEmpty() || released || t.history.misses(h) {
			return true
		}
	}
	return false
}

// misses says whether a released span named h as its parent.
func (s *skeleton) misses(h *heldSpan) bool {
	return s.more != nil && slices.ContainsFunc(s.more.missing, func(m missingParent) bool { return m.id == h.id })
}

// learnLate corrects what its trace's release taught: h, of the service, came after all.
func (s *shard) learnLate(t *trace, h *heldSpan, service string, at time.Duration) {
	sk := t.history
	after := sk.last.age(at)
	if sk.more != nil {
		for _, m := range sk.more.missing {
			if m.id != h.id {
				continue
			}
			if o := s.learned.byName[s.skeletons.endpoints.at(m.child).operation]; o != nil && o.parent.total > 0 {
				o.parent.late(after, s.learned.longest)
			}
		}
	}
	first, ok := t.released[h.parent]
	if !ok || after > s.learned.longest {
		return
	}
	client := &sk.spans[first]
	if client.spanKind() == ptrace.SpanKindClient && (entryKind(h.kind) || service != s.symbols.at(client.op).service) {
		s.learned.make(client.op).child(client.failed).late(after, s.learned.longest)
	}
}
