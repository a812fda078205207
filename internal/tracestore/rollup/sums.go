package rollup

import (
	"math"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Sums are the tables of one tenant, over a minute or a part of it. They are not safe for concurrent use.
type Sums struct {
	strings dictionary
	tables  [others]table
	// values counts the values of Contrasts that are told apart, by their key without the value.
	values    map[key]int
	maxValues int
}

// NewSums makes empty sums with a limit of series for each table.
func NewSums(limit int) *Sums {
	s := &Sums{maxValues: tracestore.MaxContrastValues}
	for t := range s.tables {
		s.tables[t].limit = limit
	}
	return s
}

// reset empties the sums, which keep their memory.
func (s *Sums) reset() {
	s.strings.reset()
	clear(s.values)
	for t := range s.tables {
		s.tables[t].reset()
	}
}

// Tables are those that hold something.
func (s *Sums) Tables() (set Tables) {
	for t := Operations; t < others; t++ {
		if len(s.tables[t].keys) > 0 || s.tables[t].other != nil {
			set |= Of(t)
		}
	}
	return set
}

// at is the row of a series. It is valid until the next call.
func (s *Sums) at(t Table, k *key) *row {
	if t == Contrasts {
		return s.contrast(k)
	}
	return s.tables[t].at(k)
}

// MinuteOf counts the minutes since 1970-01-01 UTC.
func MinuteOf(unixNano int64) uint32 {
	return uint32(max(0, unixNano) / int64(time.Minute))
}

// Window is the minutes that the query's [Start, End) touches, first to last, both inclusive; ok is false where there is none.
func Window(query *tracestore.AggregateQuery) (first, last uint32, ok bool) {
	if !query.Start.Before(query.End) {
		return 0, 0, false
	}
	end := query.End.Add(-1)
	if end.Unix() < 0 {
		return 0, 0, false
	}
	return minute(query.Start), minute(end), true
}

func minute(t time.Time) uint32 {
	return uint32(min(max(0, t.Unix())/60, math.MaxUint32))
}
