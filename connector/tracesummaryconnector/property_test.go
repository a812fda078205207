package tracesummaryconnector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// randomSpans writes spans of a trace: every parent stands before its children, but for one that may be missing.
func randomSpans(rng *rand.Rand, trace, from, n int) string {
	var text strings.Builder
	for i := from; i < from+n; i++ {
		parent, name := "-", fmt.Sprintf("trace%d", trace)
		switch {
		case i > 1:
			parent, name = fmt.Sprintf("%x", 1+rng.IntN(i-1)), fmt.Sprintf("op%d", rng.IntN(4))
			if rng.IntN(20) == 0 {
				parent = "ffff"
			}
		case rng.IntN(3) == 0:
			parent = "ffff"
		}
		start := 1000 + rng.IntN(1000)
		fmt.Fprintf(&text, "service%d %x %s %s %d %d name=%s", rng.IntN(3), i, parent,
			[]string{"server", "client", "internal", "consumer"}[rng.IntN(4)], start, start+rng.IntN(1000), name)
		if rng.IntN(6) == 0 {
			text.WriteString(" error=broken")
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// TestAnyMixOfReleases: whatever releases come in whatever order, each trace has one record, of its first release; it names the entry root
// that the analysis finds, and its path times add up to that root's duration; those of all traces of an entry to the sum of theirs.
func TestAnyMixOfReleases(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const traces = 20
		type truth struct {
			root         pcommon.SpanID
			rootDuration int64 // 0 where the first release is not whole
			origins      int
		}
		want := make(map[pcommon.TraceID]truth)
		rounds := make([][]ptrace.Traces, 4)
		for i := range traces {
			n := 0
			for round := range 1 + rng.IntN(len(rounds)) {
				r := released{outcome: []string{"complete", "quiet", "timeout", "part", "interim"}[rng.IntN(5)], version: 1, trace: byte(i + 1), at: 5000}
				switch {
				case round > 0 && rng.IntN(2) == 0:
					r.outcome, r.version = "late", round+1
				case round > 0:
					r.outcome, r.version, r.part = "part", 1, round
				}
				more := 1 + rng.IntN(10)
				td := call(t, randomSpans(rng, i, n+1, more), r)
				n += more
				if round == 0 {
					release := tracetree.Releases(td)[0]
					result := analysis.Analyze(&release)
					w := truth{root: result.Tree.Nodes[result.Tree.Entry].SpanID()}
					for at := range result.Spans {
						if result.Spans[at].ErrorOrigin {
							w.origins++
						}
					}
					if release.Whole() {
						w.rootDuration = result.RootDuration
					}
					want[release.TraceID] = w
				}
				rounds[round] = append(rounds[round], td)
			}
		}

		set, _ := settings(t)
		logs, metrics := new(consumertest.LogsSink), new(consumertest.MetricsSink)
		toLogs, toMetrics := startLogs(t, set, logs), startMetrics(t, set, metrics, nil)
		for _, calls := range rounds {
			rng.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
			td := join(calls...)
			require.NoError(t, toLogs.ConsumeTraces(t.Context(), td))
			require.NoError(t, toMetrics.ConsumeTraces(t.Context(), td))
		}
		require.NoError(t, toMetrics.Shutdown(t.Context()))

		records := recordsOf(t, logs)
		require.Len(t, records, traces)
		pathTimes, durations := entrySums(t, metrics)
		byEntry := make(map[string]int64)
		for id, w := range want {
			record := records[id]
			require.Equal(t, w.root, record.SpanID(), "seed %d, trace %s", seed, id)
			attrs := record.Attributes()
			require.Equal(t, w.rootDuration, conventions.Int(attrs, conventions.AttrRootDuration), "seed %d, trace %s", seed, id)
			require.EqualValues(t, w.origins, conventions.Int(attrs, conventions.AttrErrorOrigins))
			byEntry[conventions.Str(attrs, conventions.AttrEntryOperation)] += w.rootDuration
		}
		for entry, sum := range byEntry {
			require.InDelta(t, float64(sum)/1e9, pathTimes[entry], 1e-15, "seed %d, %s", seed, entry)
			require.InDelta(t, float64(sum)/1e9, durations[entry], 1e-15, "seed %d, %s", seed, entry)
		}
	}
}

// recordsOf finds the records by their trace, of which each has one.
func recordsOf(t *testing.T, sink *consumertest.LogsSink) map[pcommon.TraceID]plog.LogRecord {
	t.Helper()
	records := make(map[pcommon.TraceID]plog.LogRecord)
	for _, logs := range sink.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, record := range rl.ScopeLogs().At(0).LogRecords().All() {
				require.NotContains(t, records, record.TraceID(), "a trace has two records")
				records[record.TraceID()] = record
			}
		}
	}
	return records
}

// entrySums adds up, by entry operation, the path times and the durations, seconds.
func entrySums(t *testing.T, sink *consumertest.MetricsSink) (pathTimes, durations map[string]float64) {
	t.Helper()
	pathTimes, durations = make(map[string]float64), make(map[string]float64)
	require.Len(t, sink.AllMetrics(), 1)
	for _, m := range sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		switch m.Name() {
		case conventions.MetricPathTime:
			for _, p := range m.Sum().DataPoints().All() {
				pathTimes[conventions.Str(p.Attributes(), conventions.AttrEntryOperation)] += p.DoubleValue()
			}
		case conventions.MetricRootDuration:
			for _, p := range m.ExponentialHistogram().DataPoints().All() {
				durations[conventions.Str(p.Attributes(), conventions.AttrEntryOperation)] += p.Sum()
			}
		}
	}
	return pathTimes, durations
}

// TestInvalidUTF8: backends refuse a whole payload for one text that is not UTF-8, of whichever tenant it is.
func TestInvalidUTF8(t *testing.T) {
	set, _ := settings(t)
	logs, metrics := new(consumertest.LogsSink), new(consumertest.MetricsSink)
	toLogs, toMetrics := startLogs(t, set, logs), startMetrics(t, set, metrics, nil)
	td := call(t, shop, released{outcome: "complete", version: 1, tenant: "tenant"})
	for _, rs := range td.ResourceSpans().All() {
		spoil(rs.Resource().Attributes())
		rs.Resource().Attributes().PutStr("deployment.environment.name", "environment\xff")
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetName(span.Name() + "\xff")
			spoil(span.Attributes())
			for _, event := range span.Events().All() {
				spoil(event.Attributes())
			}
		}
	}
	require.NoError(t, toLogs.ConsumeTraces(t.Context(), td))
	require.NoError(t, toMetrics.ConsumeTraces(t.Context(), td))
	require.NoError(t, toMetrics.Shutdown(t.Context()))
	for name, marshal := range map[string]func() ([]byte, error){
		"logs":    func() ([]byte, error) { return new(plog.JSONMarshaler).MarshalLogs(logs.AllLogs()[0]) },
		"metrics": func() ([]byte, error) { return new(pmetric.JSONMarshaler).MarshalMetrics(metrics.AllMetrics()[0]) },
	} {
		text, err := marshal()
		require.NoError(t, err)
		require.True(t, utf8.Valid(text), name)
		for _, want := range []string{"tenant", "environment", "shop", "checkout", "complete"} {
			require.Contains(t, string(text), want+"\uFFFD", name)
		}
	}
	record := logs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	kind, _ := record.Attributes().Get("error.type")
	require.Equal(t, "LookupError\uFFFD", kind.Str())
}

// spoil makes all texts invalid UTF-8.
func spoil(attrs pcommon.Map) {
	for _, value := range attrs.All() {
		if value.Type() == pcommon.ValueTypeStr {
			value.SetStr(value.Str() + "\xff")
		}
	}
}

// TestStrangeAnnotations: whoever wrote what stands under our names, no sum becomes negative or infinite, and names stay short.
func TestStrangeAnnotations(t *testing.T) {
	set, _ := settings(t)
	logs, metrics := new(consumertest.LogsSink), new(consumertest.MetricsSink)
	toLogs, toMetrics := startLogs(t, set, logs), startMetrics(t, set, metrics, func(m *MetricsConfig) { m.MaxSeries = 20 })
	rng := rand.New(rand.NewPCG(7, 7))
	keys := []string{
		conventions.AttrReleasedAt, conventions.AttrTenant, conventions.AttrOutcome, conventions.AttrVersion, conventions.AttrPart,
		conventions.AttrSpanCount, conventions.AttrServiceCount, conventions.AttrErrorCount, conventions.AttrMissingParents, conventions.AttrStart,
		conventions.AttrDuration, conventions.AttrBottleneckService, conventions.AttrBottleneckSpanID, conventions.AttrBottleneckShare,
		conventions.AttrEntryService, conventions.AttrEntryOperation, conventions.AttrOrphan, conventions.AttrService, conventions.AttrOperation,
		conventions.AttrCriticalPathTime, conventions.AttrErrorOrigin, conventions.AttrErrorFingerprint, conventions.AttrClockSkew,
	}
	for range 500 {
		td := call(t, randomSpans(rng, 1, 1, 1+rng.IntN(3)), released{})
		for _, rs := range td.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				for range rng.IntN(8) {
					strangeValue(rng, span.Attributes().PutEmpty(keys[rng.IntN(len(keys))]))
					strangeValue(rng, rs.Resource().Attributes().PutEmpty(keys[rng.IntN(len(keys))]))
				}
			}
		}
		require.NoError(t, toLogs.ConsumeTraces(t.Context(), td))
		require.NoError(t, toMetrics.ConsumeTraces(t.Context(), td))
	}
	require.NoError(t, toMetrics.Shutdown(t.Context()))
	require.NotZero(t, logs.LogRecordCount())
	md := metrics.AllMetrics()[0]
	require.LessOrEqual(t, md.DataPointCount(), 2*20+int(instruments))
	for _, rm := range md.ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if m.Type() == pmetric.MetricTypeExponentialHistogram {
				for _, p := range m.ExponentialHistogram().DataPoints().All() {
					require.GreaterOrEqual(t, p.Min(), 0.0)
					require.Less(t, p.Sum(), math.Inf(1))
				}
				continue
			}
			for _, p := range m.Sum().DataPoints().All() {
				require.GreaterOrEqual(t, p.DoubleValue(), 0.0)
				require.GreaterOrEqual(t, p.IntValue(), int64(0), m.Name())
				for key, value := range p.Attributes().All() {
					require.LessOrEqual(t, len(value.AsString()), conventions.MaxNameBytes, key)
				}
			}
		}
	}
}

func strangeValue(rng *rand.Rand, value pcommon.Value) {
	switch rng.IntN(7) {
	case 0:
		value.SetInt([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}[rng.IntN(5)])
	case 1:
		value.SetDouble([]float64{math.NaN(), math.Inf(1), -1}[rng.IntN(3)])
	case 2:
		value.SetStr(strings.Repeat("é", rng.IntN(1000)))
	case 3:
		value.SetBool(true)
	case 4:
		value.SetEmptyMap().PutStr("a", "b")
	case 5:
		value.SetEmptySlice().AppendEmpty().SetInt(1)
	default:
		value.SetEmptyBytes().Append(1, 2)
	}
}

func BenchmarkSummaries(b *testing.B) {
	set := connectortest.NewNopSettings(typ)
	f := NewFactory()
	toLogs, err := f.CreateTracesToLogs(b.Context(), set, f.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(b, err)
	source, err := newSource(set)
	require.NoError(b, err)
	toMetrics := newMetricsConnector(source, createDefaultConfig().(*Config).Metrics, consumertest.NewNop()) // which takes a call any number of times
	rng, td := rand.New(rand.NewPCG(1, 1)), ptrace.NewTraces()
	for i := range 400 {
		release := treetest.Traces(b, randomSpans(rng, i%20, 1, 20))
		for _, rs := range release.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				span.SetTraceID(pcommon.TraceID{14: byte(i >> 8), 15: byte(i)})
			}
		}
		analyse(release)
		release.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	for name, consumer := range map[string]connector.Traces{"logs": toLogs, "metrics": toMetrics} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, consumer.ConsumeTraces(b.Context(), td))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(td.SpanCount()), "ns/span")
		})
	}
}
