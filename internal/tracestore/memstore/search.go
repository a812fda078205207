package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Search implements tracestore.Reader. It looks at every trace, so its totals are exact unless the deadline ends it.
func (s *Store) Search(ctx context.Context, tenant string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	if err := ctx.Err(); err != nil {
		return tracestore.SearchPage{}, err
	}
	if query.Limit < 1 || !query.Order.Valid() {
		return tracestore.SearchPage{}, fmt.Errorf("search: limit is %d, must be at least 1; order is %q", query.Limit, query.Order)
	}
	var cursor *tracestore.Position
	if query.Cursor != "" {
		position, err := tracestore.DecodeCursor(tenant, query)
		if err != nil {
			return tracestore.SearchPage{}, err
		}
		cursor = &position
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	matches, truncated, err := s.matchingLocked(ctx, tenant, query)
	if err != nil {
		return tracestore.SearchPage{}, err
	}
	page := tracestore.SearchPage{Total: tracestore.Total{Count: len(matches), Exact: !truncated}}
	for i := range matches {
		m := &matches[i]
		if cursor != nil && m.place.Compare(cursor) <= 0 {
			continue
		}
		if len(page.Traces) == query.Limit {
			last := matches[i-1].place
			last.Found = i
			page.NextCursor = tracestore.EncodeCursor(tenant, query, last)
			return page, nil
		}
		row := m.trace.row.Summary
		row.Services = slices.Clone(row.Services)
		page.Traces = append(page.Traces, row)
	}
	page.Truncated = truncated
	return page, nil
}

// match is a trace that matches, with its place in the query's order.
type match struct {
	place tracestore.Position
	trace *trace
}

// matchingLocked lists all matches in the query's order. It looks at the newest first.
func (s *Store) matchingLocked(
	ctx context.Context, tenant string, query *tracestore.SearchQuery,
) (matches []match, truncated bool, err error) {
	var window []match
	for key, at := range s.traces {
		searchTime := tracestore.SearchTime(at.row.Start, at.releasedAt, s.retention)
		when := time.Unix(0, searchTime)
		if key.tenant == tenant && !when.Before(query.Start) && when.Before(query.End) {
			window = append(window, match{tracestore.OrderRecency.Position(&at.row.Summary, searchTime), at})
		}
	}
	slices.SortFunc(window, func(a, b match) int { return a.place.Compare(&b.place) })
	filter := tracestore.NewFilter(&query.Where)
	for _, m := range window {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if !query.Deadline.IsZero() && !time.Now().Before(query.Deadline) {
			truncated = true
			break
		}
		if m.trace.matches(filter) {
			matches = append(matches, match{query.Order.Position(&m.trace.row.Summary, m.place.Time), m.trace})
		}
	}
	slices.SortFunc(matches, func(a, b match) int { return a.place.Compare(&b.place) })
	return matches, truncated, nil
}

func (t *trace) matches(filter *tracestore.Filter) bool {
	if verdict := t.row.Judge(filter); verdict != tracestore.Maybe {
		return verdict == tracestore.Yes
	}
	releases := make([]ptrace.Traces, len(t.releases))
	for i := range releases {
		releases[i] = clone(t.releases[i].td)
	}
	_, joined := tracetree.Join(releases)
	return filter.Match(&t.row.Summary, joined.Spans)
}
