package rollup

import (
	"bytes"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxTraceIDs is the number of traces that are kept as examples of a failure.
const maxTraceIDs = 5

// occurrences say when a failure happened and in which traces.
type occurrences struct {
	first, last uint32 // minutes
	// traces are the smallest ids, in order. Ids are random, so any choice is as good; this one does not hang on the order in
	// which sums are added up.
	traces []pcommon.TraceID
}

func (o *occurrences) add(minute uint32, id pcommon.TraceID) {
	o.between(minute, minute)
	o.trace(id)
}

func (o *occurrences) merge(from *occurrences) {
	if len(from.traces) == 0 {
		return
	}
	o.between(from.first, from.last)
	for _, id := range from.traces {
		o.trace(id)
	}
}

// between widens the time. Without traces there is none yet.
func (o *occurrences) between(first, last uint32) {
	if len(o.traces) == 0 {
		o.first, o.last = first, last
		return
	}
	o.first, o.last = min(o.first, first), max(o.last, last)
}

func (o *occurrences) trace(id pcommon.TraceID) {
	at, found := slices.BinarySearchFunc(o.traces, id, func(a, b pcommon.TraceID) int { return bytes.Compare(a[:], b[:]) })
	if found || at == maxTraceIDs {
		return
	}
	o.traces = slices.Insert(o.traces, at, id)
	o.traces = o.traces[:min(len(o.traces), maxTraceIDs)]
}
