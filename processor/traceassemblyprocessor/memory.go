package traceassemblyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// remembered is what the journal says of a release, so that the skeleton of its trace comes back after a crash: what the
// release added to it, and what all of it says beside its spans.
type remembered struct {
	partial    bool // of a trace of which there are other releases; assembly wrote on all of its spans
	open       bool // of a trace that may stay open
	version    uint32
	counted    uint8
	failed     bool
	rooted     bool
	rootStart  pcommon.Timestamp
	entry      *symbol[endpoint]
	missing    []missedParent
	retracted  []retraction
	operations []*symbol[operation] // of the release's spans
	peers      []knownPeer
}

type missedParent struct {
	missingParent // without child's number
	child         *symbol[endpoint]
}

// missedWeight is what a missedParent takes in memory.
const missedWeight = 32

// retraction takes back the virtual call of a span that was released before.
type retraction struct {
	id   pcommon.SpanID
	kind uint8
}

// knownPeer is the virtual call of a span of the release.
type knownPeer struct {
	span int
	peer *symbol[endpoint]
}

// memoryOf is what the journal says of the trace with a release of these spans, which record has added to the skeleton.
func (s *shard) memoryOf(t *trace, spans []heldSpan, outcome string) *remembered {
	sk := t.history
	m := &remembered{
		partial: partial(t, outcome), open: outcome == conventions.OutcomePart || outcome == conventions.OutcomeInterim,
		version: uint32(t.version), counted: sk.counted, failed: sk.failed, rooted: sk.rooted, rootStart: sk.rootStart,
		entry: s.skeletons.endpoints.table[sk.entry], operations: make([]*symbol[operation], len(spans)),
	}
	if len(s.retracted) > 0 { // with the first part of what was recorded
		m.retracted, s.retracted = s.retracted, nil
	}
	if sk.more != nil && len(sk.more.missing) > 0 {
		m.missing = make([]missedParent, 0, len(sk.more.missing))
		for _, missed := range sk.more.missing {
			m.missing = append(m.missing, missedParent{missed, s.skeletons.endpoints.table[missed.child]})
		}
	}
	for i := range spans {
		h := &spans[i]
		m.operations[i] = s.symbols.table[h.op]
		if h.peer != 0 {
			m.peers = append(m.peers, knownPeer{i, s.skeletons.endpoints.table[h.peer]})
		}
	}
	return m
}

// restore adds a release that was made before the start to the skeleton of its trace. It counts as made now.
func (s *shard) restore(r *intendedRelease) {
	now := s.now()
	sk := s.skeletons.take(r.key, now)
	if sk == nil {
		sk = s.skeletons.make(r.key)
	}
	if len(r.retracted) > 0 {
		s.skeletons.index(sk)
		for _, back := range r.retracted {
			s.retract(sk, back)
		}
	}
	s.skeletons.weight -= sk.weight()
	before := sk.entry
	sk.entry = s.skeletons.endpoints.ref(r.entry.name)
	s.skeletons.endpoints.unref(before)
	sk.version, sk.counted, sk.failed, sk.rooted, sk.rootStart = r.version, r.counted, r.failed, r.rooted, r.rootStart
	sk.last, sk.released = stampOf(now), stampOf(now)
	s.restoreMissing(sk, r.missing)
	base := len(sk.spans)
	for i := range r.spans {
		span := r.spans[i].bones
		span.op = s.symbols.ref(r.operations[i].name)
		sk.spans = append(sk.spans, span)
		if sk.indexed() {
			sk.link(base + i)
		}
	}
	for _, p := range r.peers {
		sk.spans[base+p.span].peer = s.skeletons.endpoints.ref(p.peer.name)
	}
	s.skeletons.weight += sk.weight()
	if sk.lateWeight() > s.skeletons.limit/2 {
		s.skeletons.forget(sk)
		s.skeletons.evicted++
	}
	s.skeletons.put(sk)
	s.skeletons.evict(now)
}

func (s *shard) restoreMissing(sk *skeleton, missing []missedParent) {
	if sk.more != nil {
		for _, m := range sk.more.missing {
			s.skeletons.endpoints.unref(m.child)
		}
		sk.more.missing = nil
	}
	for _, m := range missing {
		orphan := m.missingParent
		orphan.child = s.skeletons.endpoints.ref(m.child.name)
		if !sk.miss(orphan) {
			s.skeletons.endpoints.unref(orphan.child)
		}
	}
}

// retract takes back a virtual call. The index is there.
func (s *shard) retract(sk *skeleton, back retraction) {
	at, ok := sk.more.index[back.id]
	for ; ok && at != noSpan; at = sk.next(at) {
		if span := &sk.spans[at]; span.kind == back.kind && !span.conflict {
			s.skeletons.endpoints.unref(span.peer)
			span.peer = 0
		}
	}
}
