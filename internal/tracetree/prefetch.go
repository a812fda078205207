package tracetree

import "github.com/tracewright/tracewright/internal/attributes"

// maxPrefetched bounds the spans of which Prefetch fetches something: the processor has room for so many.
const maxPrefetched = 64

// Prefetch lets the processor fetch the attributes of a release, which is the next one to be read, while another one is worked on. The spans of a
// trace stand apart in a call, which has those of a service together, so that each is waited for.
func (r *Release) Prefetch() {
	for i := range min(len(r.Spans), maxPrefetched) {
		attributes.PrefetchList(r.Spans[i].Attributes())
	}
}
