package query

import (
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// maxSteps is in how many parts a window is cut at most, for its course and for capacities, which want 15.
const maxSteps = 30

// steps cuts a window into parts of the same number of whole minutes, of which the last may be shorter.
func steps(window *tracestore.AggregateQuery) []tracestore.AggregateQuery {
	start, end := window.Minutes()
	minutes := int64(end.Sub(start) / time.Minute)
	length := time.Duration((minutes+maxSteps-1)/maxSteps) * time.Minute
	var parts []tracestore.AggregateQuery
	for at := start; at.Before(end) && len(parts) < maxSteps; at = at.Add(length) {
		part := *window
		part.Start, part.End = at, at.Add(length)
		if part.End.After(end) || part.End.Before(at) {
			part.End = end
		}
		parts = append(parts, part)
	}
	return parts
}

// previous is the window of the same whole minutes before. A window whose like would lie before what times hold has one without time.
func previous(window tracestore.AggregateQuery) tracestore.AggregateQuery {
	length := wholeMinutes(&window)
	before := window
	before.End = window.Start.Truncate(time.Minute)
	before.Start = before.End.Add(-length)
	if earliest := time.Unix(0, 0); before.Start.Before(earliest) {
		before.Start = earliest
		before.End = earliest.Add(max(0, before.End.Sub(earliest)))
	}
	return before
}

// wholeMinutes is the length of the minutes that the window touches.
func wholeMinutes(window *tracestore.AggregateQuery) time.Duration {
	start, end := window.Minutes()
	return end.Sub(start)
}

// elapsed is for how long a window could have seen calls: its minutes as far as they are over.
func elapsed(window *tracestore.AggregateQuery, now time.Time) time.Duration {
	start, end := window.Minutes()
	if now.Before(end) {
		end = now
	}
	return max(0, end.Sub(start))
}
