package tracestore

import (
	"bytes"
	"cmp"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Order is the order of a search's rows.
type Order string

const (
	// OrderRecency has the newest search time first; of equals the larger trace id.
	OrderRecency Order = ""
	// OrderDuration has the longest trace first (Summary.Duration), of equals by recency.
	OrderDuration Order = "duration"
	// OrderErrors has the trace with the most failed spans first (Summary.ErrorCount), of equals by recency.
	OrderErrors Order = "errors"
)

// Valid says whether the order is a known one.
func (o Order) Valid() bool { return o == OrderRecency || o == OrderDuration || o == OrderErrors }

// Position is a place in the order of a search.
type Position struct {
	// Value is what the order ranks by, the largest first: nanoseconds of duration, or failed spans. 0 by recency.
	Value int64
	// Time is the trace's search time (SearchTime), Unix nanoseconds.
	Time    int64
	TraceID pcommon.TraceID
	// Found is how many traces the pages up to here have answered. It is no part of the place.
	Found int
}

// Position is the place of a row in the order.
func (o Order) Position(row *Summary, searchTime int64) Position {
	p := Position{Time: searchTime, TraceID: row.TraceID}
	switch o {
	case OrderDuration:
		p.Value = row.Duration
	case OrderErrors:
		p.Value = int64(row.ErrorCount)
	}
	return p
}

// Compare is negative where p comes before q, 0 where they are the same place.
func (p *Position) Compare(q *Position) int {
	return cmp.Or(
		cmp.Compare(q.Value, p.Value),
		cmp.Compare(q.Time, p.Time),
		bytes.Compare(q.TraceID[:], p.TraceID[:]),
	)
}
