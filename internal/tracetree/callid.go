package tracetree

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// CallID names a call by its content, so that a sink which commits the id together with the call's effect can ignore a
// repeated call.
type CallID [16]byte

// NewCallID hashes tenant, trace id, version and part of the call's releases, and id, start and end of every span, in
// their order in the call.
func NewCallID(releases []Release) CallID {
	// Two 64-bit hashes with different seeds: 128 bits keep an accidental collision, which would drop a call, out of reach.
	low, high := xxhash.NewWithSeed(0), xxhash.NewWithSeed(0x9e3779b97f4a7c15)
	buf := make([]byte, 0, 64)
	write := func() {
		_, _ = low.Write(buf)  // never fails
		_, _ = high.Write(buf) // never fails
		buf = buf[:0]
	}
	for i := range releases {
		r := &releases[i]
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(r.Tenant)))
		buf = append(buf, r.Tenant...)
		buf = append(buf, r.TraceID[:]...)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Version))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Part))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(r.Spans)))
		write()
		for _, span := range r.Spans {
			id := span.SpanID()
			buf = append(buf, id[:]...)
			buf = binary.LittleEndian.AppendUint64(buf, uint64(span.StartTimestamp()))
			buf = binary.LittleEndian.AppendUint64(buf, uint64(span.EndTimestamp()))
			write()
		}
	}
	var id CallID
	binary.BigEndian.PutUint64(id[:8], low.Sum64())
	binary.BigEndian.PutUint64(id[8:], high.Sum64())
	return id
}
