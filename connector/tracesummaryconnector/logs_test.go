package tracesummaryconnector

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/connector/tracesummaryconnector/internal/metadatatest"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// TestGoldenRecords: a failed trace of a tenant, one without failures that misses a parent, a part, one that no trace_assembly made, and one that
// nobody analysed; the late fragment has none. testdata/records.yaml is worked out by hand from the drawing of shop.
func TestGoldenRecords(t *testing.T) {
	set, _ := settings(t)
	sink := new(consumertest.LogsSink)
	c := startLogs(t, set, sink)
	stranger := treetest.Traces(t, "shop 1 - server 100 300 error\norders 2 1 server 150 250")
	for i := range stranger.ResourceSpans().Len() {
		stranger.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).SetTraceID([16]byte{15: 5})
	}
	td := join(
		call(t, shop, released{outcome: "complete", version: 1, tenant: "acme", trace: 1, at: 1000}),
		call(t, "shop 2 9 server 100 150 name=GET_/cart\nshop 3 2 internal 110 120",
			released{outcome: "quiet", version: 1, trace: 2, at: 1000}),
		call(t, "shop 1 - server 100 150 name=import\nshop 2 1 internal 100 120 error", released{outcome: "part", version: 1, trace: 3, at: 1000}),
		call(t, "shop 7 1 internal 130 140 error", released{outcome: "late", version: 2, trace: 1, at: 1000}),
		call(t, "shop 1 - server 100 150 name=ping", released{trace: 4, at: 1000}),
		stranger,
	)
	for i := range td.ResourceSpans().Len() { // the stranger's too, so that nothing depends on the clock
		resource := td.ResourceSpans().At(i).Resource().Attributes()
		resource.PutInt(conventions.AttrReleasedAt, 1000)
		if conventions.Str(resource, conventions.AttrTenant) != "" {
			resource.PutStr("deployment.environment.name", "prod")
		}
	}
	require.NoError(t, c.ConsumeTraces(t.Context(), td))
	require.Len(t, sink.AllLogs(), 1, "a call is one hand-over")
	got := sink.AllLogs()[0]

	file := filepath.Join("testdata", "records.yaml")
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(want, got))
	require.Equal(t, names(want), names(got), "plogtest does not look at names of events")

	require.NoError(t, c.ConsumeTraces(t.Context(), td))
	require.NoError(t, plogtest.CompareLogs(sink.AllLogs()[0], sink.AllLogs()[1]), "a repeated call makes the same records")
}

func names(logs plog.Logs) (names []string) {
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				names = append(names, record.EventName())
			}
		}
	}
	return names
}

// logsRefused takes after its errors are used up.
type logsRefused struct {
	refusing
	consumertest.LogsSink
}

func (r *logsRefused) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	if err := r.next(); err != nil {
		return err
	}
	return r.LogsSink.ConsumeLogs(ctx, logs)
}

func TestRefusedRecordsRefuseTheCall(t *testing.T) {
	set, telemetry := settings(t)
	full := errors.New("full")
	next := &logsRefused{refusing: refusing{errs: []error{full}}}
	c := startLogs(t, set, next)
	td := call(t, shop, released{outcome: "complete", version: 1})
	require.ErrorIs(t, c.ConsumeTraces(t.Context(), td), full)
	require.NoError(t, c.ConsumeTraces(t.Context(), td))
	require.Equal(t, 1, next.LogRecordCount())

	next.errs = []error{full}
	require.NoError(t, c.ConsumeTraces(t.Context(), ptrace.NewTraces()), "nothing is not handed on")
	require.NoError(t, c.ConsumeTraces(t.Context(), call(t, shop, released{outcome: "late", version: 2})), "nor what makes no record")
	metadatatest.AssertEqualConnectorTracesummaryRecords(t, telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualConnectorTracesummaryReleases(t, telemetry, []metricdata.DataPoint[int64]{{Value: 3}}, metricdatatest.IgnoreTimestamp())
}

func TestUnanalysedReleasesAreCounted(t *testing.T) {
	set, telemetry := settings(t)
	c := startLogs(t, set, consumertest.NewNop())
	require.NoError(t, c.ConsumeTraces(t.Context(), treetest.Traces(t, shop)))
	// Two parts of one trace that were analysed one by one.
	parts := join(call(t, "shop 1 - server 100 200", released{}), call(t, "shop 2 1 internal 110 120", released{}))
	require.NoError(t, c.ConsumeTraces(t.Context(), parts))
	metadatatest.AssertEqualConnectorTracesummaryReleasesUnanalysed(t, telemetry, []metricdata.DataPoint[int64]{{Value: 2}},
		metricdatatest.IgnoreTimestamp())
}

// Times that clocks cannot mean are left out: the record then has the time of its release alone.
func TestRecordTime(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		at   int64
		want int64
	}{
		"end":          {"shop 1 - server 100 200", 1000, 200},
		"no time":      {"shop 1 - server 0 0", 1000, 0},
		"future":       {"shop 1 - server 5000000000000 5000000000001", 1000, 0},
		"not so far":   {"shop 1 - server 3600000000900 3600000000999", 1000, 3600000000999},
		"out of range": {"shop 1 - server 18446744073709551615 18446744073709551615", 1000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := settings(t)
			sink := new(consumertest.LogsSink)
			c := startLogs(t, set, sink)
			require.NoError(t, c.ConsumeTraces(t.Context(), call(t, test.text, released{outcome: "complete", version: 1, at: test.at})))
			record := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			require.EqualValues(t, test.want, record.Timestamp())
			require.EqualValues(t, test.at, record.ObservedTimestamp())
		})
	}
}

// A conflicting span is not where the request came in, however early it is.
func TestConflictingSpanIsNoRoot(t *testing.T) {
	set, _ := settings(t)
	sink := new(consumertest.LogsSink)
	c := startLogs(t, set, sink)
	td := treetest.Traces(t, "shop 1 - server 100 200\nshop 2 1 client 110 120\nstranger 2 - client 50 60 error")
	stranger := td.ResourceSpans().At(td.ResourceSpans().Len() - 1).ScopeSpans().At(0).Spans().At(0)
	stranger.Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr(conventions.ViolationConflictingSpanID)
	analyse(td)
	require.NoError(t, c.ConsumeTraces(t.Context(), td))
	record := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	require.Equal(t, treetest.ID(1), record.SpanID())
	require.NotEqual(t, "ERROR", record.SeverityText())
}

// A span without a start in a trace of our days does not begin it in 1970; where all times are small, 0 is one of them.
func TestUnanalysedWithoutStart(t *testing.T) {
	const day = "86400000000000"
	for name, test := range map[string]struct {
		text            string
		start, duration int64
	}{
		"one":           {"shop 1 - server 1790000000000000000 1790000000000000100\nshop 2 1 client 0 1790000000000000050", 1790000000000000000, 100},
		"the first":     {"shop 1 - server 0 1790000000000000100\nshop 2 1 client 1790000000000000000 1790000000000000050", 1790000000000000000, 100},
		"all":           {"shop 1 - server 0 1790000000000000100", 1790000000000000100, 0},
		"no end":        {"shop 1 - server 1790000000000000000 0", 1790000000000000000, 0},
		"relative ones": {"shop 1 - server 0 " + day, 0, 86400000000000},
	} {
		t.Run(name, func(t *testing.T) {
			releases := tracetree.Releases(treetest.Traces(t, test.text))
			var s summary
			s.read(&releases[0])
			require.False(t, s.analysed)
			require.Equal(t, test.start, s.start)
			require.Equal(t, test.duration, s.duration)
		})
	}
}
