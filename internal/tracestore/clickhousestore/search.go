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
		return page, nil
	case ctx.Err() != nil || s.ctx.Err() != nil:
		return tracestore.SearchPage{}, fmt.Errorf("search: %w", s.failed(ctx, err))
	case bounded.Err() != nil || hasCode(err, codeTooManyRows, codeTimeout, codeTooSlow):
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
	slice    slice     // what is read of them
	spread   []found   // those of several releases that match in the slice, in order
	// since is the place in time behind which traces of several releases go by sums.
	since *int64

	chunk   []found // the next of the other matches
	last    *tracestore.Position
	fresh   bool // nothing of the slice has been read
	drained bool // nothing of the slice comes behind chunk
}

// found is a trace that matches.
type found struct {
	place tracestore.Position
	row   tracestore.Summary
}

func (r *search) page() (page tracestore.SearchPage, err error) {
	if r.quarters, err = r.findQuarters(r.cursor); err != nil {
		return page, err
	}
	if len(r.quarters) == 0 {
		return r.count(page, false)
	}
	r.last = r.cursor
	r.begin(r.sliceOf(firstSlice))
	reached := r.cursor // the place of the last match that is in the page
	for {
		for len(r.chunk) == 0 && !r.drained {
			if err := r.read(); err != nil {
				return page, err
			}
		}
		rest := r.spread
		for reached != nil && len(rest) > 0 && rest[0].place.Compare(reached) <= 0 {
			rest = rest[1:]
		}
		switch {
		case len(page.Traces) == r.query.Limit && len(r.chunk)+len(rest) > 0:
			return r.count(page, true)
		case len(r.chunk)+len(rest) == 0 && r.slice.whole():
			return r.count(page, false)
		case len(r.chunk)+len(rest) == 0:
			r.begin(r.wider(len(page.Traces)))
			continue
		}
		var next found
		if len(r.chunk) == 0 || len(rest) > 0 && rest[0].place.Compare(&r.chunk[0].place) < 0 {
			next = rest[0]
		} else {
			next, r.chunk = r.chunk[0], r.chunk[1:]
		}
		reached = &next.place
		page.Traces = append(page.Traces, next.row)
		page.NextCursor = r.cursorAt(next.place, len(page.Traces))
	}
}

// begin begins to read a slice behind what was read of a smaller one.
func (r *search) begin(s slice) {
	r.slice, r.fresh, r.drained, r.since, r.spread = s, true, false, nil, nil
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

// truncated is the page of a search that has come to a limit.
func (r *search) truncated(page tracestore.SearchPage) tracestore.SearchPage {
	page.Truncated = len(page.Traces) < r.query.Limit
	page.Total = tracestore.Total{Count: len(page.Traces)}
	if r.cursor != nil {
		page.Total.Count += r.cursor.Found
	}
	return page
}

// compiler makes the predicates of the query's conditions.
func (r *search) compiler(values parameters, sums bool) *compiler {
	return &compiler{
		values: values, sums: sums, withoutRegex: r.withoutRegex,
		spans: func(more string) string {
			return "SELECT Id FROM " + r.store.table("otel_traces") + " WHERE Tenant = " + values.text(r.tenant) + " AND " +
				r.slice.releasedIn(values) + " AND " + more
		},
	}
}

// candidates asks for columns of the rows of the slice that are in the sets and meet a condition, which knows their search time.
func (r *search) candidates(values parameters, columns string, sets []string, condition string) string {
	return "SELECT " + columns + " FROM (SELECT *, " + r.placeColumns(values, wholeRow) + " FROM (SELECT " + rowColumns + " " + r.inSets(values, sets) +
		" GROUP BY Id)) WHERE " + condition
}

// parts asks the same of the parts of rows. The server plans it in a third of the time, which counts where the sets leave few of them: what is
// of one part is right, and of what is of several the spans are read anyway.
func (r *search) parts(values parameters, columns string, sets []string, condition string) string {
	return "WITH " + partColumns + ", " + r.placeColumns(values, wholePart) + " SELECT " + columns + " " + r.inSets(values, sets) + " QUALIFY " + condition
}

func (r *search) placeColumns(values parameters, whole string) string {
	return searchTime(values, r.store.options.Retention) + " AS time, " + r.value() + " AS value, " + whole + " AS whole"
}

func (r *search) inSets(values parameters, sets []string) string {
	text := "FROM " + r.store.table("traces") + " WHERE Tenant = " + values.text(r.tenant) + " AND " + r.slice.quartersIn(values)
	for _, set := range sets {
		text += " AND " + set
	}
	return text
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

// read reads the next rows of the slice; with the first of them those that stand in their spans.
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
	// Rows of those that are in sets, which are few, are read at once, the others' when it is known which are wanted.
	few := len(whole.sets) > 0
	parts := few && r.since == nil
	if fresh {
		condition += " OR NOT whole AND " + r.within(values, apart)
		if !parts { // of which none says what the row does
			condition += " AND " + r.compiler(values, true).all(&r.query.Where).over
		}
		condition = "(" + condition + ")"
	}
	bound := fmt.Sprintf(" ORDER BY value DESC, time DESC, Id DESC LIMIT %d", limit)
	if fresh {
		bound += " BY whole"
	}
	if few && r.slice.spans <= 2*firstSlice {
		bound += oneThread
	}
	places, err := r.places(values, whole.sets, condition+bound, few, parts)
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
	r.drained = len(places) < limit
	for i := range places {
		if places[i].Time < r.slice.final {
			places, r.drained = places[:i], true
			break
		}
	}
	if len(places) == 0 {
		return nil
	}
	r.last = &places[len(places)-1].Position
	r.chunk, err = r.settle(places, where.exact())
	return err
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
	places, err := r.places(values, sets.sets, "NOT whole AND "+r.within(values, apart)+" AND "+sums.over+
		" ORDER BY time DESC, Id DESC LIMIT "+strconv.Itoa(maxSpread+1), false, false)
	if err != nil {
		return nil, err
	}
	if len(places) > maxSpread {
		places = places[:maxSpread]
		r.since = &places[maxSpread-1].Time
	}
	return places, nil
}

// readSpread reads them.
func (r *search) readSpread(places []place) error {
	r.spread = nil
	for batch := range slices.Chunk(places, spreadBatch) {
		traces, err := r.store.readTraces(r.ctx, r.tenant, idsOf(batch))
		if err != nil {
			return err
		}
		for id, trace := range traces {
			if match, ok := r.settleSpread(id, trace); ok && match.place.Time >= r.slice.final {
				r.spread = append(r.spread, match)
			}
		}
	}
	slices.SortFunc(r.spread, func(a, b found) int { return a.place.Compare(&b.place) })
	return nil
}

// How many traces are read at a time.
const (
	spreadBatch = 200
	maxChunk    = 1000
)

func (r *search) settleSpread(id pcommon.TraceID, trace *storedTrace) (found, bool) {
	row, spans := trace.row()
	at := tracestore.SearchTime(row.Start, trace.releasedAt, r.store.options.Retention)
	if when := time.Unix(0, at); when.Before(r.query.Start) || !when.Before(r.query.End) {
		return found{}, false
	}
	verdict := row.Judge(r.filter)
	if verdict == tracestore.Maybe && r.filter.Match(&row.Summary, spans) {
		verdict = tracestore.Yes
	}
	row.TraceID = id
	return found{r.query.Order.Position(&row.Summary, at), row.Summary}, verdict == tracestore.Yes
}

// others is the condition on the traces that are not spread.
func (r *search) others(values parameters) string {
	if r.since == nil {
		return "whole"
	}
	return "(whole OR time < " + values.int(*r.since) + ")"
}

// settle finds out which of the places match, and reads their rows where they are not known.
func (r *search) settle(places []place, exact bool) ([]found, error) {
	rows := make(map[pcommon.TraceID]*tracerow.Row, len(places))
	if places[0].row == nil {
		var err error
		if rows, err = r.store.readRows(r.ctx, r.tenant, idsOf(places), timesOf(r.slice.quarters)); err != nil {
			return nil, err
		}
	}
	verdicts := make([]tracestore.Verdict, len(places))
	var open []place
	for i, p := range places {
		if p.row != nil {
			rows[p.TraceID] = p.row
		}
		row := rows[p.TraceID]
		switch {
		case row == nil: // it was deleted meanwhile
		case exact && p.whole:
			verdicts[i] = tracestore.Yes
		default:
			if verdicts[i] = row.Judge(r.filter); verdicts[i] == tracestore.Maybe {
				open = append(open, p)
			}
		}
	}
	var traces map[pcommon.TraceID]*storedTrace
	if len(open) > 0 {
		var err error
		if traces, err = r.store.readTraces(r.ctx, r.tenant, idsOf(open)); err != nil {
			return nil, err
		}
	}
	matches := make([]found, 0, len(places))
	for i, p := range places {
		row := rows[p.TraceID]
		if trace := traces[p.TraceID]; trace != nil && verdicts[i] == tracestore.Maybe {
			if _, spans := trace.row(); r.filter.Match(&row.Summary, spans) {
				verdicts[i] = tracestore.Yes
			}
		}
		if verdicts[i] == tracestore.Yes {
			matches = append(matches, found{p.Position, row.Summary})
		}
	}
	return matches, nil
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

// places asks for those of the slice that are in the sets; with their rows, and of parts of rows, if it is said so.
func (r *search) places(values parameters, sets []string, condition string, withRows, parts bool) ([]place, error) {
	columns, ask := "Id, time, value, whole", r.candidates
	if withRows {
		columns = summaryColumns + ", time, value, whole"
	}
	if parts {
		ask = r.parts
	}
	rows, err := r.store.query(r.ctx, ask(values, columns, sets, condition), values)
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
		if withRows {
			p.row, err = scanRow(rows, &p.Time, &p.Value, &whole)
		} else {
			err = rows.Scan(&id, &p.Time, &p.Value, &whole)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("find traces: %w", err)
		case withRows:
			p.TraceID = p.row.TraceID
		default:
			p.TraceID = pcommon.TraceID([]byte(id))
		}
		p.whole = whole != 0
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
