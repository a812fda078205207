package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/conventions"
)

const otherID = "0000000000000000000000000000000a"

// otherShop is the shop's trace as it is when inventory takes 10 ms less and does not fail, and nobody retries: 90 ms in all.
func otherShop() ptrace.Traces {
	td := storedShop()
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetTraceID(pcommon.TraceID{15: 10})
			span.Status().SetCode(ptrace.StatusCodeUnset)
			if span.SpanID()[7] == 5 {
				span.SetEndTimestamp(shopTime(50))
			} else {
				span.SetEndTimestamp(span.EndTimestamp() - 10_000_000)
			}
		}
	}
	return td
}

func TestCompareTraces(t *testing.T) {
	h := storedHandler(t, storedShop(), otherShop())
	got := answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+knownID+"/compare?with="+otherID)
	require.EqualValues(t, 10e6, got.DifferenceNS)
	require.Equal(t, "This trace took 10ms longer than the other trace: 100ms, not 90ms. What added most is inventory \"reserve\", 10ms: "+
		"the request waited 30ms for it, not 20ms. 2 of its spans failed, not 0.", got.Message)
	require.Len(t, got.Differences, 2, "inventory's span, and orders' call, which failed")
	first := got.Differences[0]
	require.Equal(t, openapi.Operation{Service: "inventory", Operation: "reserve"}, first.Path[4])
	require.Equal(t, openapi.Operation{Service: "frontend", Operation: "GET /cart"}, first.Path[0])
	require.Equal(t, 5, first.PathLength)
	require.EqualValues(t, 10e6, first.ContributionNS)
	require.Nil(t, first.OnlyIn)
	require.InDelta(t, 1, first.Errors, 0)
	require.InDelta(t, 0, first.OtherErrors, 0)
	require.True(t, got.Trace.Complete)
	require.Nil(t, got.Usual)
	require.Equal(t, otherID, got.With.TraceID)

	swapped := answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+otherID+"/compare?limit=1&with="+knownID)
	require.EqualValues(t, -10e6, swapped.DifferenceNS)
	require.Len(t, swapped.Differences, 1)
	require.Equal(t, 1, swapped.More)
	require.Equal(t, "This trace took 10ms less than the other trace: 90ms, not 100ms. What saved most is inventory \"reserve\", 10ms: "+
		"the request waited 20ms for it, not 30ms. None of its spans failed, and 2 of the other's did.", swapped.Message)

	same := answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+knownID+"/compare?with="+knownID)
	require.Empty(t, same.Differences)
	require.Equal(t, "This trace took as long as the other trace: 100ms.", same.Message)
}

// usualShop is 40 traces of 90 ms, released so many minutes before the shop's trace.
func usualShop(minutes int) (calls []ptrace.Traces) {
	for i := range 40 {
		td := otherShop()
		for _, rs := range td.ResourceSpans().All() {
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, shopStart.Add(-time.Duration(minutes)*time.Minute).UnixNano())
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				span.SetTraceID(pcommon.TraceID{14: 1, 15: byte(i)})
			}
		}
		calls = append(calls, td)
	}
	return calls
}

func TestCompareWithUsual(t *testing.T) {
	h := storedHandler(t, append(usualShop(10), storedShop())...)
	got := answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+knownID+"/compare?with=usual")
	require.EqualValues(t, 10e6, got.DifferenceNS)
	require.Nil(t, got.With)
	require.Equal(t, openapi.UsualTrace{
		Traces: 40, MeanNS: 90e6, Window: openapi.Window{Start: "2026-01-02T10:59:00.000000000Z", End: "2026-01-02T11:59:00.000000000Z"},
	}, *got.Usual)
	first := got.Differences[0]
	require.Equal(t, []openapi.Operation{{Service: "inventory", Operation: "reserve"}}, first.Path)
	require.EqualValues(t, 10e6, first.ContributionNS)
	require.InDelta(t, 1, first.OtherCalls, 0)
	require.Equal(t, "This trace took 10ms longer than usual: 100ms, not 90ms. What added most is inventory \"reserve\", 10ms: "+
		"the request waited 30ms for it, not 20ms. 2 of its spans failed, not 0.", got.Message)

	// What was released in the trace's own minute, or long ago, is not what was usual.
	for _, minutes := range []int{0, 61} {
		h = storedHandler(t, append(usualShop(minutes), storedShop())...)
		p := requireProblem(t, http.StatusNotFound, do(h, get("/traces/"+knownID+"/compare?with=usual")))
		require.Equal(t, "with", p.Field)
		require.Equal(t, `0 traces of frontend "GET /cart" were released in the hour before; to say what is usual takes 30`, p.Detail)
	}
	requireProblem(t, http.StatusNotFound, do(h, get("/traces/"+knownID+"/compare?with=usual&environment=prod")))
}

func TestBadComparisons(t *testing.T) {
	h := storedHandler(t, storedShop())
	for query, want := range map[string]struct {
		status int
		field  string
	}{
		"":                                       {400, "with"},
		"?with=":                                 {400, "with"},
		"?with=x":                                {400, "with"},
		"?with=00000000000000000000000000000000": {400, "with"},
		"?with=usual&limit=0":                    {400, "limit"},
		"?with=usual&limit=1001":                 {400, "limit"},
		"?environment=prod&with=" + knownID:      {400, "environment"},
		"?with=" + otherID:                       {404, "with"},
		"?with=usual":                            {404, "with"},
	} {
		require.Equal(t, want.field, requireProblem(t, want.status, do(h, get("/traces/"+knownID+"/compare"+query))).Field, query)
	}
	require.Equal(t, "id", requireProblem(t, 404, do(h, get("/traces/"+otherID+"/compare?with="+knownID))).Field)
	require.Equal(t, "id", requireProblem(t, 400, do(h, get("/traces/x/compare?with=usual"))).Field)
	r := get("/traces/" + knownID + "/compare?with=" + knownID)
	r.Header.Set(tenantHeader, "other")
	requireProblem(t, 404, do(h, r))

	// Nothing of this trace has a place in its tree.
	h = testHandler(&fakeStorage{trace: func(context.Context, string, pcommon.TraceID) ([]ptrace.Traces, error) {
		td := ptrace.NewTraces()
		span := shopSpan(shopService(td, "a"), "x", 1, 0, ptrace.SpanKindServer, 0, 1)
		span.Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr(conventions.ViolationConflictingSpanID)
		return []ptrace.Traces{td}, nil
	}})
	for _, with := range []string{knownID, "usual"} {
		p := requireProblem(t, 404, do(h, get("/traces/"+knownID+"/compare?with="+with)))
		require.Equal(t, "id", p.Field)
		require.Contains(t, p.Detail, "no critical path")
	}
}

// What was called in one of the two only is told as that, and so is how often.
func TestComparisonMessages(t *testing.T) {
	less := func() ptrace.Traces { // without inventory, which orders asks thrice instead of once
		td := otherShop()
		td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
			name, _ := rs.Resource().Attributes().Get("service.name")
			return name.Str() == "inventory"
		})
		orders := td.ResourceSpans().At(1).ScopeSpans().At(0).Spans()
		for i := range 2 {
			orders.At(1).CopyTo(orders.AppendEmpty())
			orders.At(2 + i).SetSpanID(pcommon.SpanID{7: byte(6 + i)})
		}
		return td
	}
	h := storedHandler(t, storedShop(), less())
	of := func(id, with string) string {
		return answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+id+"/compare?with="+with).Message
	}
	require.Contains(t, of(knownID, otherID), ` What added most is inventory "reserve", 30ms: the other trace did not call it. 2 of`)
	require.Contains(t, of(otherID, knownID), ` What saved most is inventory "reserve", 30ms: it was not called. None of`)

	h = storedHandler(t, append(usualShop(10), less())...)
	require.Equal(t, "This trace took as long as usual: 90ms. What added most is orders \"reserve\", 20ms: the request waited 40ms for it, "+
		"not 20ms, in 3 calls, not 1.", of(otherID, "usual"))
}

func TestCompareDifferentEntries(t *testing.T) {
	other := otherShop()
	root := other.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	root.SetName("GET /orders")
	h := storedHandler(t, storedShop(), other)
	got := answerTo[openapi.ComparisonAnswer](t, h, "/traces/"+knownID+"/compare?with="+otherID)
	require.Contains(t, got.Message, "They are of different entries")
	require.NotEmpty(t, got.Differences)
	for _, d := range got.Differences {
		require.NotNil(t, d.OnlyIn)
	}
}
