package clickhousestore

import (
	"context"
	"errors"
	"fmt"
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

	quarters []time.Time // in which the window's traces were released
	spread   []found     // those of several releases that match, in order
	// since is the place in time behind which traces of several releases go by sums.
	since *int64

	chunk []found // the next of the other matches
	last  *tracestore.Position
	ended bool // nothing comes behind chunk
}

// found is a trace that matches.
type found struct {
	place tracestore.Position
	row   tracestore.Summary
}

func (r *search) page() (page tracestore.SearchPage, err error) {
	r.chunk, r.last, r.ended, r.since = nil, r.cursor, false, nil
	if r.quarters, err = r.findQuarters(); err != nil {
		return page, err
	}
	if len(r.quarters) == 0 {
		return r.count(page, false)
	}
	if err := r.readSpread(); err != nil {
		return page, err
	}
	rest := r.spread
	for r.cursor != nil && len(rest) > 0 && rest[0].place.Compare(r.cursor) <= 0 {
		rest = rest[1:]
	}
	for {
		if err := r.fill(); err != nil {
			return page, err
		}
		if len(r.chunk) == 0 && len(rest) == 0 {
			return r.count(page, false)
		}
		if len(page.Traces) == r.query.Limit {
			return r.count(page, true)
		}
		from := &r.chunk
		if len(r.chunk) == 0 || len(rest) > 0 && rest[0].place.Compare(&r.chunk[0].place) < 0 {
			from = &rest
		}
		next := (*from)[0]
		*from = (*from)[1:]
		page.Traces = append(page.Traces, next.row)
		page.NextCursor = r.cursorAt(next.place, len(page.Traces))
	}
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

// findQuarters lists the quarters of an hour in which releases were made that start in the window, or not far from it.
func (r *search) findQuarters() ([]time.Time, error) {
	values := parameters{}
	start, end := nanoseconds(r.query.Start), nanoseconds(r.query.End)
	if start >= end {
		return nil, nil
	}
	low, high := start-min(apart, start+1<<62), end
	if high < 1<<62 {
		high += apart
	}
	lowest, highest := values.int(low), values.int(high)
	released := "toUnixTimestamp64Nano(FirstReleasedAt)"
	// A start that is far from its release counts as one that is less so, see tracestore.SearchTime.
	where := "(Start BETWEEN " + lowest + " AND " + highest + " OR Start = 9223372036854775807" +
		" OR Start > " + highest + " AND " + released + " + " + values.int(int64(time.Hour)) + " BETWEEN " + lowest + " AND " + highest
	if retention := r.store.options.Retention; retention > 0 {
		where += " OR Start < " + lowest + " AND " + released + " - " + values.int(int64(retention)) + " BETWEEN " + lowest + " AND " + highest
	}
	rows, err := r.store.query(r.ctx, "SELECT DISTINCT Quarter FROM "+r.store.table("traces")+" WHERE Tenant = "+values.text(r.tenant)+
		" AND Quarter >= toDateTime("+values.bind("UInt32", strconv.FormatInt(min(max(0, low/1e9-900), 1<<32-1), 10))+", 'UTC') AND "+where+")", values)
	if err != nil {
		return nil, fmt.Errorf("find quarters: %w", err)
	}
	defer rows.Close()
	var quarters []time.Time
	for rows.Next() {
		var quarter time.Time
		if err := rows.Scan(&quarter); err != nil {
			return nil, fmt.Errorf("find quarters: %w", err)
		}
		quarters = append(quarters, quarter)
	}
	return quarters, rows.Err()
}

// compiled makes the predicate of the query's conditions.
func (r *search) compiled(values parameters, sums bool) predicate {
	c := compiler{
		values: values, sums: sums, withoutRegex: r.withoutRegex,
		spans: func(more string) string {
			return "SELECT Id FROM " + r.store.table("otel_traces") + " WHERE Tenant = " + values.text(r.tenant) + " AND " +
				releasedIn(values, r.quarters) + " AND " + more
		},
	}
	return c.conditions(&r.query.Where)
}

// candidates is the part of a statement behind its columns: the rows of the window's quarters, with their search time.
func (r *search) candidates(values parameters) string {
	return "FROM (SELECT *, " + searchTime(values, r.store.options.Retention) + " AS time, " + r.value() + " AS value FROM (SELECT " + rowColumns +
		" FROM " + r.store.table("traces") + " WHERE Tenant = " + values.text(r.tenant) + " AND Quarter IN " + values.quarters(r.quarters) +
		" GROUP BY Id)) WHERE "
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

// within is the condition that a trace is in the window, give or take some.
func (r *search) within(values parameters, more int64) string {
	return "time >= " + values.int(nanoseconds(r.query.Start)-more) + " AND time < " + values.int(nanoseconds(r.query.End)+more)
}

// readSpread reads the traces whose row is in their spans.
func (r *search) readSpread() error {
	r.spread = nil
	values := parameters{}
	where := r.compiled(values, true)
	places, err := r.places("SELECT Id, time, value, 0 "+r.candidates(values)+"NOT "+wholeRow+" AND "+r.within(values, apart)+" AND "+where.over+
		" ORDER BY time DESC, Id DESC LIMIT "+strconv.Itoa(maxSpread+1), values)
	if err != nil {
		return err
	}
	if len(places) > maxSpread {
		places = places[:maxSpread]
		r.since = &places[maxSpread-1].Time
	}
	for batch := range slices.Chunk(places, spreadBatch) {
		times, err := r.store.releaseTimes(r.ctx, r.tenant, idsOf(batch)...)
		if errors.Is(err, tracestore.ErrNotFound) {
			continue // they were deleted meanwhile
		}
		if err != nil {
			return err
		}
		traces, err := r.store.readTraces(r.ctx, r.tenant, idsOf(batch), quartersOf(times))
		if err != nil {
			return err
		}
		for id, trace := range traces {
			if match, ok := r.settleSpread(id, trace); ok {
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
		return wholeRow
	}
	return "(" + wholeRow + " OR time < " + values.int(*r.since) + ")"
}

// fill sees to it that chunk holds the next matches, if there are more.
func (r *search) fill() error {
	for len(r.chunk) == 0 && !r.ended {
		values := parameters{}
		where := r.compiled(values, false)
		behind := ""
		if r.last != nil {
			behind = fmt.Sprintf(" AND (value, time, Id) < (%s, %s, %s)", values.int(r.last.Value), values.int(r.last.Time), values.id(r.last.TraceID))
		}
		limit := min(2*r.query.Limit, maxChunk)
		if where.exact() {
			limit = r.query.Limit + 1
		}
		places, err := r.places("SELECT Id, time, value, "+wholeRow+" "+r.candidates(values)+r.others(values)+" AND "+r.within(values, 0)+" AND "+where.over+behind+
			" ORDER BY value DESC, time DESC, Id DESC LIMIT "+strconv.Itoa(limit), values)
		if err != nil {
			return err
		}
		r.ended = len(places) < limit
		if len(places) == 0 {
			return nil
		}
		if r.chunk, err = r.settle(places, where.exact()); err != nil {
			return err
		}
		r.last = &places[len(places)-1].Position
	}
	return nil
}

// settle finds out which of the places match, and reads their rows.
func (r *search) settle(places []place, exact bool) ([]found, error) {
	rows, err := r.store.readRows(r.ctx, r.tenant, idsOf(places), r.quarters)
	if err != nil {
		return nil, err
	}
	verdicts := make([]tracestore.Verdict, len(places))
	var open []place
	for i, p := range places {
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
		if traces, err = r.store.readTraces(r.ctx, r.tenant, idsOf(open), r.quarters); err != nil {
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

// countOthers counts the matches that are not spread, of queries that rows answer.
func (r *search) countOthers() (int, error) {
	if len(r.quarters) == 0 {
		return 0, nil
	}
	values := parameters{}
	where := r.compiled(values, false)
	rows, err := r.store.query(r.ctx, "SELECT count() "+r.candidates(values)+r.others(values)+" AND "+r.within(values, 0)+" AND "+where.over, values)
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

// places asks for id, time, value and whether the row is whole.
func (r *search) places(text string, values parameters) ([]place, error) {
	rows, err := r.store.query(r.ctx, text, values)
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
		if err := rows.Scan(&id, &p.Time, &p.Value, &whole); err != nil {
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
