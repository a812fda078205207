package query

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// InFlight asks the assembling stages whether they hold a trace that no storage knows yet. The zero value knows no stage.
// It is safe for concurrent use.
type InFlight struct {
	mu     sync.RWMutex
	stages []*tracestore.InFlight // replaced, never changed in place; guarded by mu
}

// Register adds a stage until the returned function is called, which may happen more than once.
func (r *InFlight) Register(f tracestore.InFlight) (unregister func()) {
	stage := &f
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stages = append(slices.Clone(r.stages), stage)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stages = slices.DeleteFunc(slices.Clone(r.stages), func(s *tracestore.InFlight) bool { return s == stage })
	}
}

// Holds says whether a stage holds the trace; known is false where no stage is registered, so that nobody can tell.
func (r *InFlight) Holds(ctx context.Context, tenant string, id pcommon.TraceID) (holds, known bool) {
	r.mu.RLock()
	stages := r.stages
	r.mu.RUnlock()
	for _, stage := range stages {
		if (*stage)(ctx, tenant, id) {
			return true, true
		}
	}
	return false, len(stages) > 0
}
