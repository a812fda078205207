package tracetree

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// tellApart decides which spans stand in the tree. A span's identity is its span id and its kind: Zipkin gives both halves of
// a call one id. Of spans with one identity and the same times one is kept and the others are duplicates. Of those with
// other times the first that assembly did not mark is kept and the others conflict.
func (b *Builder) tellApart(marked func(i int) bool) {
	for i := range b.tree.Nodes {
		b.tree.Nodes[i].Conflict = marked(i)
	}
	for i := range b.tree.Nodes {
		k := &b.keys[i]
		s := b.index.at(k.id)
		if int(s.head) != i+1 {
			continue // each id once, at the head of its chain
		}
		if k.next >= 0 {
			b.tellApartShared(s)
		} else if b.tree.Nodes[i].Conflict {
			s.head = slotOutside
		}
	}
}

// MarkedConflict says whether an earlier stage marked the span with these attributes as one that conflicts with another.
func MarkedConflict(attrs pcommon.Map) bool {
	violations, ok := attrs.Get(conventions.AttrViolations)
	return ok && contains(violations, conventions.ViolationConflictingSpanID)
}

// tellApartShared does so for the spans of one span id, and leaves in the chain the kept ones by ParentRank.
func (b *Builder) tellApartShared(s *slot) {
	b.shared = b.shared[:0]
	for i := s.head - 1; i >= 0; i = b.keys[i].next {
		b.shared = append(b.shared, int(i))
	}
	slices.SortFunc(b.shared, b.compareShared)
	kept := b.shared[:0]
	for at := 0; at < len(b.shared); {
		i := b.shared[at]
		n := &b.tree.Nodes[i]
		for at++; at < len(b.shared) && b.same(i, b.shared[at]); at++ {
			repeated := &b.tree.Nodes[b.shared[at]]
			n.Conflict = n.Conflict || repeated.Conflict
			repeated.Duplicate, repeated.Conflict = true, false
		}
		if len(kept) > 0 && b.keys[kept[len(kept)-1]].kind == b.keys[i].kind {
			n.Conflict = true
		}
		if !n.Conflict {
			kept = append(kept, i)
		}
	}
	s.head = slotOutside
	for _, i := range slices.Backward(kept) {
		b.keys[i].next = max(s.head, 0) - 1
		s.head = int32(i) + 1
	}
}

// compareShared orders the spans of one span id: by kind, times, and then by what else the tree and its reading hang on, so that
// the order of the input does not. Attributes are left out: annotations are among them.
func (b *Builder) compareShared(i, j int) int {
	m, n := &b.tree.Nodes[i], &b.tree.Nodes[j]
	if c := cmp.Or(
		cmp.Compare(ParentRank(b.keys[i].kind), ParentRank(b.keys[j].kind)),
		cmp.Compare(m.StartTimestamp(), n.StartTimestamp()),
		cmp.Compare(m.EndTimestamp(), n.EndTimestamp()),
		cmp.Compare(m.Kind(), n.Kind()), // two that OTLP does not know
		cmp.Compare(b.keys[i].parent, b.keys[j].parent),
	); c != 0 {
		return c
	}
	return cmp.Or(
		strings.Compare(b.service(m.Resource), b.service(n.Resource)),
		strings.Compare(m.Name(), n.Name()),
		cmp.Compare(m.Status().Code(), n.Status().Code()),
		cmp.Compare(i, j),
	)
}

// service is the name of a resource's service. It is remembered, for the name may stand behind many attributes, and a span may come many
// times.
func (b *Builder) service(resource pcommon.Resource) string {
	name, ok := b.services[resource]
	if !ok {
		if b.services == nil {
			b.services = make(map[pcommon.Resource]string)
		}
		name = conventions.ServiceName(resource)
		b.services[resource] = name
	}
	return name
}

// ParentRank orders the kinds that hold one span id by how far inside the work they stand: a child belongs to the innermost.
func ParentRank(kind ptrace.SpanKind) int {
	switch kind {
	case ptrace.SpanKindServer:
		return 0
	case ptrace.SpanKindConsumer:
		return 1
	case ptrace.SpanKindInternal:
		return 2
	case ptrace.SpanKindUnspecified:
		return 3
	case ptrace.SpanKindProducer:
		return 4
	default: // client
		return 5
	}
}

// same says whether two spans of one id are the same span twice.
func (b *Builder) same(i, j int) bool {
	m, n := &b.tree.Nodes[i], &b.tree.Nodes[j]
	return b.keys[i].kind == b.keys[j].kind && m.StartTimestamp() == n.StartTimestamp() && m.EndTimestamp() == n.EndTimestamp()
}

// KnownKind is the kind as far as a span's identity is concerned: unspecified for a number that OTLP does not know.
func KnownKind(kind ptrace.SpanKind) ptrace.SpanKind {
	if kind < ptrace.SpanKindUnspecified || kind > ptrace.SpanKindConsumer {
		return ptrace.SpanKindUnspecified
	}
	return kind
}

// MinRealTime is a year after 1970, in Unix nanoseconds: no trace with times relative to its start reaches it, and every real
// one has passed it.
const MinRealTime = 365 * 24 * int64(time.Hour)

// withoutTime says whether a span with this start was sent without one: 0, or nothing that an int64 can hold, while the trace
// has real times.
func (b *Builder) withoutTime(start pcommon.Timestamp) bool {
	return b.latest > MinRealTime && conventions.Nanoseconds(start) == 0
}

// placeWithoutTime puts the roots without a time where the trace begins. Other spans without one follow their parent.
func (b *Builder) placeWithoutTime() {
	if b.latest <= MinRealTime {
		return
	}
	first := b.latest
	for _, i := range b.order {
		if n := &b.tree.Nodes[i]; n.Start > 0 {
			first = min(first, n.Start)
		}
	}
	for _, root := range b.tree.Roots {
		if n := &b.tree.Nodes[root]; n.Start == 0 {
			n.Start, n.End = first, first
		}
	}
}

func number(id pcommon.SpanID) uint64 { return binary.BigEndian.Uint64(id[:]) }

func contains(list pcommon.Value, text string) bool {
	if list.Type() != pcommon.ValueTypeSlice {
		return false
	}
	for _, v := range list.Slice().All() {
		if v.Type() == pcommon.ValueTypeStr && v.Str() == text {
			return true
		}
	}
	return false
}

// index finds the spans of a span id: a hash table with open addressing, kept from tree to tree. A Go map would do, but for
// twice the time of the whole tree.
type index struct {
	slots []slot
	shift uint
}

// slot is one span id. Its head is 1 + the first node of the chain of nodes with that id, or one of the constants.
type slot struct {
	id   uint64
	head int32
	used bool
}

const (
	slotEmpty   = 0  // looked up and not there
	slotOutside = -1 // only spans outside of the tree
	slotMissing = -2 // named as a parent, not there, counted
)

// seed makes the places of ids unpredictable, so that a sender cannot choose ids that all fall into one place.
var seed = rand.Uint64() | 1

// reset empties the table and makes room for n spans and their n parents.
func (x *index) reset(n int) {
	size, bits := 8, uint(3)
	for size < 3*n {
		size, bits = 2*size, bits+1
	}
	x.slots, x.shift = resize(x.slots, size), 64-bits
}

// at is the id's slot, made if need be. It is valid until the next reset.
func (x *index) at(id uint64) *slot {
	mask := len(x.slots) - 1
	for i := int(((id ^ id>>32) * seed) >> x.shift); ; i = (i + 1) & mask {
		s := &x.slots[i]
		if !s.used {
			s.id, s.used = id, true
			return s
		}
		if s.id == id {
			return s
		}
	}
}
