package analysis

import (
	"fmt"
	"slices"
)

// What makes calls N+1 calls.
const (
	nPlusOneCalls = 10  // the fewest
	nPlusOneApart = 0.8 // the share of them that begins after all before it have ended
	nPlusOneAlike = 0.5 // the share of them whose duration is near the median
	nPlusOneNear  = 4   // near: not longer than the median by this factor, nor shorter
)

// nPlusOne finds calls for the same thing, one after the other, where one call could ask for all.
//
//	list   |------------------------|
//	 get     |-| |-| |-| |-| … |-|
func (f *finder) nPlusOne(parent int, alike []int) {
	calls := f.notTaken(alike)
	if len(calls) < nPlusOneCalls {
		return
	}
	durations := make([]int64, 0, len(calls))
	apart, end := 0, int64(0)
	for _, i := range calls {
		n := &f.tree.Nodes[i]
		if n.Start >= end {
			apart++
		}
		end = max(end, n.End)
		durations = append(durations, n.Duration())
	}
	slices.Sort(durations)
	median, near := durations[len(durations)/2], 0
	for _, d := range durations {
		if d >= median/nPlusOneNear && d/nPlusOneNear <= median {
			near++
		}
	}
	apartShare, nearShare := float64(apart)/float64(len(calls)), float64(near)/float64(len(calls))
	if apartShare < nPlusOneApart || nearShare < nPlusOneAlike {
		return
	}
	f.take(calls)
	first, saved := calls[0], f.savedBeyondLargest(calls)
	f.add(FindingNPlusOne, parent, calls, saved, apartShare*nearShare, func() string {
		return fmt.Sprintf("%s calls %s %d times, one after the other. One call for all of them would save up to %s.",
			f.name(parent), f.calleeName(first), len(calls), f.share(saved))
	})
}

// notTaken are the calls that no finding explains yet.
func (f *finder) notTaken(calls []int) []int {
	left := make([]int, 0, len(calls))
	for _, i := range calls {
		if !f.taken[i] {
			left = append(left, i)
		}
	}
	return left
}

func (f *finder) take(calls []int) {
	for _, i := range calls {
		f.taken[i] = true
	}
}
