package tracestore

import (
	"math"
	"time"
)

// searchAhead is how far behind its release a trace may start, as far as searches are concerned: clocks differ.
const searchAhead = time.Hour

// SearchTime is the time under which searches find a trace, Unix nanoseconds: its start, clamped to [release − retention,
// release + 1 h], because a sender's clock may say anything. The release is the trace's first one. A retention of 0, for
// ever, clamps to [0, release + 1 h]. A time that an int64 does not hold is the nearest that it does.
func SearchTime(start, releasedAt int64, retention time.Duration) int64 {
	earliest, latest := int64(0), int64(math.MaxInt64)
	if retention > 0 && releasedAt > int64(retention) {
		earliest = releasedAt - int64(retention)
	}
	if releasedAt < latest-int64(searchAhead) {
		latest = releasedAt + int64(searchAhead)
	}
	return min(max(start, earliest), latest)
}
