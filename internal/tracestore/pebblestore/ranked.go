package pebblestore

import (
	"errors"
	"slices"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// maxRanked is how many matches a search in another order than by recency orders at most: the newest of the window.
const maxRanked = 10_000

type rankedRow struct {
	place tracestore.Position
	row   tracestore.Summary
}

// ranked answers a page in an order of the rows' values: it collects the matches of the window, newest first, and sorts them.
func (r *search) ranked() (tracestore.SearchPage, error) {
	var matches []rankedRow
	all, err := r.scan(&r.window, func(e entry) (bool, error) {
		row, verdict := r.look(e)
		ok, err := r.settle(e, &row, verdict)
		if !ok || err != nil {
			return err == nil, err
		}
		if len(matches) == maxRanked {
			return false, errLimit
		}
		matches = append(matches, rankedRow{r.query.Order.Position(&row.Summary, e.place.searchTime), row.Summary})
		return true, nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		return tracestore.SearchPage{}, err
	}
	slices.SortFunc(matches, func(a, b rankedRow) int { return a.place.Compare(&b.place) })
	page := tracestore.SearchPage{Total: tracestore.Total{Count: len(matches), Exact: all}, Truncated: !all}
	for i := range matches {
		m := &matches[i]
		if r.cursor != nil && m.place.Compare(r.cursor) <= 0 {
			continue
		}
		if len(page.Traces) == r.query.Limit {
			last := matches[i-1].place
			last.Found = i
			page.NextCursor = tracestore.EncodeCursor(r.tenant, r.query, last)
			break
		}
		page.Traces = append(page.Traces, m.row)
	}
	return page, nil
}
