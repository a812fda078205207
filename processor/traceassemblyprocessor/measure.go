package traceassemblyprocessor

// measure adds up the size of spans that are released together, as OTLP protobuf: with them a store keeps a copy of each of their
// resources and scopes.
type measure struct {
	size    int64
	largest int64 // scope with its resource
	last    *heldOrigin
	counted map[*extent]struct{}
}

func (m *measure) add(h *heldSpan) {
	m.size += int64(h.size)
	o := h.origin
	if o == m.last {
		return
	}
	m.last = o
	m.largest = max(m.largest, o.total())
	m.count(&o.extent)
	m.count(&o.resource.extent)
}

func (m *measure) count(e *extent) {
	if _, ok := m.counted[e]; !ok {
		m.counted[e] = struct{}{}
		m.size += e.size
	}
}

// partOrigins is how many times its largest resource a part has at least, so that parts are not mostly the same resource again
// and again. It matters for resources above a quarter of max_part_bytes.
const partOrigins = 4

// exceedsPart says whether this is too large for a part.
func (m *measure) exceedsPart(maxPartBytes int64) bool {
	return m.size > max(maxPartBytes, partOrigins*m.largest)
}

func newMeasure() measure { return measure{counted: make(map[*extent]struct{})} }
