package query

import (
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// recentSpans is from how many spans on a trace is remembered: reading a smaller one takes no time worth saving.
	recentSpans = 5000
	// recentBytes, as OTLP protobuf, is what the traces that are remembered have together at most; in memory they take some five times as
	// much. A trace of 100,000 spans has about 40 MiB.
	recentBytes = 64 << 20
	// recentTime is for how long after it was read.
	recentTime = 10 * time.Second
)

// recent remembers large traces for a moment, for clients that ask for one window after the other. The zero value is ready. It is safe for
// concurrent use.
type recent struct {
	mu     sync.Mutex    // guards the fields below
	traces []recentTrace // the latest last
	size   int           // of all traces
	// deletions counts them: what was read before one is not remembered behind it.
	deletions int
}

type recentTrace struct {
	tenant string
	trace  *Trace
	forget *time.Timer
}

// get is nil where the trace is not remembered; then put may be told of it, with how many deletions there were.
func (r *recent) get(tenant string, id pcommon.TraceID) (trace *Trace, deletions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.find(tenant, id); at >= 0 {
		return r.traces[at].trace, 0
	}
	return nil, r.deletions
}

// find is -1 where the trace is not remembered. mu is held.
func (r *recent) find(tenant string, id pcommon.TraceID) int {
	return slices.IndexFunc(r.traces, func(known recentTrace) bool { return known.tenant == tenant && known.trace.ID == id })
}

// put remembers a trace, if it is worth it.
func (r *recent) put(tenant string, trace *Trace, deletions int) {
	if len(trace.Release.Spans) < recentSpans || trace.size > recentBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deletions != deletions || r.find(tenant, trace.ID) >= 0 {
		return
	}
	for r.size+trace.size > recentBytes {
		r.remove(0)
	}
	r.size += trace.size
	r.traces = append(r.traces, recentTrace{tenant, trace, time.AfterFunc(recentTime, func() { r.drop(trace) })})
}

// deleted forgets a trace.
func (r *recent) deleted(tenant string, id pcommon.TraceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deletions++
	if at := r.find(tenant, id); at >= 0 {
		r.remove(at)
	}
}

// drop forgets a trace whose time is over.
func (r *recent) drop(trace *Trace) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := slices.IndexFunc(r.traces, func(known recentTrace) bool { return known.trace == trace }); at >= 0 {
		r.remove(at)
	}
}

// remove removes a trace. mu is held.
func (r *recent) remove(at int) {
	r.traces[at].forget.Stop()
	r.size -= r.traces[at].trace.size
	r.traces = slices.Delete(r.traces, at, at+1) // which clears what it leaves behind
}
