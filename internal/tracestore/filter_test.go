package tracestore

import (
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// storetest has the conditions at work; here is what only odd spans show.

func TestSpanDuration(t *testing.T) {
	for name, test := range map[string]struct {
		start, end pcommon.Timestamp
		want       time.Duration
	}{
		"usual":                {100, 150, 50},
		"negative":             {150, 100, 0},
		"no times":             {0, 0, 0},
		"no end":               {100, 0, 0},
		"start out of range":   {math.MaxInt64 + 1, 7, 7},
		"end out of range":     {7, math.MaxUint64, 0},
		"as long as it can be": {1, math.MaxInt64, math.MaxInt64 - 1},
		"no start":             {0, 1_790_000_000_000_000_000, 0},
		"both out of range":    {math.MaxUint64 - 1, math.MaxUint64, 0},
	} {
		t.Run(name, func(t *testing.T) {
			span := ptrace.NewSpan()
			span.SetStartTimestamp(test.start)
			span.SetEndTimestamp(test.end)
			require.Equal(t, test.want, SpanDuration(span))
		})
	}
}

// holds says whether conditions hold on a trace of this one span.
func holds(conditions SpanConditions, span ptrace.Span, resource pcommon.Resource) bool {
	filter := NewFilter(&Conditions{Span: conditions})
	return filter.Match(&Summary{}, []tracetree.Span{{Span: span, Resource: resource}})
}

func TestMatchNormalisedNames(t *testing.T) {
	span, resource := ptrace.NewSpan(), pcommon.NewResource()
	span.SetName("GET /cart/17")
	span.Attributes().PutStr(conventions.AttrOperation, "GET /cart/{id}")
	span.Attributes().PutStr(conventions.AttrService, "cart")
	resource.Attributes().PutStr("service.name", "cart-canary")
	for _, conditions := range []SpanConditions{
		{Service: "cart"},
		{Service: "cart-canary"},
		{Operation: "GET /cart/17"},
		{Operation: "GET /cart/{id}"},
		{Service: "cart-canary", Operation: "GET /cart/{id}"},
	} {
		require.True(t, holds(conditions, span, resource), "%+v", conditions)
	}
	require.False(t, holds(SpanConditions{Service: "cart", Operation: "GET /cart/18"}, span, resource))
	require.True(t, holds(SpanConditions{Service: conventions.UnknownService}, span, pcommon.NewResource()))
}

func TestNumbersThatAreNone(t *testing.T) {
	span, resource := ptrace.NewSpan(), pcommon.NewResource()
	span.Attributes().PutDouble("nan", math.NaN())
	span.Attributes().PutStr("text", "12 apples")
	span.Attributes().PutEmpty("empty")
	span.Attributes().PutEmptySlice("list").AppendEmpty().SetInt(1)
	for _, key := range []string{"nan", "text", "empty", "list"} {
		for _, op := range []AttributeOp{OpLess, OpLessEqual, OpGreater, OpGreaterEqual} {
			conditions := SpanConditions{Attributes: []AttributeCondition{{Key: key, Op: op, Number: 0}}}
			require.False(t, holds(conditions, span, resource), "%s %s 0", key, op)
		}
	}
}

func TestUnknownOperator(t *testing.T) {
	span := ptrace.NewSpan()
	span.Attributes().PutStr("key", "value")
	for _, condition := range []AttributeCondition{{Key: "key", Op: "~"}, {Key: "key"}, {Key: "key", Op: OpRegex}} {
		require.False(t, holds(SpanConditions{Attributes: []AttributeCondition{condition}}, span, pcommon.NewResource()))
	}
}

func TestSearchTime(t *testing.T) {
	const released = int64(100 * time.Hour)
	for name, test := range map[string]struct {
		start     int64
		retention time.Duration
		want      int64
	}{
		"usual":             {released - 5, 24 * time.Hour, released - 5},
		"too old":           {1, 24 * time.Hour, int64(76 * time.Hour)},
		"too new":           {math.MaxInt64, 24 * time.Hour, int64(101 * time.Hour)},
		"kept for ever":     {1, 0, 1},
		"before 1970":       {-1, 0, 0},
		"longer than 1970":  {-1, 1000 * time.Hour, 0},
		"as old as allowed": {int64(76 * time.Hour), 24 * time.Hour, int64(76 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, SearchTime(test.start, released, test.retention)) })
	}
	const hour = int64(time.Hour)
	require.Equal(t, released, SearchTime(released, math.MaxInt64, 0), "released at the end of time")
	require.Equal(t, math.MaxInt64-hour, SearchTime(released, math.MaxInt64, time.Hour))
	require.Equal(t, int64(math.MaxInt64), SearchTime(math.MaxInt64, math.MaxInt64, time.Hour))
	require.Equal(t, math.MinInt64+hour, SearchTime(released, math.MinInt64, time.Hour), "released before time")
}

func TestCursorBelongsToConditions(t *testing.T) {
	kind, failed := ptrace.SpanKindServer, true
	queries := []SearchQuery{
		{},
		{Where: Conditions{Span: SpanConditions{Service: "a"}}},
		{Where: Conditions{Span: SpanConditions{Operation: "a"}}},
		{Where: Conditions{Span: SpanConditions{Category: "a"}}},
		{Where: Conditions{Span: SpanConditions{Kind: &kind}}},
		{Where: Conditions{Span: SpanConditions{Errors: &failed}}},
		{Where: Conditions{Span: SpanConditions{MinDuration: 1}}},
		{Where: Conditions{Span: SpanConditions{MaxDuration: 1}}},
		{Where: Conditions{Span: SpanConditions{Attributes: []AttributeCondition{{Key: "a", Op: OpEqual, Text: "b"}}}}},
		{Where: Conditions{Span: SpanConditions{Attributes: []AttributeCondition{{Key: "a", Op: OpEqual, Text: "b", Scope: ScopeSpan}}}}},
		{Where: Conditions{Span: SpanConditions{Attributes: []AttributeCondition{{Key: "a", Op: OpRegex, Regex: regexp.MustCompile("b")}}}}},
		{Where: Conditions{Span: SpanConditions{Attributes: []AttributeCondition{{Key: "a", Op: OpLess, Number: 1}}}}},
		{Where: Conditions{Span: SpanConditions{Attributes: []AttributeCondition{{Key: "a", Op: OpLess, Number: 1.5}}}}},
		{Where: Conditions{Trace: TraceConditions{Entry: Operation{Service: "a"}}}},
		{Where: Conditions{Trace: TraceConditions{Entry: Operation{Operation: "a"}}}},
		{Where: Conditions{Trace: TraceConditions{Outcome: "a"}}},
		{Where: Conditions{Trace: TraceConditions{MinDuration: 1}}},
		{Where: Conditions{Trace: TraceConditions{MaxDuration: 1}}},
		{Where: Conditions{Trace: TraceConditions{Services: []string{"a"}}}},
		{Where: Conditions{Trace: TraceConditions{Services: []string{"a", "b"}}}},
		{Where: Conditions{Trace: TraceConditions{Services: []string{"a\" \"b"}}}},
		{Where: Conditions{Trace: TraceConditions{Spans: CountRange{Min: 1}}}},
		{Where: Conditions{Trace: TraceConditions{Errors: CountRange{Min: 1}}}},
		{Where: Conditions{Trace: TraceConditions{Errors: CountRange{Max: new(int)}}}},
		{Where: Conditions{Structure: []Structure{{Above: SpanConditions{Service: "a"}, Relation: RelationChild}}}},
		{Where: Conditions{Structure: []Structure{{Above: SpanConditions{Service: "a"}, Relation: RelationDescendant}}}},
		{Where: Conditions{Structure: []Structure{{Below: SpanConditions{Service: "a"}, Relation: RelationChild}}}},
		{Where: Conditions{Span: SpanConditions{And: []SpanConditions{{Service: "a"}, {Service: "b"}}}}},
		{Where: Conditions{Span: SpanConditions{Or: []SpanConditions{{Service: "a"}, {Service: "b"}}}}},
		{Where: Conditions{Span: SpanConditions{Not: &SpanConditions{Service: "a"}}}},
		{Where: Conditions{Not: &Conditions{Span: SpanConditions{Service: "a"}}}},
		{Where: Conditions{And: []Conditions{{Span: SpanConditions{Service: "a"}}, {Span: SpanConditions{Service: "b"}}}}},
		{Where: Conditions{And: []Conditions{{And: []Conditions{{Span: SpanConditions{Service: "a"}}}}, {Span: SpanConditions{Service: "b"}}}}},
		{Where: Conditions{Or: []Conditions{{Span: SpanConditions{Service: "a"}}, {Span: SpanConditions{Service: "b"}}}}},
		{Order: OrderDuration},
		{Order: OrderErrors},
	}
	position := Position{Value: 1 << 40, Time: -5, TraceID: pcommon.TraceID{1, 2, 3}, Found: 40}
	for i := range queries {
		cursor := EncodeCursor("tenant", &queries[i], position)
		for j := range queries {
			query := queries[j]
			query.Cursor, query.Limit, query.Start = cursor, 7, time.Unix(1, 0)
			got, err := DecodeCursor("tenant", &query)
			if i == j {
				require.NoError(t, err)
				require.Equal(t, position, got)
				_, err = DecodeCursor("other", &query)
			}
			if i != j || err != nil {
				require.ErrorIs(t, err, ErrCursor, "cursor of %d for %d", i, j)
			}
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(EncodeCursor("", &SearchQuery{}, Position{Time: 1, Found: 2}))
	f.Fuzz(func(t *testing.T, cursor string) {
		query := &SearchQuery{Cursor: cursor}
		position, err := DecodeCursor("", query)
		if err != nil {
			require.ErrorIs(t, err, ErrCursor)
			return
		}
		query.Cursor = EncodeCursor("", query, position)
		again, err := DecodeCursor("", query)
		require.NoError(t, err)
		require.Equal(t, position, again)
	})
}
