package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// errLimit ends a search that has looked long enough.
var errLimit = errors.New("limit of the search reached")

// Search implements tracestore.Reader. It walks the search index from the newest row of the window, decides by the row where it
// can and looks at the spans where the row may match. After the page is full it goes on counting rows, where rows alone
// answer. Options.MaxSearchTraces and MaxSearchTime bound all of it.
func (s *Store) Search(ctx context.Context, tenant string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	if err := s.enter(); err != nil {
		return tracestore.SearchPage{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return tracestore.SearchPage{}, err
	}
	if query.Limit < 1 || !query.Order.Valid() {
		return tracestore.SearchPage{}, fmt.Errorf("search: limit is %d, must be at least 1; order is %q", query.Limit, query.Order)
	}
	filter := tracestore.NewFilter(&query.Where)
	run := search{
		store: s, ctx: ctx, query: query, tenant: tenant, filter: filter, decides: filter.Decided(tracerow.Exact),
		window:   searchRange{newest: unixNano(query.End.Add(-1)), oldest: unixNano(query.Start)},
		rows:     s.options.MaxSearchTraces,
		deadline: time.Now().Add(s.options.MaxSearchTime),
	}
	if !query.Deadline.IsZero() && query.Deadline.Before(run.deadline) {
		run.deadline = query.Deadline
	}
	if query.Cursor != "" {
		position, err := tracestore.DecodeCursor(tenant, query)
		if err != nil {
			return tracestore.SearchPage{}, err
		}
		run.cursor = &position
	}
	run.snapshot = s.db.NewSnapshot()
	defer func() { _ = run.snapshot.Close() }() // fails only if closed before
	answer := run.page
	if query.Order != tracestore.OrderRecency {
		answer = run.ranked
	}
	page, err := answer()
	if err != nil {
		return tracestore.SearchPage{}, fmt.Errorf("search: %w", err)
	}
	if page.Truncated {
		s.counters.truncated.Add(1)
	}
	return page, nil
}

// search is one search while it runs.
type search struct {
	store    *Store
	ctx      context.Context
	query    *tracestore.SearchQuery
	tenant   string
	snapshot *pebble.Snapshot
	window   searchRange
	filter   *tracestore.Filter
	cursor   *tracestore.Position // nil on the first page
	decides  bool                 // rows alone answer the query

	rows     int // that may still be looked at
	deadline time.Time
}

func (r *search) page() (tracestore.SearchPage, error) {
	var page tracestore.SearchPage
	rest := r.window
	if r.cursor != nil {
		rest.after = &place{r.cursor.Time, r.cursor.TraceID}
		rest.newest = min(rest.newest, r.cursor.Time)
	}
	before := 0
	if r.cursor != nil {
		before = r.cursor.Found
	}
	last := rest.after // the last row that was dealt with
	more := 0          // rows behind a full page that match, or may match
	all, err := r.scan(&rest, func(e entry) (bool, error) {
		full := len(page.Traces) == r.query.Limit
		if full && r.everything() {
			more++
			return true, nil
		}
		row, verdict := r.look(e)
		if full && verdict != tracestore.No {
			more++
			return r.decides, nil // go on only for the sake of the count
		}
		matches, err := r.settle(e, &row, verdict)
		if err != nil {
			return false, err
		}
		if matches {
			page.Traces = append(page.Traces, row.Summary)
		}
		if !full {
			last = &place{e.place.searchTime, e.place.id}
		}
		return true, nil
	})
	limited := errors.Is(err, errLimit)
	if err != nil && !limited {
		return tracestore.SearchPage{}, err
	}
	page.Truncated = limited && len(page.Traces) < r.query.Limit
	if (limited || more > 0) && last != nil {
		page.NextCursor = tracestore.EncodeCursor(r.tenant, r.query, tracestore.Position{
			Time: last.searchTime, TraceID: last.id, Found: before + len(page.Traces),
		})
	}
	page.Total, err = r.total(before, len(page.Traces), more, all)
	return page, err
}

// total counts the window. Where rows do not answer alone, only what the pages up to this one found is known.
func (r *search) total(before, found, more int, all bool) (tracestore.Total, error) {
	if !r.decides {
		return tracestore.Total{Count: before + found, Exact: all && r.cursor == nil}, nil
	}
	if r.cursor == nil {
		return tracestore.Total{Count: found + more, Exact: all}, nil
	}
	// The part of the window in front of the cursor: it is counted again, because it may have changed.
	counted := 0
	front := r.window
	front.oldest = max(front.oldest, r.cursor.Time)
	after := place{r.cursor.Time, r.cursor.TraceID}
	complete, err := r.scan(&front, func(e entry) (bool, error) {
		if e.place.searchTime == after.searchTime && bytes.Compare(e.place.id[:], after.id[:]) < 0 {
			return true, nil // behind the cursor
		}
		if r.everything() {
			counted++
		} else if _, verdict := r.look(e); verdict == tracestore.Yes {
			counted++
		}
		return true, nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		return tracestore.Total{}, err
	}
	if !complete {
		counted = max(counted, before)
	}
	return tracestore.Total{Count: counted + found + more, Exact: all && complete}, nil
}

// scan calls f for the rows of the range until it returns false, and says whether all were seen. It ends with errLimit when
// the search has looked at enough.
func (r *search) scan(rows *searchRange, f func(e entry) (bool, error)) (all bool, err error) {
	merged := openMerged(r.snapshot, r.partitions(), rows)
	var failed error
	all, err = merged.each(func(e entry) bool {
		if failed = r.spend(); failed != nil {
			return false
		}
		goOn, err := f(e)
		failed = err
		return goOn && err == nil
	})
	return all, errors.Join(err, failed, merged.close())
}

// spend takes one row off the search's budget.
func (r *search) spend() error {
	if r.rows == 0 {
		return errLimit
	}
	r.rows--
	if r.rows%64 != 0 && r.decides {
		return nil
	}
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.store.ctx.Err() != nil:
		return tracestore.ErrClosed
	case time.Now().After(r.deadline):
		return errLimit
	}
	return nil
}

// partitions are those that can hold a trace of the window: a search time is at most an hour behind its release.
func (r *search) partitions() []partition {
	list := r.store.partitions.of(tenantPrefix(r.tenant))
	oldest := dayOf(max(r.window.oldest, 0) - int64(time.Hour))
	for i, at := range list {
		if at.day < oldest {
			return list[:i]
		}
	}
	return list
}

// look decides by the row whether the trace may match. A row that cannot be read does not.
func (r *search) look(e entry) (tracerow.Row, tracestore.Verdict) {
	row, err := decodeRow(e.place.id, e.value)
	if err != nil {
		r.store.corrupt(e.place.id, fmt.Errorf("%w: %w", errCorrupt, err))
		return tracerow.Row{}, tracestore.No
	}
	return row, row.Judge(r.filter)
}

// settle says whether the trace matches, by its spans where the row leaves it open.
func (r *search) settle(e entry, row *tracerow.Row, verdict tracestore.Verdict) (bool, error) {
	if verdict != tracestore.Maybe {
		return verdict == tracestore.Yes, nil
	}
	return r.verify(e, row)
}

// everything says whether the query has no conditions: counting its rows need not read them.
func (r *search) everything() bool { return r.filter.Judge(&tracestore.Facts{}) == tracestore.Yes }

// verify says whether the conditions hold on the trace's spans. A trace that cannot be read does not match.
func (r *search) verify(e entry, row *tracerow.Row) (bool, error) {
	id := e.place.id
	var stored traceValue
	found, err := get(r.snapshot, e.at.traceKey(id), func(value []byte) (err error) {
		stored, err = decodeTraceValue(value)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: it stands in the search index only", errCorrupt)
	}
	if err != nil {
		return false, r.skip(e, err)
	}
	refs, err := releaseRefs(r.snapshot, e.at, id, &stored)
	if err != nil {
		return false, r.skip(e, err)
	}
	releases := make([]ptrace.Traces, len(refs))
	for i, ref := range refs {
		if releases[i], err = readSpans(r.snapshot, e.at, ref); err != nil {
			return false, r.skip(e, err)
		}
		if err := r.ctx.Err(); err != nil {
			return false, err
		}
	}
	_, joined := tracetree.Join(releases)
	return r.filter.Match(&row.Summary, joined.Spans), nil
}

// skip counts a trace that cannot be read, and returns any other error.
func (r *search) skip(e entry, err error) error {
	if isCorrupt(err) {
		r.store.corrupt(e.place.id, err)
		return nil
	}
	return err
}
