package query

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// traceOf joins releases; the outcome is that of the first, later ones are late.
func traceOf(t *testing.T, outcome string, texts ...string) *Trace {
	t.Helper()
	trace := &Trace{ID: treetest.TraceID, Releases: len(texts)}
	var releases []ptrace.Traces
	for i, text := range texts {
		td := treetest.Traces(t, text)
		attributes := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		if i > 0 {
			outcome = conventions.OutcomeLate
		}
		if outcome != "" {
			attributes.PutStr(conventions.AttrOutcome, outcome)
			attributes.PutInt(conventions.AttrVersion, int64(i+1))
		}
		trace.Repeated += td.SpanCount()
		releases = append(releases, td)
	}
	trace.Spans, trace.Release = tracetree.Join(releases)
	trace.Repeated -= len(trace.Release.Spans)
	trace.Analysis = analysis.Analyze(&trace.Release)
	return trace
}

func TestWholeness(t *testing.T) {
	const whole = "a 1 - server 0 100"
	type found map[RemarkKind]int
	for name, test := range map[string]struct {
		trace            *Trace
		missing, remarks found
	}{
		"complete":         {traceOf(t, conventions.OutcomeComplete, whole), nil, nil},
		"without assembly": {traceOf(t, "", whole), nil, nil},
		"quiet":            {traceOf(t, conventions.OutcomeQuiet, whole), nil, found{RemarkQuiet: 1}},
		"timeout":          {traceOf(t, conventions.OutcomeTimeout, whole), found{RemarkTimeout: 1}, nil},
		"memory":           {traceOf(t, conventions.OutcomeMemory, whole), found{RemarkMemory: 1}, nil},
		"shutdown":         {traceOf(t, conventions.OutcomeShutdown, whole), found{RemarkShutdown: 1}, nil},
		"interim":          {traceOf(t, conventions.OutcomeInterim, whole), found{RemarkInterim: 1}, nil},
		"parts":            {traceOf(t, conventions.OutcomePart, whole), nil, found{RemarkParts: 1}},
		"fragments only":   {traceOf(t, conventions.OutcomeLate, whole), found{RemarkFragments: 1}, nil},
		"late, and in it":  {traceOf(t, conventions.OutcomeComplete, whole, "a 2 1 internal 5 9"), nil, found{RemarkLate: 1}},
		"sent twice":       {traceOf(t, conventions.OutcomeComplete, whole+"\na 2 1 internal 5 9", "a 2 1 internal 5 9"), nil, found{RemarkLate: 1, RemarkDuplicates: 1}},
		"no root":          {traceOf(t, conventions.OutcomeQuiet, "a 2 1 internal 5 9"), found{RemarkMissingParents: 1, RemarkNoRoot: 1}, found{RemarkQuiet: 1}},
		"a parent missing": {traceOf(t, conventions.OutcomeQuiet, whole+"\na 3 2 internal 5 9"), found{RemarkMissingParents: 1}, found{RemarkQuiet: 1}},
		"several roots":    {traceOf(t, conventions.OutcomeComplete, whole+"\nb 2 - server 5 9"), nil, found{RemarkSeveralRoots: 2}},
		"same id, other":   {traceOf(t, conventions.OutcomeComplete, whole+"\nb 2 1 internal 5 9\nb 2 1 internal 6 9"), nil, found{RemarkConflicts: 1}},
		"clocks that differ": {
			traceOf(t, conventions.OutcomeComplete, whole+"\na 2 1 client 10 60\nb 3 2 server 1010 1020"), nil, found{RemarkClockSkew: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := test.trace.Wholeness()
			for _, list := range []struct {
				remarks []Remark
				want    found
			}{{w.Missing, test.missing}, {w.Remarks, test.remarks}} {
				got := found{}
				for _, remark := range list.remarks {
					require.Contains(t, RemarkKinds, remark.Kind)
					require.NotEmpty(t, remark.Message)
					got[remark.Kind] = remark.Count
				}
				if list.want == nil {
					list.want = found{}
				}
				require.Equal(t, list.want, got)
			}
		})
	}
	cut := traceOf(t, conventions.OutcomeComplete, whole)
	cut.Truncated = true
	require.Equal(t, []Remark{{RemarkTruncated, 1, "it is larger than one request reads (limits::max_trace_bytes): only the first 1 spans are here"}}, cut.Wholeness().Missing)
	parents := traceOf(t, conventions.OutcomeComplete, whole+"\na 3 2 internal 5 9\na 5 4 internal 5 9").Wholeness().Missing
	quiet := traceOf(t, conventions.OutcomeQuiet, whole).Wholeness().Remarks
	require.Equal(t, "it was released because no span came for a while; nothing says that any is missing", quiet[0].Message)
	quiet = traceOf(t, conventions.OutcomeQuiet, "a 2 1 internal 5 9").Wholeness().Remarks
	require.Equal(t, "it was released because no span came for a while", quiet[0].Message)
	require.Equal(t, "2 parents that spans name are not there: their service sends no spans, samples, or lost them", parents[0].Message)
}

func TestSampledAndDroppedData(t *testing.T) {
	trace := traceOf(t, conventions.OutcomeComplete, "a 1 - server 0 100")
	trace.Release.Spans[0].TraceState().FromRaw("ot=th:8")
	trace.Release.Spans[0].SetDroppedEventsCount(1)
	trace.Analysis = analysis.Analyze(&trace.Release)
	w := trace.Wholeness()
	require.Empty(t, w.Missing)
	require.Equal(t, []RemarkKind{RemarkDroppedData, RemarkSampledCounts}, []RemarkKind{w.Remarks[0].Kind, w.Remarks[1].Kind})
}
