package clickhousestore

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// A search by recency reads the newest releases of its window, and further back as it needs to. What it has read, a slice, is known to hold all
// matches from a moment on (final): no trace starts long behind its release, and trace_quarters knows how long at most.

// quarter is a quarter of an hour in which traces of the window were released.
type quarter struct {
	at time.Time
	// ahead is how long behind its release a trace of the quarter started at most, nanoseconds; 0 where none did.
	ahead int64
	// last is when the last of its traces started that its clock says right: about when its last release was.
	last  time.Time
	spans uint64
}

const (
	firstSlice = 25_000 // spans
	// widening is how much larger a slice is than the one before it, at least, and where that held no match.
	widening, blindWidening = 4, 64
	// overlap is how far before a slice rows are read: two gateways with a piece each of one trace do not release it at once.
	overlap = time.Hour
)

// slice is what is read of the window.
type slice struct {
	quarters []quarter // the newest first
	// from is the first release of which spans are read, and until the one behind the last; the zero time where all are.
	from, until time.Time
	// spans is how many are read, about.
	spans uint64
	// final is the search time from which on nothing is missing, Unix nanoseconds.
	final int64
}

// whole says whether the slice is all of the window.
func (s *slice) whole() bool { return s.from.IsZero() }

// findQuarters lists the quarters of an hour in which releases were made that start in the window, or not far from it, the newest first.
// Behind a cursor nothing is wanted of later ones.
func (r *search) findQuarters(behind *tracestore.Position) ([]quarter, error) {
	if !r.query.Start.Before(r.query.End) {
		return nil, nil
	}
	values := parameters{}
	low, high := r.window(apart)
	first := min(max(0, low/1e9-900), 1<<32-1)
	if r.listed.Unix() <= first {
		r.listed = time.Time{}
	} else {
		first = r.listed.Unix()
	}
	if behind != nil && r.query.Order == tracestore.OrderRecency {
		high = min(high, behind.Time+min(apart, math.MaxInt64-behind.Time))
	}
	rows, err := r.store.query(r.ctx, "SELECT Quarter, Apart, Earliest, Latest, Ahead, Spans FROM "+r.store.table("trace_quarters")+
		" WHERE Tenant = "+values.text(r.tenant)+" AND Quarter >= toDateTime("+
		values.bind("UInt32", strconv.FormatInt(first, 10))+", 'UTC')"+oneThread, values)
	if err != nil {
		return nil, fmt.Errorf("find quarters: %w", err)
	}
	defer rows.Close()
	// Rows of a quarter that are not merged yet are put together here: the server would plan that for longer than it ran it.
	type times struct{ earliest, latest int64 }
	starts := make(map[time.Time]map[uint8]times)
	byTime := make(map[time.Time]*quarter)
	for rows.Next() {
		var (
			q     quarter
			apart uint8
			of    times
		)
		if err := rows.Scan(&q.at, &apart, &of.earliest, &of.latest, &q.ahead, &q.spans); err != nil {
			return nil, fmt.Errorf("find quarters: %w", err)
		}
		sum := byTime[q.at]
		if sum == nil {
			sum = &quarter{at: q.at, last: q.at}
			byTime[q.at], starts[q.at] = sum, make(map[uint8]times)
		}
		sum.ahead, sum.spans = max(sum.ahead, q.ahead), sum.spans+q.spans
		if last := time.Unix(0, of.latest); apart == 0 && last.After(sum.last) {
			sum.last = last
		}
		if known, ok := starts[q.at][apart]; ok {
			of = times{min(of.earliest, known.earliest), max(of.latest, known.latest)}
		}
		starts[q.at][apart] = of
	}
	var quarters []quarter
	for at, q := range byTime {
		// A start that is far from its release counts as one that is less so, see tracestore.SearchTime.
		earliest, latest := at.Add(time.Hour).UnixNano(), int64(math.MinInt64)
		if retention := r.store.options.Retention; retention > 0 {
			latest = at.Add(15*time.Minute - retention).UnixNano()
		}
		for _, of := range starts[at] {
			if max(of.latest, latest) >= low && min(of.earliest, earliest) <= high {
				quarters = append(quarters, *q)
				break
			}
		}
	}
	slices.SortFunc(quarters, func(a, b quarter) int { return b.at.Compare(a.at) })
	return quarters, rows.Err()
}

// sliceOf is the newest part of the window with some number of spans; all of it where no order by recency lets a search end early.
func (r *search) sliceOf(spans uint64) slice {
	all := slice{quarters: r.quarters, final: math.MinInt64}
	if r.query.Order != tracestore.OrderRecency {
		spans = math.MaxUint64
	}
	for i := range r.quarters {
		q := &r.quarters[i]
		if all.spans+q.spans < spans {
			all.spans += q.spans
			continue
		}
		// The quarter that runs is as long as it has lasted.
		length := min(15*time.Minute, max(time.Since(q.at), time.Second))
		part := time.Duration(float64(length) * float64(spans-all.spans) / float64(max(q.spans, 1)))
		s := r.sliceFrom(q.at.Add(length - part))
		s.spans = spans
		return s
	}
	return all
}

// sliceFrom is the part of the window that was released from a moment on.
func (r *search) sliceFrom(from time.Time) slice {
	s := slice{from: from, final: from.UnixNano()}
	ahead := int64(0)
	for i := range r.quarters {
		q := &r.quarters[i]
		if !q.at.Before(from.Add(-overlap - 15*time.Minute)) {
			s.quarters = r.quarters[:i+1]
		}
		if q.at.Before(from) {
			ahead = max(ahead, q.ahead)
		}
	}
	s.final += ahead
	return s
}

// widen goes on to a larger slice, after some matches were found, or to the first one.
func (r *search) widen(matches int) error {
	switch {
	case r.reaching.spans > 0:
		return r.reach(matches)
	case r.slice.spans == 0:
		r.forget()
		r.begin(r.sliceOf(r.store.options.firstSlice))
		return nil
	}
	factor := uint64(blindWidening)
	if matches > 0 {
		factor = max(widening, uint64(2*r.query.Limit/matches))
	}
	r.forget()
	r.begin(r.sliceOf(r.slice.spans * factor))
	return nil
}

func timesOf(quarters []quarter) []time.Time {
	list := make([]time.Time, len(quarters))
	for i := range quarters {
		list[i] = quarters[i].at
	}
	return list
}

// releasedIn is the condition that a row of otel_traces stands in the slice.
func (s *slice) releasedIn(values parameters) string {
	first, last := s.quarters[len(s.quarters)-1].at, s.quarters[0].at
	end := last.Add(15 * time.Minute)
	if !s.until.IsZero() && s.until.Before(end) {
		end = s.until
	}
	text := "ReleasedAt < " + values.moment(end.UnixNano()) + " AND ReleasedAt >= "
	if first.Before(s.from) {
		first = s.from
	}
	text += values.moment(first.UnixNano())
	if !s.gapless() {
		text += " AND toStartOfFifteenMinutes(ReleasedAt) IN " + values.seconds(timesOf(s.quarters))
	}
	return text
}

// quartersIn is the condition that a row of traces stands in the slice, or shortly before it.
func (s *slice) quartersIn(values parameters) string {
	if !s.gapless() {
		return "Quarter IN " + values.seconds(timesOf(s.quarters))
	}
	first, last := s.quarters[len(s.quarters)-1].at, s.quarters[0].at
	bound := func(at time.Time) string {
		return "toDateTime(" + values.bind("UInt32", strconv.FormatInt(at.Unix(), 10)) + ", 'UTC')"
	}
	return "Quarter BETWEEN " + bound(first) + " AND " + bound(last)
}

func (s *slice) gapless() bool {
	first, last := s.quarters[len(s.quarters)-1].at, s.quarters[0].at
	return last.Sub(first) == time.Duration(len(s.quarters)-1)*15*time.Minute
}
