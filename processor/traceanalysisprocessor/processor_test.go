package traceanalysisprocessor

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor/internal/metadatatest"
)

func start(t *testing.T, set processor.Settings, next *consumertest.TracesSink) processor.Traces {
	t.Helper()
	f := NewFactory()
	p, err := f.CreateTraces(t.Context(), set, f.CreateDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	return p
}

// twoTraces is a call of two releases that share their resources: a request of shop and orders each.
func twoTraces(t *testing.T) ptrace.Traces {
	t.Helper()
	td := treetest.Traces(t, `
		shop   1 - server 0 100
		shop   2 1 client 10 60
		orders 3 2 server 20 50`)
	for _, rs := range td.ResourceSpans().All() {
		spans := rs.ScopeSpans().At(0).Spans()
		for i := range spans.Len() {
			other := spans.AppendEmpty()
			spans.At(i).CopyTo(other)
			other.SetTraceID(pcommon.TraceID{15: 2})
		}
	}
	return td
}

func TestOneCallInOneCallOut(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context()))) })
	sink := new(consumertest.TracesSink)
	set := processortest.NewNopSettings(typ)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	p := start(t, set, sink)
	require.True(t, p.Capabilities().MutatesData)

	require.NoError(t, p.ConsumeTraces(t.Context(), twoTraces(t)))
	require.Len(t, sink.AllTraces(), 1)
	out := sink.AllTraces()[0]
	require.Equal(t, 6, out.SpanCount())
	for _, rs := range out.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			entry, ok := span.Attributes().Get(conventions.AttrEntryService)
			require.True(t, ok)
			require.Equal(t, "shop", entry.Str())
			_, ok = span.Attributes().Get(conventions.AttrSpanCount)
			require.Equal(t, span.ParentSpanID().IsEmpty(), ok, "each trace's root carries what concerns the release")
		}
	}

	require.NoError(t, p.ConsumeTraces(t.Context(), ptrace.NewTraces()))
	require.Len(t, sink.AllTraces(), 2, "an empty call passes too")

	metadatatest.AssertEqualProcessorTraceAnalysisReleases(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 2}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTraceAnalysisSpans(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 6}}, metricdatatest.IgnoreTimestamp())
}

// A call that the next consumer refused comes again with what was written the first time.
func TestRepeatedCallIsIdentical(t *testing.T) {
	sink := new(consumertest.TracesSink)
	p := start(t, processortest.NewNopSettings(typ), sink)
	td := twoTraces(t)
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	once, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	twice, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	require.Equal(t, once, twice)
}

func TestConcurrentCalls(t *testing.T) {
	sink := new(consumertest.TracesSink)
	p := start(t, processortest.NewNopSettings(typ), sink)
	var wg sync.WaitGroup
	for range 8 {
		calls := make([]ptrace.Traces, 20)
		for i := range calls {
			calls[i] = twoTraces(t)
		}
		wg.Go(func() {
			for _, td := range calls {
				if err := p.ConsumeTraces(context.Background(), td); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	marshaler := &ptrace.ProtoMarshaler{}
	want, err := marshaler.MarshalTraces(sink.AllTraces()[0])
	require.NoError(t, err)
	for _, td := range sink.AllTraces() {
		got, err := marshaler.MarshalTraces(td)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	for name, want := range map[string]*Config{
		"trace_analysis":          {},
		"trace_analysis/business": {Business: BusinessConfig{Attributes: []string{"transfer.id", "app.workflow"}}},
	} {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := NewFactory().CreateDefaultConfig()
		require.NoError(t, sub.Unmarshal(cfg))
		require.Equal(t, want, cfg)
		require.NoError(t, cfg.(*Config).Validate())
	}
}

func TestInvalidConfig(t *testing.T) {
	for name, test := range map[string]struct {
		attributes []string
		want       string
	}{
		"empty": {[]string{"a", " "}, "business::attributes[1] is empty: name an attribute of spans, or remove it"},
		"ours": {
			[]string{"tracewright.category"},
			`business::attributes[0] is "tracewright.category": name an attribute that senders write; those under tracewright. are ours`,
		},
		"many": {strings.Split(strings.Repeat("a,", 17)+"a", ","), "business::attributes has 18 names: give at most 16"},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, (&Config{BusinessConfig{test.attributes}}).Validate(), test.want)
		})
	}
}

// What the configuration makes a business operation still is one where the spans are read again without it.
func TestBusinessOperations(t *testing.T) {
	sink := new(consumertest.TracesSink)
	f := NewFactory()
	p, err := f.CreateTraces(t.Context(), processortest.NewNopSettings(typ),
		&Config{BusinessConfig{[]string{"transfer.id"}}}, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	require.NoError(t, p.ConsumeTraces(t.Context(), treetest.Traces(t, `
		bank 1 - server   0 100 transfer.id=17
		bank 2 1 client   10 60 transfer.id=17 server.address=other
		bank 3 1 internal 70 80`)))
	again := start(t, processortest.NewNopSettings(typ), sink)
	td := ptrace.NewTraces()
	sink.AllTraces()[0].CopyTo(td)
	require.NoError(t, again.ConsumeTraces(t.Context(), td))
	for _, td := range sink.AllTraces() {
		var got []string
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			got = append(got, conventions.Str(span.Attributes(), conventions.AttrCategory))
		}
		require.Equal(t, []string{"business_operation", "external_call", "internal"}, got)
	}
}
