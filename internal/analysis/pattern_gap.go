package analysis

import (
	"fmt"
	"time"
)

// What makes a gap worth a word.
const (
	gapShare      = 0.3                          // of the request, the least
	gapTime       = int64(10 * time.Millisecond) // the least
	gapConfidence = 0.5                          // the span may well be at work itself
)

// pauseEnd is where a span has paused before it tried a call again.
type pauseEnd struct {
	span int
	at   int64
}

// gaps finds the longest stretch of each span in which it holds the critical path itself although it has children that tell of its work
// otherwise: what it does then, no span shows.
//
//	order  |------------------------|
//	 read    |--|  (no span)  |--|
//
// A client span whose server answers has only the network between, and a pause before a call is tried again is explained.
func (f *finder) gaps() {
	for _, i := range f.order {
		if f.answer[i] >= 0 && f.answer[i] != i || len(f.tree.Children(i)) == 0 {
			continue
		}
		var longest Segment
		for _, s := range f.own.of(i) {
			if _, paused := f.pauses[pauseEnd{i, s.End}]; !paused && s.End-s.Start > longest.End-longest.Start {
				longest = s
			}
		}
		gap := longest.End - longest.Start
		if gap < gapTime || float64(gap) < gapShare*float64(f.result.RootDuration) {
			continue
		}
		f.add(FindingGap, i, []int{i}, gap, gapConfidence, func() string {
			return fmt.Sprintf("%s holds up the request for %s, from %s to %s after the trace's start, and no span shows at what.",
				f.name(i), f.share(gap), readable(longest.Start-f.result.Start), readable(longest.End-f.result.Start))
		})
	}
}
