package traceassemblyprocessor

import "time"

// expectation learns whether something that is not there when it could be still comes, and how long that takes: the child of a
// CLIENT span in another service, or the parent of a span. It forgets: what was observed counts for half after expectationMemory/2
// further observations.
//
// It answers with the time for which waiting pays: as long as, of those that have waited so long, more than residualShare still got
// what they waited for. So what always has a child waits for it, what never has one does not wait, and in between (caches, retries,
// sampling) the wait ends when those that have a child have got it.
type expectation struct {
	came  [expectationBuckets]float32 // by how long it took
	never float32
	total float32 // of came and never
	fresh uint8   // observations since wait was computed
	wait  time.Duration
}

const (
	expectationBuckets = 14
	// expectationYoung is the number of observations below which an expectation says nothing.
	expectationYoung = 8
	// expectationMemory is the number of observations at which all count for half.
	expectationMemory = 256
	// residualShare is the share of those still waiting that must get what they wait for, or waiting ends.
	residualShare = 0.01
	// residualTotal is the same as a share of all.
	residualTotal = 0.002
	// lateShare of all that was observed is the weight of one that came too late: it alone makes the next ones wait.
	lateShare = 0.012

	// forever stands for a wait without a bound of its own: the quiet period ends it.
	forever = time.Duration(1<<63 - 1)
	// unknown stands for a wait of which too little is known.
	unknown = forever - 1
)

// expectationEdges are the upper bounds of the buckets but for the last one. Those up to 13s grow by half each.
var expectationEdges = func() (edges [expectationBuckets - 1]time.Duration) {
	edge := 100 * time.Millisecond
	for i := range edges {
		edges[i] = edge
		edge += edge / 2
	}
	return edges
}()

func expectationBucket(d time.Duration) int {
	for i, edge := range expectationEdges {
		if d <= edge {
			return i
		}
	}
	return expectationBuckets - 1
}

func (e *expectation) young() bool { return e.total < expectationYoung }

// arrived says that it came, so long after it was missed first.
func (e *expectation) arrived(after time.Duration) {
	e.came[expectationBucket(after)]++
	e.observed(1)
}

// missed says that it did not come.
func (e *expectation) missed() {
	e.never++
	e.observed(1)
}

// late takes a miss back: it came after all, after the release. The true time is not known but at least after. One that no wait could
// have caught is not learned from.
func (e *expectation) late(after, longest time.Duration) {
	taken := min(e.never, 1)
	e.never -= taken
	e.total -= taken
	if after <= longest {
		weight := max(1, lateShare*e.total)
		e.came[min(expectationBucket(after)+1, expectationBuckets-1)] += weight
		e.total += weight
	}
	e.forget()
	e.settle()
}

func (e *expectation) observed(n float32) {
	e.total += n
	e.forget()
	if e.fresh++; e.fresh >= 16 || e.total < 64 {
		e.settle()
	}
}

// forget halves all that was observed where it is too much.
func (e *expectation) forget() {
	if e.total < expectationMemory {
		return
	}
	e.total = 0
	for i := range e.came {
		e.came[i] /= 2
		e.total += e.came[i]
	}
	e.never /= 2
	e.total += e.never
}

// settle computes wait: 0, the edge of a bucket, or forever.
func (e *expectation) settle() {
	e.fresh = 0
	if e.never < residualShare/2*e.total {
		e.wait = forever
		return
	}
	e.wait = 0
	later := float32(0)
	for i := expectationBuckets - 1; i >= 0; i-- {
		later += e.came[i]
		if later > residualShare*(e.never+later) && later > residualTotal*e.total {
			if e.wait = forever; i < len(expectationEdges) {
				e.wait = expectationEdges[i]
			}
			return
		}
	}
}

// waits is the time for which waiting pays, from when it was missed first.
func (e *expectation) waits() time.Duration {
	if e.young() {
		return unknown
	}
	return e.wait
}
