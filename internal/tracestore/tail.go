package tracestore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Tailer is implemented by a storage that tells of traces as it stores them.
type Tailer interface {
	// Tail tells of what is stored from now on, some seconds later at most: of each release of the tenant's, once it is durable, that meets the
	// conditions by itself, its row. Of what the tail has no place for, beyond size rows that were not taken, it counts how many there were: a
	// reader never holds up a writer. A call that became durable behind an error of its WriteCall may be left out. The tail must be closed. The
	// conditions must not change until then. It has ended already where the storage is closed. An error is that of a storage that cannot be asked.
	Tail(ctx context.Context, tenant string, where *Conditions, size int) (*Tail, error)
}

// Tail is told of releases. It serves one reader.
type Tail struct {
	// Rows are what the storage told, in the order in which calls became durable, about. It is never closed.
	Rows <-chan Summary
	// Ended is closed when the storage closes.
	Ended <-chan struct{}

	tails  *Tails
	tenant string
	where  *Conditions
	rows   chan Summary
	ended  chan struct{}
	missed atomic.Int64
}

// Missed is how many rows the tail had no place for.
func (t *Tail) Missed() int64 { return t.missed.Load() }

// Close ends it. It may be called twice.
func (t *Tail) Close() { t.tails.remove(t) }

func (t *Tail) offer(row *Summary) {
	select {
	case t.rows <- *row:
	default:
		t.missed.Add(1)
	}
}

// Tails are those of a storage, which tells them of its calls. While there are none, that takes as long as looking at a pointer. The zero
// value is ready. It is safe for concurrent use.
type Tails struct {
	list atomic.Pointer[map[string][]*Tail] // by tenant; replaced, never changed in place; nil while empty

	mu     sync.Mutex // guards closed, and replacing list
	closed bool
}

// Tail adds a tail, see Tailer.
func (t *Tails) Tail(tenant string, where *Conditions, size int) *Tail {
	rows, ended := make(chan Summary, size), make(chan struct{})
	tail := &Tail{Rows: rows, Ended: ended, tails: t, tenant: tenant, where: where, rows: rows, ended: ended}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		close(ended)
		return tail
	}
	t.replace(tenant, append(slices.Clone(t.of(tenant)), tail))
	return tail
}

// Tenants are those that have tails.
func (t *Tails) Tenants() []string {
	if list := t.list.Load(); list != nil {
		return slices.Collect(maps.Keys(*list))
	}
	return nil
}

func (t *Tails) of(tenant string) []*Tail {
	if list := t.list.Load(); list != nil {
		return (*list)[tenant]
	}
	return nil
}

// replace replaces the tails of a tenant. mu is held.
func (t *Tails) replace(tenant string, tails []*Tail) {
	list := make(map[string][]*Tail)
	if before := t.list.Load(); before != nil {
		list = maps.Clone(*before)
	}
	if len(tails) > 0 {
		list[tenant] = tails
	} else {
		delete(list, tenant)
	}
	if len(list) == 0 {
		t.list.Store(nil)
		return
	}
	t.list.Store(&list)
}

func (t *Tails) remove(tail *Tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(tail.tenant, slices.DeleteFunc(slices.Clone(t.of(tail.tenant)), func(other *Tail) bool { return other == tail }))
}

// Close ends all tails, and those that come later at once.
func (t *Tails) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	if list := t.list.Load(); list != nil {
		for _, tails := range *list {
			for _, tail := range tails {
				close(tail.ended)
			}
		}
	}
}

// Tell tells the tails of the releases of a call. explain gives the row of a release, and its spans with their annotations; it is asked
// only of those whose tenant has a tail. Neither is changed, and the row is kept.
func (t *Tails) Tell(releases []tracetree.Release, explain func(*tracetree.Release) (*Summary, []tracetree.Span)) {
	list := t.list.Load()
	if list == nil {
		return
	}
	filters := make(map[*Tail]*Filter)
	for i := range releases {
		tails := (*list)[releases[i].Tenant]
		if len(tails) == 0 {
			continue
		}
		row, spans := explain(&releases[i])
		for _, tail := range tails {
			filter := filters[tail]
			if filter == nil {
				filter = NewFilter(tail.where)
				filters[tail] = filter
			}
			if filter.Match(row, spans) {
				tail.offer(row)
			}
		}
	}
}
