package traceassemblyprocessor

import (
	"time"

	"github.com/tracewright/tracewright/internal/otlpwire"
)

// learnedOperation is what traffic has taught about the spans of one operation.
type learnedOperation struct {
	operation
	ok     expectation // of a child in another service, for CLIENT spans
	failed expectation // the same, for those with an error
	parent expectation // kept from the first parent on that never came
}

// child is the expectation of a child.
func (o *learnedOperation) child(failed bool) *expectation {
	if failed {
		return &o.failed
	}
	return &o.ok
}

// waits is how long it pays to wait for a child. Calls that fail may fail before they reach anybody, so they are told apart; as long as
// little is known of them, they have no child where those that succeed have none.
func (o *learnedOperation) waits(failed bool) time.Duration {
	if failed && (!o.failed.young() || o.ok.waits() > 0) {
		return o.failed.waits()
	}
	return o.ok.waits()
}

func (o *learnedOperation) weight() float32 { return o.ok.total + o.failed.total + o.parent.total }

// learnedOperations is a shard's table of them, bounded: the least used ones go first. Symbols point into it.
type learnedOperations struct {
	byName  map[operation]*learnedOperation
	limit   int
	symbols *symbols[operation]
	longest time.Duration // a wait that is not longer than this could have been made

	// Of all clients whose child came after them: how long that took. It says how long to wait for the children of a client of
	// which nothing is known yet.
	all      expectation
	allSince time.Duration
}

const (
	maxLearnedOperations = 4096
	// childrenYoung is the number of children below which the time that all took says nothing.
	childrenYoung = 64
	// evictionSample is how many are looked at to find one that is used little.
	evictionSample = 8
)

func newLearnedOperations(limit int, longest time.Duration, symbols *symbols[operation]) *learnedOperations {
	l := &learnedOperations{byName: make(map[operation]*learnedOperation), limit: limit, symbols: symbols, longest: longest}
	symbols.learned = l.byName
	return l
}

// of is what was learned of a symbol's operation, nil for nothing.
func (l *learnedOperations) of(symbol uint32) *learnedOperation {
	return l.symbols.table[symbol].learned
}

// make is of, with a place to learn where there is none.
func (l *learnedOperations) make(symbol uint32) *learnedOperation {
	if o := l.of(symbol); o != nil {
		return o
	}
	o := l.put(l.symbols.at(symbol))
	l.symbols.table[symbol].learned = o
	return o
}

func (l *learnedOperations) put(op operation) *learnedOperation {
	if len(l.byName) >= l.limit {
		l.evict()
	}
	o := &learnedOperation{operation: op}
	l.byName[op] = o
	if symbol, ok := l.symbols.index[op]; ok {
		l.symbols.table[symbol].learned = o
	}
	return o
}

// childCame learns that the child of a client came, so long after it.
func (l *learnedOperations) childCame(e *expectation, after, now time.Duration) {
	e.arrived(after)
	if l.all.total == 0 {
		l.allSince = now
	}
	l.all.arrived(after)
}

// waits is how long it pays to wait for the child of a client, from its arrival on.
func (l *learnedOperations) waits(c *contents, h *heldSpan, now time.Duration) time.Duration {
	wait := l.client(c, h).waits(h.failed)
	if wait == unknown {
		wait = l.usual(now)
	}
	return wait
}

// usual is the time within which nearly all children come, with a margin; unknown until they have been watched for some times as long.
func (l *learnedOperations) usual(now time.Duration) time.Duration {
	if l.all.total < childrenYoung {
		return unknown
	}
	later := float32(0)
	for i := expectationBuckets - 1; i >= 0; i-- {
		if later += l.all.came[i]; later > residualTotal*l.all.total {
			if i+1 >= len(expectationEdges) || now-l.allSince < quietWatch*expectationEdges[i] {
				return unknown
			}
			return expectationEdges[i+1]
		}
	}
	return unknown
}

// evict forgets the least used of a few.
func (l *learnedOperations) evict() {
	var least *learnedOperation
	n := 0
	for _, o := range l.byName { // begins anywhere
		if least == nil || o.weight() < least.weight() {
			least = o
		}
		if n++; n == evictionSample {
			break
		}
	}
	delete(l.byName, least.operation)
	if symbol, ok := l.symbols.index[least.operation]; ok {
		l.symbols.table[symbol].learned = nil
	}
}

// client is what was learned of a CLIENT span's operation. The first time it asks the span whether it calls a database: those have no
// children until one comes.
func (l *learnedOperations) client(c *contents, h *heldSpan) *learnedOperation {
	if o := l.of(h.op); o != nil && o.ok.total+o.failed.total > 0 {
		return o
	}
	o := l.make(h.op)
	if namesDatabase(c.raw(h)) {
		o.assumeChildless()
	}
	return o
}

func (o *learnedOperation) assumeChildless() {
	o.ok.never, o.ok.total = expectationYoung, expectationYoung
	o.ok.settle()
}

func namesDatabase(raw string) (named bool) {
	otlpwire.Attributes(raw, func(key string, v otlpwire.Value) {
		named = named || v.Text != "" && (key == "db.system.name" || key == "db.system")
	})
	return named
}
