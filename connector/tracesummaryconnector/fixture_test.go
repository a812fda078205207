package tracesummaryconnector

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// shop is a trace of six spans that fails at its spans 4 and 5. Its times begin at 100, for 0 is no time.
//
//	1 shop   100        200   path: 100–110, 160–170, 190–200 = 30
//	2   shop  110   160       path: 110–120, 150–160 = 20
//	3     orders 120 150      path: 120–130, 145–150 = 15
//	4       orders 130 145    path: 15, origin (LookupError)
//	5   shop     170 190      path: 20, origin
const shop = `
	shop   1 - server   100 200 name=POST_/checkout error
	shop   2 1 client   110 160 name=call
	orders 3 2 server   120 150 name=reserve error
	orders 4 3 internal 130 145 name=look_up error exception=LookupError:no_such_thing
	shop   5 1 client   170 190 name=pay error=refused error.type=refused`

// released is what trace_assembly would write on a release of the trace, on its first span; version 0 is none.
type released struct {
	outcome        string
	version, part  int
	tenant         string
	trace          byte // last of its id
	at             int64
	missingParents int
}

// nobody is a parent that is released nowhere.
var nobody = treetest.ID(0xffff)

// call makes one call of a trace's text, analysed as one release.
func call(t *testing.T, text string, r released) ptrace.Traces {
	t.Helper()
	td := treetest.Traces(t, text)
	first := true
	for _, rs := range td.ResourceSpans().All() {
		if r.tenant != "" {
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, r.tenant)
		}
		if r.at != 0 {
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, r.at)
		}
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			if r.trace != 0 {
				span.SetTraceID(pcommon.TraceID{15: r.trace})
			}
			if first && r.version > 0 {
				span.Attributes().PutStr(conventions.AttrOutcome, r.outcome)
				span.Attributes().PutInt(conventions.AttrVersion, int64(r.version))
				if r.part > 0 {
					span.Attributes().PutInt(conventions.AttrPart, int64(r.part))
				}
				if r.missingParents > 0 {
					span.Attributes().PutInt(conventions.AttrMissingParents, int64(r.missingParents))
				}
			}
			first = false
			if r.outcome == "part" || r.outcome == "interim" || r.outcome == "late" { // assembly knows what the release alone does not
				if span.ParentSpanID() == nobody {
					span.Attributes().PutBool(conventions.AttrOrphan, true)
				}
			}
		}
	}
	analyse(td)
	return td
}

func analyse(td ptrace.Traces) {
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
}

// join puts calls into one; the releases of one trace stay apart by their ids.
func join(calls ...ptrace.Traces) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, c := range calls {
		c.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return td
}

func settings(t *testing.T) (connector.Settings, *componenttest.Telemetry) {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context()))) })
	set := connectortest.NewNopSettings(typ)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Resource.Attributes().PutStr("service.name", "tracewright")
	set.BuildInfo.Version = "test"
	return set, telemetry
}

func startLogs(t *testing.T, set connector.Settings, next consumer.Logs) connector.Traces {
	t.Helper()
	c, err := NewFactory().CreateTracesToLogs(t.Context(), set, createDefaultConfig(), next)
	require.NoError(t, err)
	require.False(t, c.Capabilities().MutatesData)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.WithoutCancel(t.Context()))) })
	return c
}

// startMetrics leaves the shutdown to the test.
func startMetrics(t *testing.T, set connector.Settings, next consumer.Metrics, change func(*MetricsConfig)) connector.Traces {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(&cfg.Metrics)
	}
	require.NoError(t, cfg.Validate())
	c, err := NewFactory().CreateTracesToMetrics(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.False(t, c.Capabilities().MutatesData)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	return c
}

// refusing is a consumer that answers errors before it takes anything.
type refusing struct{ errs []error }

func (r *refusing) next() error {
	if len(r.errs) == 0 {
		return nil
	}
	err := r.errs[0]
	r.errs = r.errs[1:]
	return err
}
