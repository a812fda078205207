package analysis

import (
	"fmt"
	"slices"
	"time"
)

// What makes serial calls worth a word (every service makes some, and most have to be), and how sure it is that they do not need one another's answers, which no span says.
const (
	serialShare     = 0.25                         // of the request, saved if they ran side by side
	serialTime      = int64(10 * time.Millisecond) // saved, the least
	serialDifferent = 0.3                          // confidence for calls for different things
	serialSame      = 0.6                          // and where all ask for the same, as a loop does
)

// serialCalls finds calls below one span that ran one after the other, and for which the request waited:
//
//	page   |-----------------|
//	 user    |---|                of 4 + 6 + 3 the request would wait for 6, if they ran side by side
//	 cart         |-----|
//	 ads                 |--|
//
// Calls of one span that are on the critical path never overlap, so they are those that the request waited for in turn. A call that
// failed, or that another pattern explains, ends the sequence: what comes after it may have come because of it.
func (f *finder) serialCalls(parent int, siblings []int) {
	var calls []int
	for _, i := range siblings {
		switch {
		case f.taken[i] || f.failed(i):
			f.addSerial(parent, calls)
			calls = calls[:0]
		case f.waited[i] > 0:
			calls = append(calls, i)
		}
	}
	f.addSerial(parent, calls)
}

func (f *finder) addSerial(parent int, calls []int) {
	saved := f.savedBeyondLargest(calls) // 0 for a single call
	if saved < serialTime || float64(saved) < serialShare*float64(f.result.RootDuration) {
		return
	}
	calls = slices.Clone(calls)
	confidence := serialSame
	for _, i := range calls {
		if f.callee[i] != f.callee[calls[0]] {
			confidence = serialDifferent
		}
	}
	f.add(FindingSerialCalls, parent, calls, saved, confidence, func() string {
		return fmt.Sprintf("%s makes %d calls one after the other, from %s to %s. If none needs another's answer, "+
			"side by side they would save %s.",
			f.name(parent), len(calls), f.calleeName(calls[0]), f.calleeName(calls[len(calls)-1]), f.share(saved))
	})
}
