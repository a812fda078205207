package callexport

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// maxTaken is how many calls are remembered at least. Those that come again do so within seconds, and each worker of trace_assembly has one.
const maxTaken = 10_000

// Once passes on each call that was taken no second time. A pipeline hands a call to all its exporters, and trace_assembly repeats it to all
// where one refuses it: those that took it would queue another copy with each repetition, for as long as the other one refuses.
func Once(next exporter.Traces) exporter.Traces { return &once{Traces: next} }

type once struct {
	exporter.Traces
	mu sync.Mutex
	// taken and before are the last calls that were taken, or came again; guarded by mu. When taken is full it becomes before.
	taken, before map[tracetree.CallID]struct{}
}

// ConsumeTraces answers nil for a call that was taken.
func (o *once) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	id := tracetree.CallIDOf(td)
	if o.has(id) {
		o.put(id)
		return nil
	}
	if err := o.Traces.ConsumeTraces(ctx, td); err != nil {
		return err
	}
	o.put(id)
	return nil
}

func (o *once) has(id tracetree.CallID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, taken := o.taken[id]
	_, before := o.before[id]
	return taken || before
}

func (o *once) put(id tracetree.CallID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken == nil || len(o.taken) >= maxTaken {
		o.taken, o.before = make(map[tracetree.CallID]struct{}), o.taken
	}
	o.taken[id] = struct{}{}
}
