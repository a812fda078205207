package traceassemblyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// question asks whether spans of a trace are held. It goes the way that spans go, behind those that were accepted before it,
// so that a trace on its way from one stage to the next is not missed.
type question struct {
	key    traceKey
	answer chan bool // has room for one
}

// registerInFlight offers inFlight to the extension that answers queries, if there is one.
func (p *assemblyProcessor) registerInFlight(host component.Host) {
	for _, ext := range host.GetExtensions() {
		if registry, ok := ext.(tracestore.InFlightRegistry); ok {
			p.unregister = append(p.unregister, registry.RegisterInFlight(p.inFlight))
		}
	}
}

// inFlight says whether spans of the trace are held: in an open trace, or in a call that the next consumer has not taken.
// It answers false when ctx ends first, and while the processor stops.
func (p *assemblyProcessor) inFlight(ctx context.Context, tenant string, id pcommon.TraceID) bool {
	if !p.gate.enter() {
		return false
	}
	defer p.gate.leave()
	key := traceKey{tenant, id}
	q := &question{key: key, answer: make(chan bool, 1)}
	select {
	case p.shards[shardOf(id, tenantMix(tenant), len(p.shards))].in <- message{question: q}:
	case <-ctx.Done():
		return false
	case <-p.gate.stopping:
		return false
	}
	if p.await(ctx, q) {
		return true
	}
	q = &question{key: key, answer: make(chan bool, 1)}
	select {
	case p.builder.in <- delivery{question: q}:
	case <-ctx.Done():
		return false
	case <-p.gate.stopping:
		return false
	}
	return p.await(ctx, q)
}

func (p *assemblyProcessor) await(ctx context.Context, q *question) bool {
	select {
	case held := <-q.answer:
		return held
	case <-ctx.Done():
	case <-p.gate.stopping:
	}
	return false
}

// answer says whether a release of the trace is in the open call or waits for the next consumer.
func (b *callBuilder) answer(q *question) {
	_, open := b.traces[q.key]
	q.answer <- open || b.out.holds(q.key)
}
