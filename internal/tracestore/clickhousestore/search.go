package clickhousestore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// Search implements tracestore.Reader.
//
// The server finds the places of the traces that may match, in the order of the query, by as much of the conditions as SQL can say
// (compiler); where that is not all, the filter judges the rows, and the spans where these leave it open. A trace of several releases, or of
// one that nobody has analysed, has a row only in its spans: those of the window are read first, the newest maxSpread of them, and take
// their places among the others. What is older goes by the sum of its releases.
func (s *Store) Search(ctx context.Context, tenant string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	if err := ctx.Err(); err != nil {
		return tracestore.SearchPage{}, err
	}
	if query.Limit < 1 || !query.Order.Valid() {
		return tracestore.SearchPage{}, fmt.Errorf("search: limit is %d, must be at least 1; order is %q", query.Limit, query.Order)
	}
	r := &search{store: s, tenant: tenant, query: query, filter: tracestore.NewFilter(&query.Where)}
	if query.Cursor != "" {
		position, err := tracestore.DecodeCursor(tenant, query)
		if err != nil {
			return tracestore.SearchPage{}, err
		}
		r.cursor = &position
	}
	deadline := time.Now().Add(s.options.Limits.MaxTime)
	if !query.Deadline.IsZero() && query.Deadline.Before(deadline) {
		deadline = query.Deadline
	}
	bounded, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	r.ctx = bounded
	page, err := r.page()
	if hasCode(err, codeCannotRegexp) {
		r.withoutRegex = true
		page, err = r.page()
	}
	switch {
	case err == nil:
		if r.unread {
			page.Truncated, page.Total.Exact = true, false
		}
		return page, nil
	case ctx.Err() != nil || s.ctx.Err() != nil:
		return tracestore.SearchPage{}, fmt.Errorf("search: %w", s.failed(ctx, err))
	case bounded.Err() != nil || hasCode(err, codeTooManyRows, codeTimeout, codeTooSlow, codeMemoryLimit):
		return r.truncated(page), nil
	}
	return tracestore.SearchPage{}, fmt.Errorf("search: %w", err)
}

// maxSpread is how many traces of several releases a search reads.
const maxSpread = 1000

// apart is how far the start of a trace may be from the smallest of its releases, which is made without knowing the others' clocks. It is
// also how far outside of the window a release may start and still be seen to belong to a trace in it.
const apart = int64(time.Hour)

// search is one search while it runs.
type search struct {
	store        *Store
	ctx          context.Context
	tenant       string
	query        *tracestore.SearchQuery
	filter       *tracestore.Filter
	cursor       *tracestore.Position // nil on the first page
	withoutRegex bool

	quarters []quarter // in which the window's traces were released
	listed   time.Time // older ones are left out; the zero time where none is
	slice    slice     // what is read of them
	ahead    *ahead    // hits that are looked for while they are listed; nil where none are
	reaching reaching
	reached  *tracestore.Position // the place of the last match that is in the page; before there is one, the cursor
	spread   []found              // those of several releases that match in what was read, in order
	// since is the place in time behind which traces of several releases go by sums.
	since *int64

	places  []place              // of the others, which may match, in order: what was read and not settled
	chunk   []found              // the next matches among the others
	last    *tracestore.Position // behind it nothing was settled, and places follow that were not read unless drained
	passed  *tracestore.Position // by recency: what comes before it is in the page, or does not match; nil where that is not known of anything
	unread  bool                 // a trace that may match was too large to be looked at
	ended   bool                 // nothing of the window comes behind the page
	fresh   bool                 // nothing of the slice has been read
	drained bool                 // nothing of the slice comes behind places that is to be settled
}

// found is a trace that matches.
type found struct {
	place tracestore.Position
	row   tracestore.Summary
}

func (r *search) page() (page tracestore.SearchPage, err error) {
	r.reached, r.passed, r.ended, r.unread = r.cursor, nil, false, false
	r.prepareReach()
	r.ahead = r.lookAhead()
	defer r.ahead.end()
	if r.quarters, err = r.findQuarters(r.cursor); err != nil {
		return page, err
	}
	if len(r.quarters) == 0 && !r.listed.IsZero() {
		if err := r.allQuarters(); err != nil {
			return page, err
		}
	}
	if len(r.quarters) == 0 {
		r.ended = true
		return r.count(page, false)
	}
	r.last, r.slice, r.chunk = r.cursor, slice{}, nil
	r.forget()
	if err := r.widen(0); err != nil {
		return page, err
	}
	for {
		next, err := r.next(len(page.Traces))
		switch {
		case err != nil:
			return page, err
		case next == nil:
			r.ended = true
			return r.count(page, false)
		case len(page.Traces) == r.query.Limit:
			return r.count(page, true)
		}
		r.reached = &next.place
		page.Traces = append(page.Traces, next.row)
		page.NextCursor = r.cursorAt(next.place, len(page.Traces))
	}
}

// next is the next match behind the last one, where some were found before; nil where there is none.
func (r *search) next(matches int) (*found, error) {
	for {
		for len(r.chunk) == 0 {
			ready := r.ready()
			if ready == 0 && r.drained {
				break
			}
			var err error
			if ready == 0 {
				err = r.read()
			} else {
				err = r.settle(ready, matches)
			}
			if err != nil {
				return nil, err
			}
		}
		rest := r.waiting()
		if len(rest) > 0 && rest[0].place.Time < r.slice.final {
			rest = nil
		}
		switch {
		case len(rest) > 0 && (len(r.chunk) == 0 || rest[0].place.Compare(&r.chunk[0].place) < 0):
			return &rest[0], nil
		case len(r.chunk) > 0:
			next := &r.chunk[0]
			r.chunk = r.chunk[1:]
			return next, nil
		case r.slice.whole():
			return nil, nil
		}
		r.pass()
		if err := r.widen(matches); err != nil {
			return nil, err
		}
	}
}

// waiting are the matches of several releases that are behind the last one of the page.
func (r *search) waiting() []found {
	rest := r.spread
	for r.reached != nil && len(rest) > 0 && rest[0].place.Compare(r.reached) <= 0 {
		rest = rest[1:]
	}
	return rest
}

// pass notes that the slice was looked through: what starts at its final or later is in the page, but for places and matches that wait.
func (r *search) pass() {
	passed := max(r.slice.final, 0)
	if len(r.places) > 0 {
		passed = max(passed, r.places[0].Time+1)
	}
	if rest := r.waiting(); len(rest) > 0 {
		passed = max(passed, rest[0].place.Time+1)
	}
	if at := (&tracestore.Position{Time: passed}); r.passed == nil || at.Compare(r.passed) > 0 {
		r.passed = at
	}
}

// ready is how many of the places have nothing before them that was not read.
func (r *search) ready() int {
	n := slices.IndexFunc(r.places, func(p place) bool {
		return p.Time < r.slice.final || !r.drained && (r.last == nil || p.Compare(r.last) > 0)
	})
	if n < 0 {
		return len(r.places)
	}
	return n
}

func (r *search) cursorAt(place tracestore.Position, found int) string {
	place.Found = found
	if r.cursor != nil {
		place.Found += r.cursor.Found
	}
	return tracestore.EncodeCursor(r.tenant, r.query, place)
}

// count finishes a page: more says that there are matches behind it.
func (r *search) count(page tracestore.SearchPage, more bool) (tracestore.SearchPage, error) {
	before := 0
	if r.cursor != nil {
		before = r.cursor.Found
	}
	page.Total = tracestore.Total{Count: before + len(page.Traces), Exact: !more && r.cursor == nil}
	if more {
		page.Total.Count++
	} else {
		page.NextCursor = ""
	}
	if page.Total.Exact || !r.filter.Decided(tracerow.Exact) {
		return page, nil
	}
	if r.cursor != nil || !r.slice.whole() { // only a part of the window was looked at
		quarters, err := r.findQuarters(nil)
		if err != nil || len(quarters) == 0 {
			return page, err
		}
		r.quarters = quarters
		r.forget()
		r.begin(r.sliceOf(math.MaxUint64))
		spread, err := r.findSpread()
		if err != nil {
			return page, err
		}
		if err := r.readSpread(spread); err != nil {
			return page, err
		}
	}
	if len(r.quarters) == 0 {
		return page, nil
	}
	others, err := r.countOthers()
	if err != nil {
		return page, err
	}
	page.Total = tracestore.Total{Count: others + len(r.spread), Exact: r.since == nil}
	return page, nil
}

// truncated is the page of a search that has come to a limit. By recency its cursor goes on behind what was looked through, which may be further than the
// last match; there is none where that is no further than the cursor of the query.
func (r *search) truncated(page tracestore.SearchPage) tracestore.SearchPage {
	page.Truncated = r.unread || !r.ended && len(page.Traces) < r.query.Limit
	page.Total = tracestore.Total{Count: len(page.Traces)}
	if r.cursor != nil {
		page.Total.Count += r.cursor.Found
	}
	if !r.ended && len(page.Traces) < r.query.Limit && r.query.Order == tracestore.OrderRecency && r.passed != nil && (r.reached == nil || r.passed.Compare(r.reached) > 0) {
		page.NextCursor = r.cursorAt(*r.passed, len(page.Traces))
	}
	return page
}

// compiler makes the predicates of the query's conditions.
func (r *search) compiler(values parameters, sums bool) *compiler {
	return &compiler{values: values, sums: sums, withoutRegex: r.withoutRegex, inSet: func(more string) string { return r.inSet(values, more) }}
}

// candidates asks for columns of the rows of the slice that are in the sets and meet a condition, which knows their search time.
func (r *search) candidates(values parameters, columns string, sets []string, condition string) string {
	text := "SELECT " + columns + " FROM (SELECT *, " + searchTime(values, r.store.options.Retention) + " AS time, " + r.value() + " AS value, " +
		wholeRow + " AS whole FROM (SELECT " + rowColumns + " FROM " + r.store.table("traces") +
		" WHERE Tenant = " + values.text(r.tenant) + " AND " + r.slice.quartersIn(values)
	for _, set := range sets {
		text += " AND " + r.inSet(values, set)
	}
	return text + " GROUP BY Id)) WHERE " + condition
}

// inSet is the condition that a trace has a span in the slice on which more holds.
func (r *search) inSet(values parameters, more string) string {
	return "Id IN (SELECT Id FROM " + r.store.table("otel_traces") + " WHERE " + r.spansOf(values) + " AND " + more + ")"
}

// spansOf is the condition that a span stands in the slice.
func (r *search) spansOf(values parameters) string {
	return "Tenant = " + values.text(r.tenant) + " AND " + r.slice.releasedIn(values)
}

// value is what the order ranks by.
func (r *search) value() string {
	switch r.query.Order {
	case tracestore.OrderDuration:
		return "lasting"
	case tracestore.OrderErrors:
		return "toInt64(errors)"
	}
	return "toInt64(0)"
}

// window is that of the query and some more on both sides, Unix nanoseconds. No trace starts before 1970.
func (r *search) window(more int64) (low, high int64) {
	return max(nanoseconds(r.query.Start), 0) - more, min(nanoseconds(r.query.End), math.MaxInt64-more) + more
}

// within is the condition that a trace is in the window, give or take some.
func (r *search) within(values parameters, more int64) string {
	low, high := r.window(more)
	return "time >= " + values.int(low) + " AND time < " + values.int(high)
}

// forget begins anew behind what was settled.
func (r *search) forget() { r.places, r.spread, r.since = nil, nil, nil }

// begin begins to read a slice.
func (r *search) begin(s slice) { r.slice, r.fresh, r.drained = s, true, false }

// read reads the next places of the slice; with the first of them those that stand in their spans.
func (r *search) read() error {
	values := parameters{}
	whole := r.compiler(values, false)
	where := whole.all(&r.query.Where)
	limit := min(2*r.query.Limit, maxChunk)
	if where.exact() {
		limit = r.query.Limit + 1
	}
	condition := r.others(values) + " AND " + r.within(values, 0) + " AND " + where.over
	if r.last != nil {
		condition += fmt.Sprintf(" AND (value, time, Id) < (%s, %s, %s)", values.int(r.last.Value), values.int(r.last.Time), values.id(r.last.TraceID))
	}
	fresh := r.fresh && r.since == nil
	if fresh {
		condition = "(" + condition + " OR NOT whole AND " + r.within(values, apart) + " AND " + r.compiler(values, true).all(&r.query.Where).over + ")"
	}
	bound := fmt.Sprintf(" ORDER BY value DESC, time DESC, Id DESC LIMIT %d", limit)
	if fresh {
		bound += " BY whole"
	}
	places, err := r.findPlaces(values, whole.sets, condition+bound)
	if err != nil {
		return err
	}
	var spread []place
	if fresh {
		r.fresh = false
		read := len(places)
		places, spread = apartFrom(places)
		if read-len(places) == limit { // there may be more
			if spread, err = r.findSpread(); err != nil {
				return err
			}
		}
		if err := r.readSpread(spread); err != nil || r.since != nil {
			return err // those that go by sums are among the others now, which are read again
		}
	}
	if r.drained = len(places) < limit || places[limit-1].Time < r.slice.final; !r.drained {
		r.last = &places[limit-1].Position
	}
	r.places = places
	return nil
}

// apartFrom tells rows that are whole from others, of which there may be several of a trace.
func apartFrom(places []place) (whole, spread []place) {
	known := make(map[pcommon.TraceID]bool)
	for _, p := range places {
		switch {
		case p.whole:
			whole = append(whole, p)
		case !known[p.TraceID]:
			known[p.TraceID] = true
			spread = append(spread, p)
		}
	}
	return whole, spread
}

// findSpread finds the traces of the slice whose row is in their spans, the newest maxSpread of them.
func (r *search) findSpread() ([]place, error) {
	values := parameters{}
	sets := r.compiler(values, false)
	sets.all(&r.query.Where)
	sums := r.compiler(values, true).all(&r.query.Where)
	places, err := r.findPlaces(values, sets.sets, "NOT whole AND "+r.within(values, apart)+" AND "+sums.over+
		" ORDER BY time DESC, Id DESC LIMIT "+strconv.Itoa(maxSpread+1))
	if err != nil {
		return nil, err
	}
	if len(places) > maxSpread {
		places = places[:maxSpread]
		r.since = &places[maxSpread-1].Time
	}
	return places, nil
}

// readSpread reads them, and adds those that match.
func (r *search) readSpread(places []place) error {
	for batch := range slices.Chunk(places, spreadBatch) {
		var large []pcommon.TraceID
		for trace, err := range r.store.traces(r.ctx, r.tenant, idsOf(batch), true) { // one by one: together they may be more than the memory holds
			if err != nil {
				return err
			}
			if trace.large {
				large = append(large, trace.id)
			} else if match, ok := r.settleSpread(trace); ok {
				r.addSpread(match)
			}
		}
		matches, err := r.findLarge(large)
		if err != nil {
			return err
		}
		for _, match := range matches {
			r.addSpread(match)
		}
	}
	slices.SortFunc(r.spread, func(a, b found) int { return a.place.Compare(&b.place) })
	return nil
}

// addSpread adds a match that is not there yet.
func (r *search) addSpread(match found) {
	if !slices.ContainsFunc(r.spread, func(f found) bool { return f.place.TraceID == match.place.TraceID }) {
		r.spread = append(r.spread, match)
	}
}

// How many traces are read at a time.
const (
	spreadBatch = 200
	maxChunk    = 1000
)

func (r *search) settleSpread(trace *storedTrace) (found, bool) {
	row, spans := trace.row()
	at := tracestore.SearchTime(row.Start, trace.releasedAt, r.store.options.Retention)
	if when := time.Unix(0, at); when.Before(r.query.Start) || !when.Before(r.query.End) {
		return found{}, false
	}
	verdict := row.Judge(r.filter)
	if verdict == tracestore.Maybe && r.filter.Match(&row.Summary, spans) {
		verdict = tracestore.Yes
	}
	row.TraceID = trace.id
	return found{r.query.Order.Position(&row.Summary, at), row.Summary}, verdict == tracestore.Yes
}

// others is the condition on the traces that are not spread.
func (r *search) others(values parameters) string {
	if r.since == nil {
		return "whole"
	}
	return "(whole OR time < " + values.int(*r.since) + ")"
}

// settle reads the rows of the first n places, or of as many as are wanted behind some matches, and finds out which of them match.
func (r *search) settle(n, matches int) error {
	exact := r.compiler(parameters{}, false).all(&r.query.Where).exact()
	if exact {
		n = min(n, r.query.Limit+1-matches)
	} else {
		n = min(n, 2*r.query.Limit, maxChunk)
	}
	places := r.places[:n]
	r.places = r.places[n:]
	if last := &places[n-1].Position; r.last == nil || last.Compare(r.last) > 0 {
		r.last = last
	}
	rows, err := r.rowsOf(places, wanted{whole: r.since == nil, judged: !exact || r.since != nil})
	if err != nil {
		return err
	}
	matching := make(map[pcommon.TraceID]bool, n)
	var open []place
	for _, p := range places {
		row := rows[p.TraceID]
		switch {
		case row == nil: // it was deleted meanwhile
		case exact && p.whole:
			matching[p.TraceID] = true
		default:
			verdict := row.Judge(r.filter)
			matching[p.TraceID] = verdict == tracestore.Yes
			if verdict == tracestore.Maybe {
				open = append(open, p)
			}
		}
	}
	if len(open) > 0 {
		var large []pcommon.TraceID
		for trace, err := range r.store.traces(r.ctx, r.tenant, idsOf(open), true) {
			if err != nil {
				return err
			}
			if trace.large {
				large = append(large, trace.id)
				continue
			}
			_, spans := trace.row()
			matching[trace.id] = r.filter.Match(&rows[trace.id].Summary, spans)
		}
		matches, err := r.findLarge(large)
		if err != nil {
			return err
		}
		for _, match := range matches {
			matching[match.place.TraceID] = true
		}
	}
	for _, p := range places {
		if matching[p.TraceID] {
			r.chunk = append(r.chunk, found{p.Position, rows[p.TraceID].Summary})
		}
	}
	return nil
}

// rowsOf are the rows of places, those that are not known read.
func (r *search) rowsOf(places []place, want wanted) (map[pcommon.TraceID]*tracerow.Row, error) {
	var ids []pcommon.TraceID
	var times []time.Time
	for i := range places {
		if p := &places[i]; p.row == nil {
			ids, times = append(ids, p.TraceID), append(times, time.Unix(0, p.released))
		}
	}
	rows := make(map[pcommon.TraceID]*tracerow.Row, len(places))
	if len(ids) > 0 {
		quarters := quartersOf(times)
		if !want.whole { // other parts may stand in others
			quarters = timesOf(r.slice.quarters)
		}
		var err error
		if rows, err = r.store.readRows(r.ctx, r.tenant, ids, quarters, want); err != nil {
			return nil, err
		}
	}
	for i := range places {
		if p := &places[i]; p.row != nil {
			rows[p.TraceID] = p.row
		}
	}
	return rows, nil
}

// countOthers counts the matches of the slice that are not spread, of queries that rows answer.
func (r *search) countOthers() (int, error) {
	values := parameters{}
	c := r.compiler(values, false)
	where := c.all(&r.query.Where)
	rows, err := r.store.query(r.ctx, r.candidates(values, "count()", c.sets, r.others(values)+" AND "+r.within(values, 0)+" AND "+where.over), values)
	if err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	defer rows.Close()
	var count uint64
	for rows.Next() {
		if err := rows.Scan(&count); err != nil {
			return 0, fmt.Errorf("count: %w", err)
		}
	}
	return int(count), rows.Err()
}

// findPlaces asks for those of the slice that are in the sets.
func (r *search) findPlaces(values parameters, sets []string, condition string) ([]place, error) {
	rows, err := r.store.query(r.ctx, r.candidates(values, "Id, released, time, value, whole", sets, condition), values)
	if err != nil {
		return nil, fmt.Errorf("find traces: %w", err)
	}
	defer rows.Close()
	var list []place
	for rows.Next() {
		var (
			p     place
			id    string
			whole uint8
		)
		if err := rows.Scan(&id, &p.released, &p.Time, &p.Value, &whole); err != nil {
			return nil, fmt.Errorf("find traces: %w", err)
		}
		p.TraceID, p.whole = pcommon.TraceID([]byte(id)), whole != 0
		list = append(list, p)
	}
	return list, rows.Err()
}

func idsOf(places []place) []pcommon.TraceID {
	ids := make([]pcommon.TraceID, len(places))
	for i := range places {
		ids[i] = places[i].TraceID
	}
	return ids
}
