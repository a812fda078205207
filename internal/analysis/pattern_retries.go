package analysis

import (
	"fmt"
	"slices"

	"github.com/tracewright/tracewright/internal/conventions"
)

// How sure it is that a call was repeated because the one before it failed.
const (
	retriesSaid   = 0.95 // the client says so
	retriesLikely = 0.8  // the last try succeeded, and the caller makes no other such calls
	retriesMaybe  = 0.5  // else: it may be a loop, some of whose calls fail
)

// retries finds calls that failed and were made again: each begins after the one before it has failed. The time from the first
// try to the last is lost, with the pauses.
//
//	checkout  |-------------------------------|
//	 reserve    |-- failed   |-- failed   |---|
func (f *finder) retries(parent int, alike []int) {
	for from := 0; from < len(alike); {
		to := from + 1
		said := false
		for to < len(alike) && f.again(alike[to-1], alike[to]) {
			said = said || conventions.Int(f.tree.Nodes[alike[to]].Attributes(), "http.request.resend_count") > 0
			to++
		}
		if tries := alike[from:to]; len(tries) > 1 {
			f.addRetries(parent, tries, said, len(tries) == len(alike))
		}
		from = to
	}
}

// again says whether a call repeats the one before it.
func (f *finder) again(before, call int) bool {
	return f.failed(before) && f.tree.Nodes[call].Start >= f.tree.Nodes[before].End && f.statement[before] == f.statement[call]
}

func (f *finder) addRetries(parent int, tries []int, said, all bool) {
	tries = slices.Clone(tries)
	f.take(tries)
	last := tries[len(tries)-1]
	lost := int64(0)
	for at, i := range tries[:len(tries)-1] {
		f.pauses[pauseEnd{parent, f.tree.Nodes[tries[at+1]].Start}] = struct{}{}
		lost += f.waited[i] + f.own.between(parent, f.tree.Nodes[i].End, f.tree.Nodes[tries[at+1]].Start)
	}
	failures, outcome := len(tries), "and it never worked"
	confidence := retriesMaybe
	if !f.failed(last) {
		failures, outcome = failures-1, "before it worked"
		if all {
			confidence = retriesLikely
		}
	}
	if said {
		confidence = retriesSaid
	}
	f.add(FindingRetries, parent, tries, lost, confidence, func() string {
		return fmt.Sprintf("%s tried %s %d times: %s, %s. Failed tries and the pauses after them took %s.",
			f.name(parent), f.calleeName(last), len(tries), plural(failures, "try failed", "tries failed"), outcome, f.share(lost))
	})
}
