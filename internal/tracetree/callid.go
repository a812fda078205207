package tracetree

import (
	"encoding/binary"
	"sync"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// CallID names a call by its content, so that a sink which commits the id together with the call's effect can ignore a
// repeated call.
type CallID [16]byte

// NewCallID hashes tenant, trace id, version and part of the call's releases, and id, start and end of every span, in
// their order in the call.
func NewCallID(releases []Release) CallID {
	h := NewCallHash()
	for i := range releases {
		h.Add(&releases[i])
	}
	return h.ID()
}

// groupers keep memory for the next call, which is most of what its id costs.
var groupers = sync.Pool{New: func() any { return new(Grouper) }}

// CallIDOf is NewCallID of the releases of a call, for who needs no more of them.
func CallIDOf(td ptrace.Traces) CallID {
	g := groupers.Get().(*Grouper)
	defer groupers.Put(g)
	defer g.Reset()
	releases := g.Group(td)
	for i := range releases {
		releases[i].ReadAssembly()
	}
	return NewCallID(releases)
}

// CallHash makes a CallID of releases as they come.
type CallHash struct {
	low, high xxhash.Digest
	buf       []byte
}

// NewCallHash makes one without releases.
func NewCallHash() *CallHash {
	h := &CallHash{buf: make([]byte, 0, 1<<10)}
	// Two 64-bit hashes with different seeds: 128 bits keep an accidental collision, which would drop a call, out of reach.
	h.low.ResetWithSeed(0)
	h.high.ResetWithSeed(0x9e3779b97f4a7c15)
	return h
}

// Add adds the next release.
func (h *CallHash) Add(r *Release) {
	buf := binary.LittleEndian.AppendUint32(h.buf[:0], uint32(len(r.Tenant)))
	buf = append(buf, r.Tenant...)
	buf = append(buf, r.TraceID[:]...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Version))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Part))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(r.Spans)))
	for i := range r.Spans {
		if len(buf) >= 1<<14 {
			h.write(buf)
			buf = buf[:0]
		}
		span := &r.Spans[i]
		id := span.SpanID()
		buf = append(buf, id[:]...)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(span.StartTimestamp()))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(span.EndTimestamp()))
	}
	h.write(buf)
	h.buf = buf
}

func (h *CallHash) write(buf []byte) {
	_, _ = h.low.Write(buf)  // never fails
	_, _ = h.high.Write(buf) // never fails
}

// ID is that of the releases so far.
func (h *CallHash) ID() (id CallID) {
	binary.BigEndian.PutUint64(id[:8], h.low.Sum64())
	binary.BigEndian.PutUint64(id[8:], h.high.Sum64())
	return id
}
