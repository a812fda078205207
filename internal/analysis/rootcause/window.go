package rootcause

import (
	"cmp"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// both are the two windows, with numbers in place of names.
type both struct {
	operations []Operation // sorted
	services   []string    // sorted
	service    []int       // by operation
	virtual    []bool      // by service: nothing but a virtual peer
	// load is by how much the logarithms of own times and of waits grew everywhere, for services and for virtual peers (commonShifts).
	load     map[bool]shifts
	normal   *window
	incident *window
}

// window is one of them.
type window struct {
	traces     []Trace
	calls      [][]int // by trace and call: the operation
	operations []operationStats
	edges      map[edge]*edgeStats
}

// operationStats are of one operation in a window. A trace counts once, however many calls of the operation it has: its calls are not
// independent of one another.
type operationStats struct {
	traces, calls int64
	own, wait     statistics.Moments // of the logarithm of the mean time in a trace
	slow          int64              // traces with a call whose own time is abnormal, and with one whose wait is
	slowWait      int64
	origins       int64 // traces with a call in which a failure began
	originCalls   int64
}

// waits says whether callers are known to wait for the operation: a client span tells how long.
func (s *operationStats) waits() bool { return s.wait.Mean > logTime(0) }

// edge is who calls whom, as services; from is -1 where nobody does.
type edge struct{ from, to int }

type edgeStats struct {
	traces, calls        int64
	slowWait, origins    int64 // traces
	slowCalls, failCalls int64
}

func newBoth(normal, incident []Trace) *both {
	normal, incident = normal[:min(len(normal), MaxTraces)], incident[:min(len(incident), MaxTraces)]
	b := &both{normal: &window{traces: normal}, incident: &window{traces: incident}}
	b.number()
	for _, w := range []*window{b.normal, b.incident} {
		w.edges = make(map[edge]*edgeStats)
		w.operations = make([]operationStats, len(b.operations))
		b.times(w)
	}
	b.load = b.commonShifts()
	for _, w := range []*window{b.normal, b.incident} {
		b.count(w)
	}
	return b
}

// number gives numbers to the names, in their order, so that nothing depends on that of a map or of the traces.
func (b *both) number() {
	numbers := make(map[Operation]int)
	sends := make(map[string]bool)
	for _, w := range []*window{b.normal, b.incident} {
		for i := range w.traces {
			for k := range w.traces[i].Calls {
				c := &w.traces[i].Calls[k]
				numbers[c.Callee] = 0
				sends[c.Callee.Service] = sends[c.Callee.Service] || !c.Virtual
			}
		}
	}
	for o := range numbers {
		b.operations = append(b.operations, o)
	}
	slices.SortFunc(b.operations, func(x, y Operation) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Operation, y.Operation))
	})
	for i, o := range b.operations {
		numbers[o] = i
		if i == 0 || o.Service != b.operations[i-1].Service {
			b.services = append(b.services, o.Service)
			b.virtual = append(b.virtual, !sends[o.Service])
		}
		b.service = append(b.service, len(b.services)-1)
	}
	for _, w := range []*window{b.normal, b.incident} {
		w.calls = make([][]int, len(w.traces))
		for i := range w.traces {
			w.calls[i] = make([]int, len(w.traces[i].Calls))
			for k := range w.calls[i] {
				w.calls[i][k] = numbers[w.traces[i].Calls[k].Callee]
			}
		}
	}
}

// logTime puts times on the scale on which those of services spread evenly; what takes less than a microsecond is as good as nothing.
func logTime(ns float64) float64 { return math.Log(max(ns, 1000)) }

// seen says whether the times of a call are those of its callee: of a service that sends spans, and none for this call, they are the caller's, who knows
// nothing of work and wait. Whether such a call failed is known.
func (b *both) seen(c *Call, o int) bool { return !c.Virtual || b.virtual[b.service[o]] }

// times adds up how long operations took.
func (b *both) times(w *window) {
	type sums struct {
		calls, seen int64
		own, wait   float64
	}
	inTrace := make(map[int]*sums)
	for i := range w.traces {
		clear(inTrace)
		for k, o := range w.calls[i] {
			c, s, t := &w.traces[i].Calls[k], &w.operations[o], inTrace[o]
			if t == nil {
				t = new(sums)
				inTrace[o] = t
			}
			t.calls++
			s.calls++
			if b.seen(c, o) {
				t.seen++
				t.own += float64(c.Own)
				t.wait += float64(c.Wait)
			}
		}
		for o, t := range inTrace { // into one of each: the order does not matter
			s := &w.operations[o]
			s.traces++
			if t.seen > 0 {
				s.own.Add(logTime(t.own / float64(t.seen)))
				s.wait.Add(logTime(t.wait / float64(t.seen)))
			}
		}
	}
}

// sigmas is from how many standard deviations above the mean of the normal window on a time is abnormal.
const sigmas = 3

// limits are the times of an operation above which a call in the window is abnormal.
func (b *both) limits(w *window, o int) (own, wait float64) {
	s := &b.normal.operations[o]
	if s.own.N < minTraces {
		return math.Inf(1), math.Inf(1)
	}
	own, wait = s.own.Mean+sigmas*s.own.Deviation(), s.wait.Mean+sigmas*s.wait.Deviation()
	if w == b.incident {
		load := b.load[b.virtual[b.service[o]]]
		own, wait = own+load.own, wait+load.wait
	}
	return own, wait
}

// count counts abnormal calls, and traces with such.
func (b *both) count(w *window) {
	type seen struct{ slow, wait, failed bool }
	ofOperation, ofEdge := make(map[int]seen), make(map[edge]seen)
	for i := range w.traces {
		clear(ofOperation)
		clear(ofEdge)
		for k, o := range w.calls[i] {
			c := &w.traces[i].Calls[k]
			own, wait := b.limits(w, o)
			times := b.seen(c, o)
			now := seen{times && logTime(float64(c.Own)) > own, times && logTime(float64(c.Wait)) > wait, c.Origin}
			e := edge{-1, b.service[o]}
			if c.Caller >= 0 {
				e.from = b.service[w.calls[i][c.Caller]]
			}
			stats := w.edges[e]
			if stats == nil {
				stats = new(edgeStats)
				w.edges[e] = stats
			}
			stats.calls++
			if now.wait {
				stats.slowCalls++
			}
			if now.failed {
				stats.failCalls++
				w.operations[o].originCalls++
			}
			before := ofOperation[o]
			ofOperation[o] = seen{before.slow || now.slow, before.wait || now.wait, before.failed || now.failed}
			before = ofEdge[e]
			ofEdge[e] = seen{false, before.wait || now.wait, before.failed || now.failed}
		}
		for o, is := range ofOperation {
			s := &w.operations[o]
			s.slow += one(is.slow)
			s.slowWait += one(is.wait)
			s.origins += one(is.failed)
		}
		for e, is := range ofEdge {
			s := w.edges[e]
			s.traces++
			s.slowWait += one(is.wait)
			s.origins += one(is.failed)
		}
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
