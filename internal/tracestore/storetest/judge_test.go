package storetest

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// tokensOf are all tokens of a trace, as a storage would index them.
func tokensOf(trace *naiveTrace) map[tracestore.Token]bool {
	tokens := make(map[tracestore.Token]bool)
	add := func(kind tracestore.TokenKind, key, value string) {
		tokens[tracestore.Token{Kind: kind, Key: key, Value: value}] = true
	}
	add(tracestore.TokenEntryService, "", trace.row.Entry.Service)
	add(tracestore.TokenEntryOperation, "", trace.row.Entry.Operation)
	add(tracestore.TokenOutcome, "", trace.row.Outcome)
	for _, s := range trace.spans {
		for key, value := range s.Attributes().All() {
			add(tracestore.TokenKey, key, "")
			add(tracestore.TokenAttribute, key, value.AsString())
		}
		for key, value := range s.Resource.Attributes().All() {
			add(tracestore.TokenKey, key, "")
			add(tracestore.TokenAttribute, key, value.AsString())
		}
		annotation := func(key string) string { return conventions.Str(s.Attributes(), key) }
		add(tracestore.TokenService, "", s.Service())
		add(tracestore.TokenService, "", annotation(conventions.AttrService))
		add(tracestore.TokenOperation, "", s.Name())
		add(tracestore.TokenOperation, "", annotation(conventions.AttrOperation))
		add(tracestore.TokenCategory, "", annotation(conventions.AttrCategory))
		add(tracestore.TokenSpanKind, "", strconv.Itoa(int(s.Kind())))
		add(tracestore.TokenFailed, "", strconv.FormatBool(s.Status().Code() == ptrace.StatusCodeError))
	}
	return tokens
}

func longestOf(trace *naiveTrace) int64 {
	longest := int64(0)
	for _, s := range trace.spans {
		longest = max(longest, int64(tracestore.SpanDuration(s.Span)))
	}
	return longest
}

// TestJudge holds verdicts against the naive evaluation: of one trace, of one with half its facts unknown, and of several together.
func TestJudge(t *testing.T) {
	random := newTraffic(7)
	naive := make(naiveStore)
	for range 60 {
		naive.add(random.call())
	}
	var traces []*naiveTrace
	for _, trace := range naive[""] {
		traces = append(traces, trace)
	}
	verdicts := make(map[tracestore.Verdict]int)
	blocks := make(map[tracestore.Verdict]int)
	for range 1500 {
		where := random.conditions(3)
		filter := tracestore.NewFilter(&where)
		trace := pick(random.Rand, traces)
		holds := trace.holds(where)
		require.Equal(t, holds, filter.Match(&trace.row, trace.spans), "%+v", where)

		// What a row or a token filter can know of one trace; of attributes a token may be one that the scope leaves out.
		tokens, longest := tokensOf(trace), longestOf(trace)
		facts := tracestore.Facts{Row: &trace.row, LongestSpan: &longest, Token: func(i int) tracestore.Verdict {
			if tokens[filter.Tokens()[i]] {
				return tracestore.Yes
			}
			return tracestore.No
		}}
		verdict := filter.Judge(&facts)
		verdicts[verdict]++
		require.True(t, verdict == tracestore.Maybe || (verdict == tracestore.Yes) == holds, "%d: %+v", verdict, where)
		if filter.Decided(func(tracestore.Token) bool { return true }) {
			require.NotEqual(t, tracestore.Maybe, verdict, "%+v", where)
		}
		if verdict = filter.Judge(&tracestore.Facts{Row: &trace.row}); verdict != tracestore.Maybe {
			require.Equal(t, verdict == tracestore.Yes, holds, "%+v", where)
		}

		// Several traces, whose tokens are known together.
		block := []*naiveTrace{trace, pick(random.Rand, traces), pick(random.Rand, traces)}
		together, most, matching := make(map[tracestore.Token]bool), tracestore.Extremes{}, 0
		longest = math.MinInt64
		for _, one := range block {
			for token := range tokensOf(one) {
				together[token] = true
			}
			longest = max(longest, longestOf(one))
			most.Duration = max(most.Duration, one.row.Duration)
			most.SpanCount = max(most.SpanCount, one.row.SpanCount)
			most.ErrorCount = max(most.ErrorCount, one.row.ErrorCount)
			if one.holds(where) {
				matching++
			}
		}
		facts = tracestore.Facts{LongestSpan: &longest, Most: &most, Token: func(i int) tracestore.Verdict {
			if together[filter.Tokens()[i]] {
				return tracestore.Verdict(1 + random.IntN(2)) // whether it says Maybe or Yes
			}
			return tracestore.No
		}}
		verdict = filter.Judge(&facts)
		blocks[verdict]++
		require.False(t, verdict == tracestore.No && matching > 0, "%+v", where)
		require.False(t, verdict == tracestore.Yes && matching < len(block), "%+v", where)
	}
	// Verdicts are of use: most questions about one trace need no spans, many about several need no rows.
	require.Greater(t, verdicts[tracestore.No]+verdicts[tracestore.Yes], 1500/2)
	require.Greater(t, blocks[tracestore.No], 1500/6)
	t.Log(verdicts, blocks)
}

// TestFilterReuse: what was found of one trace's resources is not believed of another's in the same memory.
func TestFilterReuse(t *testing.T) {
	filter := tracestore.NewFilter(&conditions{Span: onSpan{Service: "a", Attributes: attributes{{Key: "k", Op: tracestore.OpEqual, Text: "v"}}}})
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "a")
	rs.Resource().Attributes().PutStr("k", "v")
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	trace := new(naiveTrace)
	for _, want := range []bool{true, false, true} {
		value := map[bool]string{true: "v", false: "w"}[want]
		rs.Resource().Attributes().PutStr("k", value)
		trace.releases = []ptrace.Traces{td}
		trace.join()
		// The very same resource, changed.
		trace.spans[0].Resource, trace.spans[0].Span = rs.Resource(), rs.ScopeSpans().At(0).Spans().At(0)
		require.Equal(t, want, filter.Match(&tracestore.Summary{TraceID: pcommon.TraceID{1}}, trace.spans))
	}
}
