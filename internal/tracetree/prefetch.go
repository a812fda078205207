package tracetree

import "github.com/tracewright/tracewright/internal/attributes"

// maxPrefetched bounds the spans of which Prefetch fetches something: the processor has room for so many.
const maxPrefetched = 64

// Prefetch lets the processor fetch the attributes of a release, which is the next one to be read, while another one is worked on. A call has the
// spans of a service together, and those of a trace may stand apart, so that each is waited for.
func (r *Release) Prefetch() {
	for i := range min(len(r.Spans), maxPrefetched) {
		attributes.PrefetchList(r.Spans[i].Attributes())
	}
}
