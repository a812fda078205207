package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// yieldEvery is how long a search keeps a processor at a time, about.
const yieldEvery = 2 * time.Millisecond

// errLimit ends a search that has looked long enough. errTooLarge is of a trace that no search can look at.
var (
	errLimit    = errors.New("limit of the search reached")
	errTooLarge = errors.New("trace is too large to be looked at")
)

// Search implements tracestore.Reader. It walks the window from its newest trace, passes over blocks by what their heads say, decides by
// the row where it can and looks at the spans where the row may match. After the page is full it goes on counting rows, where rows
// alone answer. Options.MaxSearchTraces and MaxSearchTime bound all of it; but a page goes on until it came further than the one before.
func (s *Store) Search(ctx context.Context, tenant string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	if err := s.enter(); err != nil {
		return tracestore.SearchPage{}, err
	}
	defer s.leave()
	run, err := s.newSearch(ctx, tenant, query)
	if err != nil {
		return tracestore.SearchPage{}, err
	}
	return run.answer()
}

func (s *Store) newSearch(ctx context.Context, tenant string, query *tracestore.SearchQuery) (*search, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if query.Limit < 1 || !query.Order.Valid() {
		return nil, fmt.Errorf("search: limit is %d, must be at least 1; order is %q", query.Limit, query.Order)
	}
	filter, rest := tracestore.NewFilter(&query.Where), withoutSpans(&query.Where)
	run := &search{
		store: s, ctx: ctx, query: query, tenant: tenant, filter: filter, decides: filter.Decided(tracerow.Exact),
		conjuncts: spanConjuncts(nil, &query.Where), structures: structureConjuncts(nil, &query.Where),
		spansDecide: tracestore.NewFilter(&rest).Decided(tracerow.Exact),
		window:      searchRange{newest: unixNano(query.End.Add(-1)), oldest: unixNano(query.Start)},
		rows:        s.options.MaxSearchTraces,
		deadline:    time.Now().Add(s.options.MaxSearchTime),
		yielded:     time.Now(),
		waiting:     maxCandidates,
	}
	if !query.Deadline.IsZero() && query.Deadline.Before(run.deadline) {
		run.deadline = query.Deadline
	}
	if query.Cursor != "" {
		position, err := tracestore.DecodeCursor(tenant, query)
		if err != nil {
			return nil, err
		}
		run.cursor = &position
	}
	return run, nil
}

func (r *search) answer() (tracestore.SearchPage, error) {
	stale, err := r.openSnapshot()
	if err != nil {
		return tracestore.SearchPage{}, err
	}
	defer func() { _ = r.snapshot.Close() }() // fails only if closed before
	defer r.closeBodies()
	answer := r.page
	if r.query.Order != tracestore.OrderRecency {
		answer = r.ranked
	}
	page, err := answer()
	if err != nil {
		return tracestore.SearchPage{}, fmt.Errorf("search: %w", err)
	}
	if stale || r.unread {
		page.Truncated, page.Total.Exact = true, false
	}
	if page.Truncated {
		r.store.counters.truncated.Add(1)
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
	days     []*dayInMemory
	// openRows are the traces whose joined row is not there or older than the snapshot, with a row; nil where there is none any more.
	openRows map[pcommon.TraceID]*candidate
	window   searchRange
	filter   *tracestore.Filter
	cursor   *tracestore.Position // nil on the first page
	decides  bool                 // rows alone answer the query
	// conjuncts hold, each of them, on a span of every trace that matches.
	conjuncts []*tracestore.SpanConditions
	// structures are in every trace that matches, each of them.
	structures []*tracestore.Structure
	// spansDecide says that a trace matches if the conjuncts hold, and its row does not tell that it does not.
	spansDecide bool
	heads       map[uint64]*headFacts // by sequence, of the blocks of traces of several releases
	bodies      []*openedSearchBlock  // whose body is open, the one used last at the end
	unread      bool                  // something that may match was too large to be looked at, or the disk did not give it

	rows     int // that may still be looked at
	deadline time.Time
	yielded  time.Time
	waiting  int // how many candidates may wait for older blocks, about
}

func (r *search) page() (tracestore.SearchPage, error) {
	var page tracestore.SearchPage
	rest := r.window
	if r.cursor != nil {
		rest.after = &tracestore.Position{Time: r.cursor.Time, TraceID: r.cursor.TraceID}
		rest.newest = min(rest.newest, r.cursor.Time)
	}
	before := 0
	if r.cursor != nil {
		before = r.cursor.Found
	}
	more := 0 // rows behind a full page that match, or may match
	w, err := r.openWindow(rest)
	if err != nil {
		return page, err
	}
	w.mustMove = true
	last := rest.after // the last row that was dealt with
	all, err := w.each(func(c *candidate) (bool, error) {
		if len(page.Traces) == r.query.Limit {
			more++
			return false, nil
		}
		matches, err := r.settle(c)
		if errors.Is(err, errLimit) && !w.moved { // the next page would come as far as this one
			r.unread, err = true, nil
		}
		if err != nil {
			return false, err
		}
		if matches {
			page.Traces = append(page.Traces, c.row.Summary)
		}
		last = &c.at
		return true, nil
	})
	if err == nil && more > 0 && r.decides {
		var counted int
		counted, err = w.count()
		more, all = more+counted, err == nil
	}
	limited := errors.Is(err, errLimit)
	if err = errors.Join(err, w.close()); err != nil && !limited {
		return tracestore.SearchPage{}, err
	}
	page.Truncated = limited && len(page.Traces) < r.query.Limit
	if page.Truncated && w.moved {
		last = &w.passed
	}
	if (limited || more > 0) && last != nil {
		page.NextCursor = tracestore.EncodeCursor(r.tenant, r.query, tracestore.Position{
			Time: last.Time, TraceID: last.TraceID, Found: before + len(page.Traces),
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
	after := tracestore.Position{Time: r.cursor.Time, TraceID: r.cursor.TraceID}
	complete, err := r.scan(front, func(c *candidate) (bool, error) {
		if c.at.Compare(&after) <= 0 {
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

// scan calls f for the candidates of the range until it returns false, and says whether all were seen. It ends with errLimit when
// the search has looked at enough.
func (r *search) scan(rows searchRange, f func(c *candidate) (bool, error)) (all bool, err error) {
	w, err := r.openWindow(rows)
	if err != nil {
		return false, err
	}
	all, err = w.each(f)
	return all, errors.Join(err, w.close())
}

// spend takes one trace off the search's budget.
func (r *search) spend() error {
	if r.rows == 0 {
		return errLimit
	}
	r.rows--
	if r.rows%64 != 0 && r.decides {
		return nil
	}
	return r.interrupted()
}

// interrupted says why the search ends here, nil where it goes on. It lets others run, now and then: writers wait for processors that searches keep.
func (r *search) interrupted() error {
	now := time.Now()
	if now.Sub(r.yielded) > yieldEvery {
		r.yielded = now
		runtime.Gosched()
	}
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.store.ctx.Err() != nil:
		return tracestore.ErrClosed
	case now.After(r.deadline):
		return errLimit
	}
	return nil
}

// partitions are those that can hold a trace of the window: a search time is at most an hour behind its release.
func (r *search) partitions() []*dayInMemory {
	oldest := dayOf(max(r.window.oldest, 0) - int64(time.Hour))
	for i, d := range r.days {
		if d.day < oldest {
			return r.days[:i]
		}
	}
	return r.days
}

// spanConjuncts lists the span conditions of which each must hold on a span wherever the whole does.
func spanConjuncts(list []*tracestore.SpanConditions, c *tracestore.Conditions) []*tracestore.SpanConditions {
	if !c.Span.Empty() {
		list = append(list, &c.Span)
	}
	for i := range c.And {
		list = spanConjuncts(list, &c.And[i])
	}
	return list
}

// withoutSpans is what is left of the conditions without those that spanConjuncts lists.
func withoutSpans(c *tracestore.Conditions) tracestore.Conditions {
	rest := *c
	rest.Span, rest.And = tracestore.SpanConditions{}, nil
	for i := range c.And {
		rest.And = append(rest.And, withoutSpans(&c.And[i]))
	}
	return rest
}

// structureConjuncts lists the structures that are in a trace wherever the whole holds.
func structureConjuncts(list []*tracestore.Structure, c *tracestore.Conditions) []*tracestore.Structure {
	for i := range c.Structure {
		list = append(list, &c.Structure[i])
	}
	for i := range c.And {
		list = structureConjuncts(list, &c.And[i])
	}
	return list
}

// mayHold says whether the block can hold a match: false is certain.
func (r *search) mayHold(head *block.Head) bool {
	for _, conditions := range r.conjuncts {
		if !head.MayMatch(conditions) {
			return false
		}
	}
	tokens := r.filter.Tokens()
	return r.filter.Judge(&tracestore.Facts{Token: maybe(func(i int) bool { return head.MayHold(tokens[i]) })}) != tracestore.No
}

// settle says whether the trace matches, by its spans where the row leaves it open. A trace that cannot be read, or is too large for that, does not match.
func (r *search) settle(c *candidate) (bool, error) {
	if c.verdict != tracestore.Maybe {
		return c.verdict == tracestore.Yes, nil
	}
	verify := r.verifyJoined
	if c.block != nil {
		verify = r.verify
	}
	matches, err := verify(c)
	switch {
	case isUnreadable(err):
		r.passTrace(c.at.TraceID, err)
		return false, nil
	case errors.Is(err, errTooLarge): // which would be the same for whoever follows the cursor
		r.unread = true
		return false, nil
	}
	return matches, err
}

// unreadable notes that something is left out of the answer that the disk may give again; what is corrupt it does not give any more.
func (r *search) unreadable(err error) { r.unread = r.unread || isReadError(err) }

// passTrace tells of a trace that cannot be read, and goes on without it.
func (r *search) passTrace(id pcommon.TraceID, err error) {
	r.unreadable(err)
	r.store.corrupt(id, err)
}

// passBlock tells of a block that cannot be read, and goes on without it.
func (r *search) passBlock(b *windowBlock, err error) {
	r.unreadable(err)
	r.store.corruptBlock(b.at, b.sequence, err)
}

// verify looks at the spans of a trace of one release, where its block does not tell.
func (r *search) verify(c *candidate) (bool, error) {
	b := c.block
	if !b.asked {
		if err := b.ask(r); err != nil {
			return false, err
		}
	}
	if c.number >= len(b.verdicts) {
		return false, errCorrupt
	}
	switch b.verdicts[c.number] {
	case tracestore.No:
		r.rows++ // which looks at traces are for
		return false, nil
	case tracestore.Yes:
		if r.spansDecide {
			return true, nil
		}
	}
	if err := r.openBody(b); err != nil {
		return false, err
	}
	td, err := b.body.Traces(c.number, c.at.TraceID)
	if err != nil {
		return false, err
	}
	_, joined := tracetree.Join([]ptrace.Traces{td})
	return r.filter.Match(&c.row.Summary, joined.Spans), nil
}

// maxBodies is how many blocks a search holds open.
const maxBodies = 4

// openBody opens the block's body, and closes the one that was not used for longest where there are many.
func (r *search) openBody(b *openedSearchBlock) error {
	if at := slices.Index(r.bodies, b); at >= 0 {
		r.bodies = append(slices.Delete(r.bodies, at, at+1), b)
		return nil
	}
	body, err := readBody(r.snapshot, b.at, b.sequence)
	if err != nil {
		return err
	}
	if len(r.bodies) == maxBodies {
		r.bodies[0].body.Close()
		r.bodies[0].body = nil
		r.bodies = slices.Delete(r.bodies, 0, 1)
	}
	b.body = body
	r.bodies = append(r.bodies, b)
	return nil
}

func (r *search) closeBodies() {
	for _, b := range r.bodies {
		b.body.Close()
	}
	r.bodies = nil
}

// ask lowers the verdicts on the block's releases by what its body says.
func (b *openedSearchBlock) ask(r *search) error {
	if err := r.openBody(b); err != nil {
		return err
	}
	if len(b.verdicts) != b.body.Len() {
		return errCorrupt
	}
	for _, conditions := range r.conjuncts {
		if err := b.body.Judge(b.verdicts, conditions); err != nil {
			return err
		}
	}
	for _, structure := range r.structures {
		list, err := b.body.Related(nil, structure)
		if err != nil {
			return err
		}
		b.onlyMaybe(list)
	}
	if err := b.settle(r); err != nil {
		return err
	}
	b.asked = true
	return nil
}

// settle decides what is open about single spans.
func (b *openedSearchBlock) settle(r *search) error {
	if len(r.conjuncts) == 0 || !slices.Contains(b.verdicts, tracestore.Maybe) {
		return nil
	}
	least := slices.Clone(b.verdicts)
	for i, v := range least {
		if v == tracestore.Maybe && len(r.structures) == 0 {
			least[i] = tracestore.Yes
		}
	}
	for _, conditions := range r.conjuncts {
		settled := slices.Clone(b.verdicts)
		for i := range settled {
			settled[i] = min(settled[i], least[i]) // what another one ruled out is not read again
		}
		if err := b.body.Settle(settled, conditions); err != nil {
			return err
		}
		for i := range least {
			least[i] = min(least[i], settled[i])
		}
	}
	b.verdicts = least
	return nil
}

// onlyMaybe lowers the verdict on what is in the list, which ascends, to Maybe, and that on the others to No.
func (b *openedSearchBlock) onlyMaybe(list []int) {
	next := 0
	for i, v := range b.verdicts {
		if next < len(list) && list[next] == i {
			next++
			b.verdicts[i] = min(v, tracestore.Maybe)
		} else {
			b.verdicts[i] = tracestore.No
		}
	}
}
