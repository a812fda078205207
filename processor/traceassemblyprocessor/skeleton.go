package traceassemblyprocessor

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// skeleton is what is remembered of a released trace, so that a late span is recognised and gets its entry and its parent, and
// so that what its absence made of the rollups is made good (see record). While a late fragment or a part of the trace is open
// its trace owns the skeleton, otherwise the shard's table does. There are millions of them: no field is wider than it must be.
type skeleton struct {
	spans        []skeletonSpan
	more         *skeletonMore // nil for most
	older, newer *skeleton     // see skeletons
	rootStart    pcommon.Timestamp
	skeletonKey
	version  uint32 // of the last release
	entry    uint32 // endpoint; one reference. The earliest released root's, a guess until there is one
	last     stamp  // arrival of the last span
	released stamp  // the last release
	// counted is the outcome with which the trace's entry was counted, as 1 + its place among conventions.Outcomes; 0 until then.
	counted uint8
	failed  bool // a released span failed
	rooted  bool // a root was released: rootStart is the earliest one's
	listed  bool
}

// skeletonKey is a traceKey without pointers.
type skeletonKey struct {
	id     pcommon.TraceID
	tenant uint32 // symbol of the operation without a name; one reference. 0 for the default tenant
}

// skeletonMore is what few skeletons have.
type skeletonMore struct {
	// missing are the released spans whose parent was not released: a span that comes with such an id is annotated with them.
	// Beyond exactMissing those that are alike are one; there are maxMissing at most.
	missing []missingParent

	// Made when a late span or a part first needs them, and kept, for where one came there may be many.
	index      map[pcommon.SpanID]int32 // span id → its first span in spans
	next       []int32                  // span → the next one of the same id, noSpan for none; set by link
	identities identities               // see trace
}

// skeletonSpan holds no pointer. It has one reference to its operation and one to its peer.
type skeletonSpan struct {
	id    pcommon.SpanID
	times uint32 // hash of start and end
	op    uint32
	// peer is the endpoint of the virtual call that the release of the span counted and that no late span has taken back; 0 for
	// none.
	peer   uint32
	kind   uint8
	failed bool
	// conflict: it stands outside of the tree and of every sum.
	conflict bool
}

func (s *skeletonSpan) spanKind() ptrace.SpanKind { return ptrace.SpanKind(s.kind) }

// missingParent is what the call of an orphan counts once its parent comes.
type missingParent struct {
	duration int64 // nanoseconds
	id       pcommon.SpanID
	child    uint32 // endpoint; one reference
	calls    uint16 // more than 1 where there are many; the duration is that of the first
	failed   bool
}

// stamp is a time of the processor's clock in milliseconds. It turns over after 49 days; ages are right up to half of that.
type stamp uint32

func stampOf(at time.Duration) stamp { return stamp(at / time.Millisecond) }

func (s stamp) age(now time.Duration) time.Duration {
	return time.Duration(int32(stampOf(now)-s)) * time.Millisecond
}

const (
	noSpan       = -1
	exactMissing = 64
	maxMissing   = 1024

	// TestSkeletonMemory measures these.
	skeletonWeight     = 96 + 56 // the place in the table is the latter
	skeletonSpanWeight = 24
	moreWeight         = 64
	missingWeight      = 24
	indexWeight        = 32 // of a span in index and next
	identityWeight     = 64 // of a span in identities
)

func (s *skeleton) weight() int64 {
	weight := skeletonWeight + int64(cap(s.spans))*skeletonSpanWeight
	if m := s.more; m != nil {
		weight += moreWeight + int64(cap(m.missing))*missingWeight
		if m.index != nil {
			weight += int64(len(s.spans)) * indexWeight
		}
		if m.identities != nil {
			weight += int64(len(s.spans)) * identityWeight
		}
	}
	return weight
}

// lateWeight is what it takes once a late span has come.
func (s *skeleton) lateWeight() int64 {
	if s.indexed() {
		return s.weight()
	}
	weight := s.weight() + int64(len(s.spans))*indexWeight
	if s.more == nil {
		weight += moreWeight
	}
	return weight
}

func (s *skeleton) indexed() bool { return s.more != nil && s.more.index != nil }

func (s *skeleton) extra() *skeletonMore {
	if s.more == nil {
		s.more = &skeletonMore{}
	}
	return s.more
}

// identities are those of the trace, if it has them.
func (s *skeleton) identities() identities {
	if s.more == nil {
		return nil
	}
	return s.more.identities
}

// next is the next span of the same id, noSpan for none. The index is there.
func (s *skeleton) next(i int32) int32 { return s.more.next[i] }

// link puts a span into the index and chains those of one id: the innermost stands first, and what is outside of the tree last.
func (s *skeleton) link(i int) {
	span, m := &s.spans[i], s.more
	m.next = append(m.next, noSpan)
	first, ok := m.index[span.id]
	switch {
	case !ok:
	case s.spans[first].rank() < span.rank():
		m.next[i], m.next[first] = m.next[first], int32(i)
		return
	default:
		m.next[i] = first
	}
	m.index[span.id] = int32(i)
}

// rank orders the spans of one id: a child belongs to the first.
func (s *skeletonSpan) rank() int {
	if s.conflict {
		return outsideRank
	}
	return tracetree.ParentRank(s.spanKind())
}

// outsideRank is behind all of tracetree.ParentRank.
const outsideRank = 100

// miss remembers an orphan. It says whether it took over the reference to child.
func (s *skeleton) miss(m missingParent) bool {
	more := s.extra()
	if len(more.missing) >= exactMissing {
		for i := range more.missing {
			same := &more.missing[i]
			if same.id == m.id && same.child == m.child && same.failed == m.failed && same.calls <= math.MaxUint16-m.calls {
				same.calls += m.calls
				return false
			}
		}
	}
	if len(more.missing) >= maxMissing {
		return false
	}
	more.missing = append(more.missing, m)
	return true
}

// setOutcome remembers with which outcome the trace's entry was counted.
func (s *skeleton) setOutcome(outcome string) {
	s.counted = uint8(1 + slices.Index(conventions.Outcomes, outcome))
}

func (s *skeleton) outcome() string { return conventions.Outcomes[s.counted-1] }

// skeletons is a shard's table of skeletons, bounded in time and in bytes.
type skeletons struct {
	window    time.Duration
	limit     int64
	symbols   *symbols[operation]
	endpoints *symbols[endpoint]
	byTrace   map[skeletonKey]*skeleton // but for those that open traces own
	// The list is in the order of release, but that one which is given back unchanged after it was passed over stands at the end.
	oldest, newest *skeleton
	weight         int64 // of all skeletons, those that open traces own too
	kept           int64 // of those in byTrace
	evicted        int   // since the last report
	// pinned says that the window stands still: replay reads what may have come while it was open, however long ago that is.
	pinned bool
	peers  [peerSlots]knownCall
}

// knownCall spares the look-up of the endpoint of an operation's latest call: spans of one peer share the call. It has one
// reference to the endpoint.
type knownCall struct {
	call        *conventions.Call
	environment string
	endpoint    uint32
}

const peerSlots = 256

func newSkeletons(window time.Duration, limit int64, symbols *symbols[operation]) *skeletons {
	return &skeletons{
		window: window, limit: limit, symbols: symbols, endpoints: newSymbols[endpoint](),
		byTrace: make(map[skeletonKey]*skeleton),
	}
}

// make makes the skeleton of a trace, owned by it.
func (s *skeletons) make(key traceKey) *skeleton {
	sk := &skeleton{skeletonKey: skeletonKey{id: key.id}}
	if key.tenant != "" {
		sk.tenant = s.symbols.ref(operation{service: key.tenant})
	}
	s.weight += sk.weight()
	return sk
}

// put keeps a skeleton until the window has passed since its release.
func (s *skeletons) put(sk *skeleton) {
	s.unlist(sk)
	s.giveBack(sk)
}

// giveBack returns a skeleton unchanged after take.
func (s *skeletons) giveBack(sk *skeleton) {
	s.byTrace[sk.skeletonKey] = sk
	s.kept += sk.weight()
	if sk.listed {
		return
	}
	sk.listed, sk.older = true, s.newest
	if s.newest == nil {
		s.oldest = sk
	} else {
		s.newest.newer = sk
	}
	s.newest = sk
}

func (s *skeletons) unlist(sk *skeleton) {
	if !sk.listed {
		return
	}
	if sk.older == nil {
		s.oldest = sk.newer
	} else {
		sk.older.newer = sk.newer
	}
	if sk.newer == nil {
		s.newest = sk.older
	} else {
		sk.newer.older = sk.older
	}
	sk.listed, sk.older, sk.newer = false, nil, nil
}

// take hands the skeleton of a trace over to its caller, nil where none is remembered.
func (s *skeletons) take(key traceKey, now time.Duration) *skeleton {
	short := skeletonKey{id: key.id}
	if key.tenant != "" {
		if short.tenant = s.symbols.find(operation{service: key.tenant}); short.tenant == 0 {
			return nil
		}
	}
	sk := s.byTrace[short]
	switch {
	case sk == nil:
		return nil
	case !s.inTime(sk, now):
		s.remove(sk)
		return nil
	}
	delete(s.byTrace, short)
	s.kept -= sk.weight()
	return sk
}

// index is the skeleton's index, made where there is none yet.
func (s *skeletons) index(sk *skeleton) map[pcommon.SpanID]int32 {
	if !sk.indexed() {
		s.weight -= sk.weight()
		more := sk.extra()
		more.index = make(map[pcommon.SpanID]int32, len(sk.spans))
		more.next = make([]int32, 0, len(sk.spans))
		for i := range sk.spans {
			sk.link(i)
		}
		s.weight += sk.weight()
	}
	return sk.more.index
}

// identify keeps the identities of a skeleton's trace with it.
func (s *skeletons) identify(sk *skeleton, of identities) {
	s.weight -= sk.weight()
	sk.extra().identities = of
	s.weight += sk.weight()
}

// forget drops what a skeleton remembers of spans; entry and version stay.
func (s *skeletons) forget(sk *skeleton) {
	s.weight -= sk.weight()
	for i := range sk.spans {
		s.symbols.unref(sk.spans[i].op)
		s.endpoints.unref(sk.spans[i].peer)
	}
	if sk.more != nil {
		for _, m := range sk.more.missing {
			s.endpoints.unref(m.child)
		}
	}
	sk.spans, sk.more = nil, nil
	s.weight += sk.weight()
}

// peer is the endpoint of the virtual call of an operation; one reference.
func (s *skeletons) peer(op uint32, call *conventions.Call, environment string) uint32 {
	known := &s.peers[op%peerSlots]
	if known.call != call || known.environment != environment {
		s.endpoints.unref(known.endpoint)
		*known = knownCall{call, environment, s.endpoints.ref(endpoint{
			operation: operation{service: call.Peer}, kind: call.PeerKind, protocol: call.Protocol, environment: environment,
		})}
	}
	return s.endpoints.again(known.endpoint)
}

// entryOf is the entry of a skeleton's trace.
func (s *skeletons) entryOf(sk *skeleton) operation { return s.endpoints.at(sk.entry).operation }

// crowded says that the skeletons of open traces alone take what there is for all, so that evict cannot help.
func (s *skeletons) crowded() bool { return s.weight-s.kept > s.limit }

func (s *skeletons) inTime(sk *skeleton, now time.Duration) bool {
	return s.pinned || sk.released.age(now) < s.window
}

func (s *skeletons) full() bool { return s.weight+s.symbols.weight+s.endpoints.weight > s.limit }

// evict drops the skeletons whose window has passed and, while there is too much, the ones that would go next.
func (s *skeletons) evict(now time.Duration) {
	for s.oldest != nil {
		sk := s.oldest
		inTime := s.inTime(sk, now)
		if inTime && !s.full() {
			return
		}
		if s.byTrace[sk.skeletonKey] != sk { // its trace will put it back
			s.unlist(sk)
			continue
		}
		if inTime {
			s.evicted++
		}
		s.remove(sk)
	}
}

func (s *skeletons) remove(sk *skeleton) {
	delete(s.byTrace, sk.skeletonKey)
	s.kept -= sk.weight()
	s.unlist(sk)
	s.forget(sk)
	s.endpoints.unref(sk.entry)
	s.symbols.unref(sk.tenant)
	s.weight -= sk.weight()
}
