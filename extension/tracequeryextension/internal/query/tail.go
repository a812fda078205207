package query

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// MaxTails is how many clients may follow at a time, MaxTenantTails how many of one tenant.
	MaxTails       = 64
	MaxTenantTails = 16
	// tailRows is how many rows a client may lag behind.
	tailRows = 1024
)

// ErrNoTail says that the storage does not tell of traces as it stores them.
var ErrNoTail = errors.New("this storage does not tell of traces as it stores them; search instead")

// TooManyTailsError says that so many clients follow already, of the tenant or in all.
type TooManyTailsError struct {
	Most     int
	OfTenant bool
}

func (e *TooManyTailsError) Error() string {
	whose := ""
	if e.OfTenant {
		whose = " of this tenant"
	}
	return fmt.Sprintf("%d clients%s follow already, which is the most; leave one, or search instead", e.Most, whose)
}

// Tail is told of a tenant's traces as they are stored. It must be closed.
type Tail struct {
	*tracestore.Tail
	close func()
}

// Close ends it, once.
func (t *Tail) Close() {
	t.Tail.Close()
	t.close()
}

// Tail follows what is stored of a tenant from now on and meets the conditions. Errors: ErrNoTail, *TooManyTailsError, tracestore.ErrClosed, and those of
// a storage that cannot be asked.
func (s *Service) Tail(ctx context.Context, tenant string, where *tracestore.Conditions) (*Tail, error) {
	storage, err := s.Storage()
	if err != nil {
		return nil, fmt.Errorf("follow the storage: %w", err)
	}
	tailer, ok := storage.(tracestore.Tailer)
	if !ok {
		return nil, ErrNoTail
	}
	if err := s.tails.add(tenant); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	tail, err := tailer.Tail(ctx, tenant, where, tailRows)
	if err != nil {
		s.tails.remove(tenant)
		return nil, fmt.Errorf("follow the storage: %w", err)
	}
	return &Tail{tail, sync.OnceFunc(func() { s.tails.remove(tenant) })}, nil
}

// tailCount counts tails. The zero value is ready.
type tailCount struct {
	mu       sync.Mutex // guards the fields below
	all      int
	byTenant map[string]int
}

func (c *tailCount) add(tenant string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= MaxTails:
		return &TooManyTailsError{Most: MaxTails}
	case c.byTenant[tenant] >= MaxTenantTails:
		return &TooManyTailsError{Most: MaxTenantTails, OfTenant: true}
	}
	if c.byTenant == nil {
		c.byTenant = make(map[string]int)
	}
	c.all++
	c.byTenant[tenant]++
	return nil
}

func (c *tailCount) remove(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.byTenant[tenant]--; c.byTenant[tenant] == 0 {
		delete(c.byTenant, tenant)
	}
}
