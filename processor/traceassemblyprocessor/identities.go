package traceassemblyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spanIdentity is what makes a span the same as another one of its trace.
type spanIdentity struct {
	id       pcommon.SpanID
	kind     ptrace.SpanKind
	times    uint32 // hash of start and end
	anyTimes bool   // stands for all of the id and kind, whatever their times
}

// identities is the set of what came of a trace. Few traces have one: those with many spans of one id, which otherwise would be
// compared each with each.
type identities map[spanIdentity]struct{}

// maxCompared is the number of spans of one id above which a trace gets identities. Honest senders have two or three.
const maxCompared = 64

func (s identities) add(id pcommon.SpanID, kind ptrace.SpanKind, times uint32) {
	s[spanIdentity{id: id, kind: kind, times: times}] = struct{}{}
	s[spanIdentity{id: id, kind: kind, anyTimes: true}] = struct{}{}
}

func (s identities) seen(h *heldSpan) (duplicate, conflicting bool) {
	_, duplicate = s[spanIdentity{id: h.id, kind: h.kind, times: h.times}]
	_, conflicting = s[spanIdentity{id: h.id, kind: h.kind, anyTimes: true}]
	return duplicate, conflicting
}

// identify gives a trace its identities. They stay with its skeleton.
func (s *shard) identify(t *trace) {
	t.identities = make(identities, len(t.spans))
	for i := range t.spans {
		span := &t.spans[i]
		t.identities.add(span.id, span.kind, span.times)
	}
	if t.history != nil {
		for i := range t.history.spans {
			span := &t.history.spans[i]
			t.identities.add(span.id, span.spanKind(), span.times)
		}
		s.skeletons.identify(t.history, t.identities)
	}
}
