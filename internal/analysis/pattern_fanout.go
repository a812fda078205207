package analysis

import (
	"fmt"
	"slices"
)

// What makes calls a fan-out, and how sure it is that it hurts.
const (
	fanOutCalls     = 20  // at the same time, the fewest
	fanOutStraggler = 3   // the longest call takes at least this often the median:
	fanOutHurts     = 0.9 // the request waits for one of many
	fanOutWide      = 0.6 // else: there are many, which costs elsewhere
)

// fanOut finds spans with many calls at the same time: the request waits for the slowest, and the more there are, the slower that is.
//
//	search  |--------------------|
//	 shard   |---|
//	 shard   |----|
//	 shard   |------------------|   … 20 and more
func (f *finder) fanOut(parent int, siblings []int) {
	if len(siblings) < fanOutCalls {
		return
	}
	ends := make([]int64, 0, len(siblings))
	for _, i := range siblings {
		ends = append(ends, f.tree.Nodes[i].End)
	}
	slices.Sort(ends)
	most, at, ended := 0, int64(0), 0
	for begun, i := range siblings { // in start order
		start := f.tree.Nodes[i].Start
		for ended < len(ends) && ends[ended] <= start {
			ended++
		}
		// A call without duration has ended when it starts.
		if running := begun + 1 - ended; running > most {
			most, at = running, start
		}
	}
	if most < fanOutCalls {
		return
	}
	var calls []int
	var durations []int64
	waited := int64(0)
	for _, i := range siblings {
		if n := &f.tree.Nodes[i]; n.Start <= at && at < n.End {
			calls, durations = append(calls, i), append(durations, n.Duration())
			waited += f.waited[i]
		}
	}
	slices.Sort(durations)
	median, longest := durations[len(durations)/2], durations[len(durations)-1]
	confidence := fanOutWide
	if longest/fanOutStraggler >= median {
		confidence = fanOutHurts
	}
	f.add(FindingFanOut, parent, calls, waited, confidence, func() string {
		return fmt.Sprintf("%s makes %d calls at the same time and waits for the slowest, %s where half take no more than %s. "+
			"The request waited %s for them.", f.name(parent), len(calls), readable(longest), readable(median), f.share(waited))
	})
}
