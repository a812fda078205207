package tracestore

import "time"

// searchAhead is how far behind its release a trace may start, as far as searches are concerned: clocks differ.
const searchAhead = time.Hour

// SearchTime is the time under which searches find a trace, Unix nanoseconds: its start, clamped to [release − retention,
// release + 1 h], because a sender's clock may say anything. The release is the trace's first one. A retention of 0, for
// ever, clamps to [0, release + 1 h].
func SearchTime(start, releasedAt int64, retention time.Duration) int64 {
	earliest := int64(0)
	if retention > 0 {
		earliest = max(0, releasedAt-int64(retention))
	}
	return min(max(start, earliest), releasedAt+int64(searchAhead))
}
