package tracesummaryconnector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
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
