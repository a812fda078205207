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
	// recentBytes, as OTLP protobuf, is the largest trace that is remembered.
	recentBytes = 32 << 20
	// recentTraces is how many are.
	recentTraces = 2
	// recentTime is for how long after it was read.
	recentTime = 10 * time.Second
)

// recent remembers large traces for a moment, for clients that ask for one window after the other. The zero value is ready. It is safe for
// concurrent use.
type recent struct {
	mu     sync.Mutex    // guards the fields below
	traces []recentTrace // the latest last
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
	if len(r.traces) == recentTraces {
		r.traces[0].forget.Stop()
		r.traces = slices.Delete(r.traces, 0, 1) // which clears what it leaves behind
	}
	r.traces = append(r.traces, recentTrace{tenant, trace, time.AfterFunc(recentTime, func() { r.drop(trace) })})
}

// deleted forgets a trace.
func (r *recent) deleted(tenant string, id pcommon.TraceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deletions++
	if at := r.find(tenant, id); at >= 0 {
		r.traces[at].forget.Stop()
		r.traces = slices.Delete(r.traces, at, at+1)
	}
}

func (r *recent) drop(trace *Trace) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traces = slices.DeleteFunc(r.traces, func(known recentTrace) bool { return known.trace == trace })
}
