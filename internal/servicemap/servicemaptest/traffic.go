package servicemaptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Traffic is visits to the simulated shop, as trace_assembly and trace_analysis hand them on. It knows the truth of what it made.
type Traffic struct {
	Truth

	shop *shop.Shop
	next int
}

// NewTraffic begins with the first visit.
func NewTraffic(seed uint64) *Traffic { return &Traffic{shop: shop.New(shop.Options{Seed: seed})} }

// Call makes the next visits one call.
func (f *Traffic) Call(t testing.TB, tenant, environment string, releasedAt time.Time, visits int) ptrace.Traces {
	t.Helper()
	batches := map[int]*wire.Batch{}
	var order []int
	for range visits {
		v := f.shop.Visit(f.next)
		f.next++
		f.visits = append(f.visits, visit{tenant, environment, releasedAt, v})
		f.shop.Encode(v, 0, func(i int, scope wire.Scope, span *wire.Span) {
			instance := f.shop.Instance(&v.Spans[i])
			if batches[instance] == nil {
				batches[instance] = wire.NewBatch(f.shop.Resource(instance), shop.SchemaURL)
				order = append(order, instance)
			}
			batches[instance].Add(scope, span)
		})
	}
	var request []byte // requests add up when they are put behind one another
	for _, instance := range order {
		payload := batches[instance].Payload()
		payload.Move(wire.Mask{}, releasedAt.Add(-5*time.Second).UnixNano())
		request = append(request, payload.Bytes()...)
	}
	td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(request)
	require.NoError(t, err)
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		attrs.PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
		if tenant != "" {
			attrs.PutStr(conventions.AttrTenant, tenant)
		}
		attrs.PutStr("deployment.environment.name", environment)
	}
	releases := tracetree.Releases(td)
	for i := range releases {
		for _, span := range releases[i].Spans {
			if span.ParentSpanID().IsEmpty() {
				span.Attributes().PutInt(conventions.AttrVersion, 1)
				span.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
			}
		}
	}
	releases = tracetree.Releases(td) // with what was just written
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}
