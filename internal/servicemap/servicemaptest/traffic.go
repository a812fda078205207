package servicemaptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
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
	made := make([]*shop.Visit, visits)
	for i := range made {
		made[i] = f.shop.Visit(f.next)
		f.next++
		f.visits = append(f.visits, visit{tenant, environment, releasedAt, made[i]})
	}
	td, err := shoptest.Call(f.shop, releasedAt, made...)
	require.NoError(t, err)
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		if tenant != "" {
			attrs.PutStr(conventions.AttrTenant, tenant)
		}
		attrs.PutStr("deployment.environment.name", environment)
	}
	return td
}
