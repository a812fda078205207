package clickhousestore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// A search by recency that asks for spans first finds these, the newest of them (hits): the server reads spans in the order of their releases and
// stops where there are enough, whatever share of the spans they are. Then it reads the parts of their traces' rows, by the traces' ids. Both
// statements are as plain as can be: the server plans what groups and joins for longer than it runs it.

const (
	// moreHits is how many times as many hits are asked for when those that there were are too few.
	moreHits = 8
	// namedHits is how many traces are read by their ids. What finds more of them at once is done by read.
	namedHits = 10_000
	// wideGranules is of how many granules of rows all columns are read; of more, only those of the rows that are answered. A row stands in a granule
	// of its own as long as there are more granules than rows.
	wideGranules = 300
	// granuleSpans is of how many spans a granule of 256 rows is, about.
	granuleSpans = 5_000
	// fewHits say nothing of how far there would be enough.
	fewHits = 3
	// scatteredHits is how many are looked for in no order, behind the newest spans, at least, and scatteredMore how many times as many as are missing.
	scatteredHits, scatteredMore = 200, 4
	// firstReach is how many spans are looked at for hits at first, and moreReach how many times as many, at most, when there were too few. Of a common value
	// the first ones hold hundreds of hits, whose rows are read for a page of 20.
	firstReach, moreReach = 12_000, 640
)

// inOrder ends a statement that reads in the order of the table and may end early: otherwise the server reads 65,000 rows of each part, and more of
// them ahead.
const inOrder = " SETTINGS max_block_size = 8192, read_in_order_use_buffering = 0"

// inNoOrder ends one that reads all that the indexes leave. They are asked before and not on the way, so that threads share what is left.
// onlyAll spares the server to find out of which indexes one alone would do, where all have to.
const (
	inNoOrder = " SETTINGS optimize_read_in_order = 0, use_skip_indexes_on_data_read = 0"
	onlyAll   = ", use_skip_indexes_for_disjunctions = 0"
)

// reaching says how the next slice is found.
type reaching struct {
	hits  int
	spans uint64 // that are looked at for hits; 0 where slices are found otherwise
	// onward says that what was read need not be read again. Of several conditions one may hold on a span that was read, and another one on a
	// span of the same trace behind it.
	onward bool
	// atOnce is how many hits at most are looked for in no order, which is faster where there are few; 0 where it is not tried.
	atOnce int
}

// prepareReach decides whether slices are found so.
func (r *search) prepareReach() {
	r.reaching, r.listed = reaching{}, time.Time{}
	sets := r.compiler(parameters{}, false)
	others := false
	sets.inSet = func(string) string { others = true; return "" }
	sets.all(&r.query.Where)
	hits := r.query.Limit + r.query.Limit/8 + 1
	if r.cursor != nil {
		hits += r.cursor.Found
	}
	if r.query.Order == tracestore.OrderRecency && len(sets.sets) > 0 && hits < namedHits {
		r.reaching = reaching{hits: hits, spans: r.store.options.firstReach, onward: len(sets.sets) == 1 && !others, atOnce: namedHits}
		r.listed = quarterOf(r.newest().Add(-newestQuarters))
	}
}

// newest is the newest start that is asked for, about.
func (r *search) newest() time.Time {
	newest := time.Now()
	if r.query.End.Before(newest) {
		newest = r.query.End
	}
	if r.cursor != nil {
		if behind := time.Unix(0, r.cursor.Time); behind.Before(newest) {
			newest = behind
		}
	}
	return newest
}

// hitList is traces that have a span on which the conditions hold.
type hitList struct {
	ids  []pcommon.TraceID // those whose rows were not read
	read int               // how many there are besides, about
}

func (h *hitList) count() int { return len(h.ids) + h.read }

// reach goes on to the next slice that has enough hits, after some matches were found.
func (r *search) reach(matches int) error {
	var known hitList
	for {
		first := r.slice.quarters == nil
		s, wanted, last := r.nextSlice(matches)
		if r.older(&s) {
			if err := r.allQuarters(); err != nil {
				return err
			}
			s, wanted, last = r.nextSlice(matches)
		}
		var early *ahead
		if first {
			r.remember(&s)
			if early = r.takeAhead(); early != nil {
				s = early.slice
			}
		}
		if !r.reaching.onward {
			r.forget()
			s.until, known = time.Time{}, hitList{}
		}
		r.begin(s)
		r.fresh, r.drained = false, true
		missing := wanted - known.count()
		enough, err := r.look(&known, missing, early, first)
		switch {
		case err != nil || r.reaching.spans == 0:
			return err
		case known.count() >= namedHits:
			return r.withoutReach()
		case enough:
			r.reaching.hits *= moreHits
			return r.readRows(&known)
		}
		if known.count() == 0 {
			r.pass()
		}
		r.reaching.atOnce = min(max(scatteredHits, scatteredMore*missing), namedHits)
		if known.count() < fewHits {
			r.reaching.spans *= moreReach
		} else { // twice as far as there would be enough
			r.reaching.spans *= min(moreReach, 1+2*uint64(r.reaching.hits/known.count()))
		}
		if last || s.whole() || r.filled(matches) {
			return r.readRows(&known)
		}
	}
}

// filled says whether the rows that were read complete the page, and the place behind it, if they match.
func (r *search) filled(matches int) bool {
	place := r.query.Limit - matches
	return place < len(r.places) && r.places[place].Time >= r.slice.final
}

// look looks for the missing hits in the slice. Behind the first one the rows of those that were found, and of those that are, are read by the same
// statement, which takes the server less time than two, unless they may stand in too many places.
func (r *search) look(known *hitList, missing int, early *ahead, first bool) (enough bool, err error) {
	limit := r.reaching.atOnce
	if !first && r.reaching.onward && limit > 0 && r.wide(len(known.ids)+limit) && (r.slice.gapless() || len(r.slice.quarters) <= limit) {
		all, err := r.readHits(known.ids, limit)
		if err == nil {
			more := all - len(known.ids)
			*known = hitList{read: known.read + all}
			return more >= missing, nil
		}
		if !hasCode(err, codeSetTooLarge) {
			return false, err
		}
		limit = 0
	}
	ids, oldest, err := r.findHits(early, missing, limit)
	if err != nil {
		return false, err
	}
	known.ids = append(known.ids, ids...)
	if len(ids) < missing {
		return false, nil
	}
	if from := r.slice.from; oldest.After(from) {
		until := r.slice.until
		r.slice = r.sliceFrom(oldest)
		r.slice.until = until
	}
	return true, nil
}

// readRows reads the rows of hits that were not read.
func (r *search) readRows(known *hitList) error {
	if len(known.ids) == 0 {
		return nil
	}
	_, err := r.readHits(known.ids, 0)
	return err
}

// remember keeps where the search begins for those after it, unless that is long ago.
func (r *search) remember(s *slice) {
	from, newest := s.from, r.newest()
	if s.whole() {
		from = s.quarters[len(s.quarters)-1].at
	}
	if r.cursor == nil && newest.Sub(from) <= newestQuarters {
		r.store.begun.put(r.tenant, beginning{newest: newest, from: from, last: s.quarters[0].at})
	}
}

// nextSlice is what is looked at next, and for how many hits; last says that it completes the page.
func (r *search) nextSlice(matches int) (s slice, hits int, last bool) {
	place := r.query.Limit - matches
	if place >= len(r.places) {
		return r.sliceBack(r.slice.from), min(r.reaching.hits, namedHits), false
	}
	// What was released since the last match of the page started.
	s = r.sliceFrom(time.Unix(0, r.places[place].Time-(r.slice.final-r.slice.from.UnixNano())))
	s.until = r.slice.from
	return s, namedHits, true
}

// Of a window of days the quarters of the last are listed first, and the others when they are wanted: those of a day are read as fast as those of an
// hour, and a week's take twice as long. No trace starts more than an hour behind its release, so older ones say nothing of what the newest hold.
const (
	newestQuarters = 30 * time.Hour
	leastQuarters  = overlap + 30*time.Minute
)

// older says whether a slice wants quarters that are not listed.
func (r *search) older(s *slice) bool {
	return !r.listed.IsZero() && (s.whole() || s.from.Before(r.listed.Add(leastQuarters)))
}

// allQuarters lists those that were left out. The list of before stays where retention has dropped all of them meanwhile: nothing is found in it.
func (r *search) allQuarters() error {
	r.listed = time.Time{}
	quarters, err := r.findQuarters(r.cursor)
	if err != nil {
		return err
	}
	if len(quarters) > 0 {
		r.quarters = quarters
	}
	return nil
}

// withoutReach goes on as searches do that do not ask for spans, behind what is settled.
func (r *search) withoutReach() error {
	if err := r.allQuarters(); err != nil {
		return err
	}
	r.reaching, r.slice = reaching{}, slice{}
	return r.widen(0)
}

// sliceBack is what was released before a moment, as far back as some spans reach, about.
func (r *search) sliceBack(until time.Time) slice {
	wanted := r.reaching.spans
	for i := range r.quarters {
		q := &r.quarters[i]
		end := q.last
		if !until.IsZero() && until.Before(end) {
			end = until
		}
		switch {
		case !end.After(q.at):
			continue
		case q.spans <= wanted:
			wanted -= q.spans
			continue
		}
		s := r.sliceFrom(q.at.Add(time.Duration(float64(end.Sub(q.at)) * (1 - float64(wanted)/float64(q.spans)))))
		s.until = until
		return s
	}
	return slice{quarters: r.quarters, until: until, final: math.MinInt64}
}

// findHits finds the traces of the spans of the slice on which the conditions hold: all of them, and the zero time, or about as many of the newest as
// are asked for, and when the last of these was released. Of those that were released in the same minute all are found, or none: a trace starts
// some time before its release.
// In no order no more than the limit are looked for, or none where that is 0.
func (r *search) findHits(early *ahead, missing, limit int) (ids []pcommon.TraceID, oldest time.Time, err error) {
	switch {
	case early != nil:
		ids, err = early.wait()
	case limit > 0:
		ids, _, err = r.hits(limit+1, false)
	}
	if limit > 0 && (err != nil || len(ids) <= limit) {
		return ids, time.Time{}, err
	}
	return r.hits(missing, true)
}

// hitsOf asks for them, up to a limit in no order, or with their moments in the order of the table.
func (r *search) hitsOf(values parameters, limit int, ordered bool) string {
	spans, unordered := r.hitSpans(values)
	if ordered {
		return "SELECT Id, toStartOfMinute(ReleasedAt) AS Moment" + spans + " ORDER BY Moment DESC LIMIT 1 BY Id LIMIT " + strconv.Itoa(limit) + " WITH TIES" + inOrder
	}
	return "SELECT Id" + spans + " LIMIT 1 BY Id LIMIT " + strconv.Itoa(limit) + unordered
}

// hitSpans are the spans of the slice on which the conditions hold, and the end of a statement that reads them in no order.
func (r *search) hitSpans(values parameters) (spans, unordered string) {
	c := r.compiler(values, false)
	c.withoutHints = r.reaching.spans == r.store.options.firstReach
	c.all(&r.query.Where)
	spans = " FROM " + r.store.table("otel_traces") + " WHERE " + r.spansOf(values) + " AND " + c.sets[0]
	for _, set := range c.sets[1:] {
		spans += " AND " + r.inSet(values, set)
	}
	if c.either {
		return spans, inNoOrder
	}
	return spans, inNoOrder + onlyAll
}

// hits reads them, and where they are in order the moment of the last.
func (r *search) hits(limit int, ordered bool) (ids []pcommon.TraceID, last time.Time, err error) {
	values := parameters{}
	return r.store.readHitIDs(r.ctx, r.hitsOf(values, limit, ordered), values, ordered)
}

// readHitIDs asks for hits.
func (s *Store) readHitIDs(ctx context.Context, text string, values parameters, ordered bool) (ids []pcommon.TraceID, last time.Time, err error) {
	rows, err := s.query(ctx, text, values)
	if err != nil {
		return nil, last, fmt.Errorf("find spans: %w", err)
	}
	defer rows.Close()
	var id string
	columns := []any{&id}
	if ordered {
		columns = append(columns, &last)
	}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return nil, last, fmt.Errorf("find spans: %w", err)
		}
		ids = append(ids, pcommon.TraceID([]byte(id)))
	}
	return ids, last, rows.Err()
}

// readHits reads the rows of traces, and where a limit is given of the hits of the slice, and finds their places. It answers how many there are. The
// rows are whole where there are few. Where there are more hits than the limit it fails by codeSetTooLarge.
func (r *search) readHits(ids []pcommon.TraceID, limit int) (int, error) {
	values := parameters{}
	where := r.compiler(values, false).all(&r.query.Where)
	wide, judged := r.wide(len(ids)+limit), !where.exact()
	var selected string
	switch {
	case !wide:
		selected = ofParts + "Id, start, released, " + wholeRow + ", toUInt8(" + where.over + ")"
	case where == always:
		selected = shownParts + partOf + ", toUInt8(1)"
	default:
		selected = ofParts + columnsOf(judged) + ", released, " + wholeRow + ", toUInt8(" + where.over + ")"
	}
	text := r.store.parts(values, r.tenant, selected, r.slice.quartersIn(values))
	if limit > 0 {
		spans, unordered := r.hitSpans(values)
		most := len(ids) + limit
		text += "(SELECT Id" + spans + " LIMIT 1 BY Id LIMIT " + strconv.Itoa(most+1)
		if len(ids) > 0 {
			text += " UNION ALL " + values.selectIDs(ids)
		}
		text += ")" + unordered + ", max_rows_in_set = " + strconv.Itoa(most) + ", set_overflow_mode = 'throw'"
	} else {
		text += values.ids(ids)
	}
	rows, err := r.store.query(r.ctx, text, values)
	if err != nil {
		return 0, fmt.Errorf("read traces: %w", err)
	}
	defer rows.Close()
	parts := make(map[pcommon.TraceID]*hit, len(ids))
	low, high := r.window(apart)
	for rows.Next() {
		part, err := scanHit(rows, wide, judged)
		if err != nil {
			return 0, fmt.Errorf("read traces: %w", err)
		}
		part.Time = tracestore.SearchTime(part.start, part.released, r.store.options.Retention)
		part.near = part.Time >= low && part.Time < high
		if first := parts[part.TraceID]; first != nil {
			first.whole, first.near = false, first.near || part.near
		} else {
			parts[part.TraceID] = part
		}
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("read traces: %w", err)
	}
	var spread []place
	low, high = r.window(0)
	for _, h := range parts {
		switch {
		case !h.whole && h.near:
			spread = append(spread, h.place)
		case h.whole && h.met && h.Time >= low && h.Time < high && (r.last == nil || h.Compare(r.last) > 0):
			r.places = append(r.places, h.place)
		}
	}
	if len(r.spread)+len(spread) > maxSpread {
		return 0, r.withoutReach()
	}
	slices.SortFunc(r.places, func(a, b place) int { return a.Compare(&b.Position) })
	return len(parts), r.readSpread(spread)
}

// wide says whether all columns of the rows of some hits are read at once.
func (r *search) wide(hits int) bool {
	granules := uint64(0)
	for i := range r.slice.quarters {
		if q := &r.slice.quarters[i]; !q.at.Before(quarterOf(r.slice.from)) {
			granules += 1 + q.spans/granuleSpans
		}
	}
	return min(uint64(hits), granules) <= wideGranules
}

// hit is a part of a trace's row.
type hit struct {
	place
	start int64
	met   bool // says that the row's conditions hold on it
	near  bool // is a part in the window or not far from it
}

func scanHit(rows driver.Rows, wide, judged bool) (*hit, error) {
	var (
		h          hit
		id         string
		whole, met uint8
	)
	if wide {
		row, err := scanRow(rows, judged, &h.released, &whole, &met)
		if err != nil {
			return nil, err
		}
		h.row, h.TraceID, h.start = row, row.TraceID, row.Start
	} else {
		if err := rows.Scan(&id, &h.start, &h.released, &whole, &met); err != nil {
			return nil, err
		}
		h.TraceID = pcommon.TraceID([]byte(id))
	}
	h.whole, h.met = whole != 0, met != 0
	return &h, nil
}
