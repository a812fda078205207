package traceassemblyprocessor

import (
	"encoding/binary"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// places says where the spans of a trace are, by their id. Most traces are small: looking through a list of ids is cheaper than
// asking a map, and leaves nothing to clear. The zero value is empty.
type places struct {
	ids   []uint64
	at    []int32
	large map[pcommon.SpanID]int32 // instead, once there are more than maxListed
}

// maxListed bounds what is looked through.
const maxListed = 64

func (p *places) find(id pcommon.SpanID) int {
	return slices.Index(p.ids, binary.NativeEndian.Uint64(id[:]))
}

func (p *places) get(id pcommon.SpanID) (at int32, ok bool) {
	if p.large != nil {
		at, ok = p.large[id]
		return at, ok
	}
	if i := p.find(id); i >= 0 {
		return p.at[i], true
	}
	return 0, false
}

func (p *places) set(id pcommon.SpanID, at int32) {
	if p.large != nil {
		p.large[id] = at
		return
	}
	if i := p.find(id); i >= 0 {
		p.at[i] = at
		return
	}
	if len(p.ids) == maxListed {
		p.enlarge()
		p.large[id] = at
		return
	}
	p.ids, p.at = append(p.ids, binary.NativeEndian.Uint64(id[:])), append(p.at, at)
}

func (p *places) enlarge() {
	p.large = make(map[pcommon.SpanID]int32, 2*maxListed)
	for i, id := range p.ids {
		var key pcommon.SpanID
		binary.NativeEndian.PutUint64(key[:], id)
		p.large[key] = p.at[i]
	}
	p.ids, p.at = p.ids[:0], p.at[:0]
}

func (p *places) delete(id pcommon.SpanID) {
	if p.large != nil {
		delete(p.large, id)
		return
	}
	if i := p.find(id); i >= 0 {
		last := len(p.ids) - 1
		p.ids[i], p.at[i] = p.ids[last], p.at[last]
		p.ids, p.at = p.ids[:last], p.at[:last]
	}
}

// reset empties it and keeps the list's memory.
func (p *places) reset() { *p = places{ids: p.ids[:0], at: p.at[:0]} }
