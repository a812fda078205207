package traceassemblyprocessor

import "slices"

// measure adds up the size of spans that are released together, as OTLP protobuf: with them a store keeps a copy of each of their
// resources and scopes. The zero value is empty.
type measure struct {
	size    int64
	largest int64 // scope with its resource
	last    *heldOrigin
	counted []*extent            // looked through while they are few
	many    map[*extent]struct{} // instead, once there are more than maxListed
}

// add takes a span of so many bytes.
func (m *measure) add(size uint32, o *heldOrigin) {
	m.size += int64(size)
	if o == m.last {
		return
	}
	m.last = o
	m.largest = max(m.largest, o.total())
	m.count(&o.extent)
	m.count(&o.resource.extent)
}

// first is the size of any resource or scope counted, 0 where there is none.
func (m *measure) first() int {
	if len(m.counted) == 0 {
		return 0
	}
	return int(m.counted[0].size)
}

func (m *measure) count(e *extent) {
	if m.many != nil {
		if _, ok := m.many[e]; !ok {
			m.many[e] = struct{}{}
			m.size += e.size
		}
		return
	}
	if slices.Contains(m.counted, e) {
		return
	}
	m.size += e.size
	m.counted = append(m.counted, e)
	if len(m.counted) > maxListed {
		m.many = make(map[*extent]struct{}, 2*maxListed)
		for _, e := range m.counted {
			m.many[e] = struct{}{}
		}
		m.counted = m.counted[:0]
	}
}

// reset empties it and keeps the list's memory.
func (m *measure) reset() {
	clear(m.counted)
	*m = measure{counted: m.counted[:0]}
}

// partOrigins is how many times its largest resource a part has at least, so that parts are not mostly the same resource again
// and again. It matters for resources above a quarter of max_part_bytes.
const partOrigins = 4

// exceedsPart says whether this is too large for a part.
func (m *measure) exceedsPart(maxPartBytes int64) bool {
	return m.size > max(maxPartBytes, partOrigins*m.largest)
}
