package insights

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/test/playtest"
)

const (
	badZone = "eu-central-1b"
	delay   = 300 * time.Millisecond
)

// inZone changes requests that enter in the bad zone, and counts the others as well.
type inZone struct {
	change      func(span ptrace.Span) bool
	in, changed int64
}

func (z *inZone) requests(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		zone, _ := rs.Resource().Attributes().Get("cloud.availability_zone")
		if conventions.ServiceName(rs.Resource()) != "edge-proxy" || zone.Str() != badZone {
			continue
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if span.ParentSpanID().IsEmpty() {
					z.in++
					if z.change(span) {
						z.changed++
					}
				}
			}
		}
	}
}

// A zone in which requests fail, or wait, is named first, as such.
func TestOutlierZone(t *testing.T) {
	const later = time.Hour + 2*time.Minute // what is slow is judged by the closed hour before
	normal := playtest.Play(t, 0, playtest.Traffic{Shop: shop.Options{Seed: 1}, Rate: rate, Visits: 600})
	every := func(n byte, id pcommon.TraceID) bool { return id[15]%n == 0 }
	for name, test := range map[string]struct {
		change func(span ptrace.Span) bool
		holds  func(t *testing.T, z *inZone, first *insight)
	}{
		"it fails": {
			func(span ptrace.Span) bool {
				if !every(3, span.TraceID()) || span.Status().Code() == ptrace.StatusCodeError {
					return false
				}
				span.Status().SetCode(ptrace.StatusCodeError)
				return true
			},
			func(t *testing.T, z *inZone, first *insight) {
				require.InDelta(t, z.changed, first.SavingFailures, 0.15*float64(z.changed))
				require.Zero(t, first.SavingNS)
			},
		},
		"it is slow": {
			func(span ptrace.Span) bool {
				if every(2, span.TraceID()) {
					span.SetEndTimestamp(span.EndTimestamp() + pcommon.Timestamp(delay))
				}
				return every(2, span.TraceID())
			},
			func(t *testing.T, z *inZone, first *insight) {
				require.Zero(t, first.SavingFailures)
				require.InDelta(t, float64(delay)*float64(z.changed)/float64(z.in), float64(first.SavingNS), 0.2*float64(delay))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := &inZone{change: test.change}
			store := playtest.Stored(t, normal, playtest.Play(t, later, playtest.Traffic{Shop: shop.Options{Seed: 2}, Rate: rate, Visits: 900, Change: z.requests}))
			all := insightsOf(t, store, later, later+2*time.Minute, "baseline", playtest.Midnight.Format(time.RFC3339))
			require.NotEmpty(t, all)
			first := &all[0]
			require.Equal(t, "outlier_attribute", first.Kind, first.Title)
			require.Equal(t, "incident", first.Urgency)
			require.Equal(t, "edge-proxy", first.Service)
			require.Equal(t, attribute{"cloud.availability_zone", badZone}, first.Attribute)
			require.Len(t, first.TraceIDs, 3)
			require.Greater(t, first.Confidence, 0.99)
			require.Equal(t, z.in, first.Requests)
			test.holds(t, z, first)
			require.Len(t, told(all, "outlier_attribute"), 1)
			require.Contains(t, first.Advice, "The same requests have k8s.node.name=", "edge-proxy has one node there")
		})
	}
}
