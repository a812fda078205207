package clickhousestore

import (
	"context"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Where a search begins to look for hits the quarters say. They change little from one search to the next, so the first statement for hits
// is asked for while they are listed, from where the last search of the tenant would begin now. Any place would do: a slice is right
// wherever it begins, as long as the quarters that it ends with are those of the list.

// maxBegun is of how many tenants it is known where their last search began.
const maxBegun = 1000

// begun knows where searches of tenants began. It is safe for concurrent use; the zero value is ready.
type begun struct {
	mu   sync.Mutex
	last map[string]beginning // guarded by mu, by tenant
}

// beginning is where a search began.
type beginning struct {
	newest time.Time // the newest start that was asked for, about
	from   time.Time // of the releases that were looked at first
	last   time.Time // the quarter of the newest of them
}

func (b *begun) put(tenant string, at beginning) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.last[tenant]; b.last == nil || !known && len(b.last) >= maxBegun {
		b.last = make(map[string]beginning)
	}
	b.last[tenant] = at
}

// at is the slice that a search of the tenant would begin with that asks for starts until newest, with the quarters that it may lie in. It is not known
// where the last one asked for those of another quarter.
func (b *begun) at(tenant string, newest time.Time) (s slice, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, known := b.last[tenant]
	if !known || !quarterOf(at.newest).Equal(quarterOf(newest)) {
		return slice{}, false
	}
	s.from = at.from.Add(newest.Sub(at.newest))
	for q := at.last; len(s.quarters) == 0 || !q.Before(quarterOf(s.from)); q = q.Add(-15 * time.Minute) {
		s.quarters = append(s.quarters, quarter{at: q})
	}
	return s, true
}

// ahead is hits that are looked for while quarters are listed.
type ahead struct {
	slice  slice
	cancel context.CancelFunc
	asking sync.WaitGroup // until ids and err stand
	ids    []pcommon.TraceID
	err    error
}

// lookAhead begins to look for the newest hits, where it is known about where; nil where it is not. End has to be called. Behind a cursor the quarters
// are others.
func (r *search) lookAhead() *ahead {
	if r.reaching.spans == 0 || r.cursor != nil {
		return nil
	}
	s, known := r.store.begun.at(r.tenant, r.newest())
	if !known {
		return nil
	}
	r.slice = s
	values := parameters{}
	text := r.hitsOf(values, r.reaching.atOnce+1, false)
	r.slice = slice{}
	ctx, cancel := context.WithCancel(r.ctx)
	a := &ahead{slice: s, cancel: cancel}
	a.asking.Go(func() { a.ids, _, a.err = r.store.readHitIDs(ctx, text, values, false) })
	return a
}

// end gives up what is not wanted any more.
func (a *ahead) end() {
	if a != nil {
		a.cancel()
		a.asking.Wait()
	}
}

// wait is the hits.
func (a *ahead) wait() ([]pcommon.TraceID, error) {
	a.asking.Wait()
	return a.ids, a.err
}

// takeAhead is what was looked for ahead, and the slice in which it is all, now that the quarters are known; nil where it was not all.
func (r *search) takeAhead() *ahead {
	a := r.ahead
	if a == nil {
		return nil
	}
	s := slice{quarters: r.quarters, final: math.MinInt64}
	if from := a.slice.from; from.After(r.quarters[len(r.quarters)-1].at) {
		s = r.sliceFrom(from)
	}
	if len(s.quarters) == 0 || s.quarters[0].at.After(a.slice.quarters[0].at) || r.older(&s) {
		a.cancel()
		return nil
	}
	a.slice = s
	return a
}
