// Package handback lets who made the pdata of a call use its memory again. pdata's rule is that who hands data on does not know who has
// it when the call returns, so its memory is left to the collector of garbage: at full speed, half of what a process allocates. Here
// the maker offers a call in the context, and the consumer at the end of the pipeline, which has kept nothing of it, gives it back. Where
// a consumer does not know of it, a processor in between makes other data of it, or several consumers share it, nothing is given back.
package handback

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Offer is a call that is handed on.
type Offer struct {
	td       ptrace.Traces
	returned atomic.Bool
}

type key struct{}

// New offers td to the consumers that are called with the context that it returns.
func New(ctx context.Context, td ptrace.Traces) (context.Context, *Offer) {
	o := &Offer{td: td}
	return context.WithValue(ctx, key{}, o), o
}

// Return says that the caller, who was handed td, has kept nothing of it but texts, and hands it to nobody. It does nothing where td was not
// offered, or others may have it: a fan-out marks as read-only what it gives to several.
func Return(ctx context.Context, td ptrace.Traces) {
	if o, ok := ctx.Value(key{}).(*Offer); ok && o.td == td && !td.IsReadOnly() {
		o.returned.Store(true)
	}
}

// Returned says whether the call was given back. It is asked when the consumer has returned without an error.
func (o *Offer) Returned() bool { return o.returned.Load() }

// gate switches it off: for who suspects a component of keeping what it has handed on, and to tell what it saves.
var gate = featuregate.GlobalRegistry().MustRegister("tracewright.handback", featuregate.StageBeta,
	featuregate.WithRegisterDescription("trace_assembly uses the memory of a call again that the storage gives back."),
	featuregate.WithRegisterFromVersion("v0.1.0"))

// poolingGate lets pdata itself use memory again, at the end of a pipeline.
const poolingGate = "pdata.useProtoPooling"

// Usable says whether memory that was given back may be used: not where that is switched off, nor where pdata uses it too.
func Usable() bool {
	usable := gate.IsEnabled()
	featuregate.GlobalRegistry().VisitAll(func(g *featuregate.Gate) {
		if g.ID() == poolingGate && g.IsEnabled() {
			usable = false
		}
	})
	return usable
}
