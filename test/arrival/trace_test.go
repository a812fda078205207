package arrival

import (
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// trace is one trace: what it has, when that arrived, and how it was released. Times count from the start of the run.
type trace struct {
	spans    []span
	releases []release // in the order in which they came
}

type span struct {
	id uint64
	// waitedFor is false below a consumer: what runs because of a message is not part of the answer.
	waitedFor bool
	arrived   time.Duration // negative: not at all
}

// release is one release, or the like in a model.
type release struct {
	at      time.Duration
	outcome string
	version int
	spans   []int // numbers of the trace's spans
}

const absent = time.Duration(-1)

// newTraces lists the traces of visits. places says where the span with an id is.
func newTraces(s *shop.Shop, visits int) (traces []*trace, places map[uint64]place) {
	places = make(map[uint64]place)
	for i := range visits {
		v := s.Visit(i)
		t := &trace{spans: make([]span, len(v.Spans))}
		for k := range v.Spans {
			parent := v.Spans[k].Parent
			t.spans[k] = span{
				id: v.Spans[k].ID, arrived: absent,
				waitedFor: v.Spans[k].Kind != shop.Consumer && (parent < 0 || t.spans[parent].waitedFor),
			}
			places[v.Spans[k].ID] = place{t, k}
		}
		traces = append(traces, t)
	}
	return traces, places
}

type place struct {
	trace *trace
	span  int
}

// first is when the first span of the trace arrived.
func (t *trace) first() time.Duration {
	first := t.spans[0].arrived
	for i := range t.spans {
		first = min(first, t.spans[i].arrived)
	}
	return first
}

// whole says whether a release has every span of the trace that is waited for.
func (t *trace) whole(r *release) bool {
	has := make([]bool, len(t.spans))
	for _, i := range r.spans {
		has[i] = true
	}
	for i := range t.spans {
		if t.spans[i].waitedFor && !has[i] {
			return false
		}
	}
	return true
}

// merged says whether the releases together have every span once, as versions of one trace.
func (t *trace) merged() bool {
	times := make([]int, len(t.spans))
	for n := range t.releases {
		if t.releases[n].version != n+1 {
			return false
		}
		for _, i := range t.releases[n].spans {
			times[i]++
		}
	}
	for _, n := range times {
		if n != 1 {
			return false
		}
	}
	return true
}

// delay is how long the last span of a release waited for it.
func (t *trace) delay(r *release) time.Duration {
	last := absent
	for _, i := range r.spans {
		last = max(last, t.spans[i].arrived)
	}
	return r.at - last
}

// fixedWait is the first release of a trace that is held for as long as wait from its first span on, as groupbytrace does it.
func (t *trace) fixedWait(wait time.Duration) *release {
	r := &release{at: t.first() + wait}
	for i := range t.spans {
		if t.spans[i].arrived <= r.at {
			r.spans = append(r.spans, i)
		}
	}
	return r
}
