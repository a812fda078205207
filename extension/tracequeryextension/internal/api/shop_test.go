package api

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// shopTrace is made by hand, times in milliseconds from its start:
//
//	frontend   GET /cart      01 server  |0 ----------------------------------------- 100|
//	frontend   GET            02 client     |10 ------------------------------- 90|
//	orders     GET /orders    03 server        |15 ------------------------- 85|
//	orders     reserve        04 client            |20 --------------- 70|
//	inventory  reserve        05 server                |30 ----- 60|         fails with an exception
//
// Each span waits for its child, so the critical path goes down to the fifth and up again: 0–10 first, 10–15 second,
// 15–20 third, 20–30 fourth, 30–60 fifth, 60–70 fourth, 70–85 third, 85–90 second, 90–100 first. Alone on the path, and
// at work themselves, are the first 20, the second 10, the third 20, the fourth 20, the fifth 30: the bottleneck, 0.3 of
// 100. The fifth fails and so does the fourth, whose child failed: the origin is the fifth.
func shopTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	frontend := shopService(td, "frontend")
	orders := shopService(td, "orders")
	inventory := shopService(td, "inventory")

	cart := shopSpan(frontend, "GET /cart", 1, 0, ptrace.SpanKindServer, 0, 100)
	cart.Attributes().PutStr("http.request.method", "GET")
	cart.Attributes().PutStr("url.path", "/cart?a=1&b=<2>")
	cart.Attributes().PutInt("http.response.status_code", 200)
	cart.Attributes().PutDouble("cart.value", 12.5)
	cart.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
	cart.Attributes().PutInt(conventions.AttrVersion, 1)
	// Stale, as if written before a late span came.
	cart.Attributes().PutInt(conventions.AttrSelfTime, 1)

	call := shopSpan(frontend, "GET", 2, 1, ptrace.SpanKindClient, 10, 90)
	call.TraceState().FromRaw("vendor=1")
	call.SetFlags(257)
	link := call.Links().AppendEmpty()
	link.SetTraceID(pcommon.TraceID{15: 7})
	link.SetSpanID(pcommon.SpanID{7: 7})
	link.TraceState().FromRaw("l=1")
	link.Attributes().PutBool("retry", true)

	shopSpan(orders, "GET /orders", 3, 2, ptrace.SpanKindServer, 15, 85).Status().SetCode(ptrace.StatusCodeOk)
	reserve := shopSpan(orders, "reserve", 4, 3, ptrace.SpanKindClient, 20, 70)
	reserve.Status().SetCode(ptrace.StatusCodeError)

	failing := shopSpan(inventory, "reserve", 5, 4, ptrace.SpanKindServer, 30, 60)
	failing.Status().SetCode(ptrace.StatusCodeError)
	failing.Status().SetMessage("no shelf")
	failing.SetDroppedAttributesCount(3)
	failing.SetDroppedEventsCount(2)
	failing.SetDroppedLinksCount(1)
	event := failing.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(shopTime(55))
	event.SetDroppedAttributesCount(1)
	event.Attributes().PutStr("exception.type", "KeyError")
	event.Attributes().PutStr("exception.message", "no shelf")
	return td
}

var shopStart = time.Date(2026, 1, 2, 11, 59, 0, 123_456_789, time.UTC)

func shopTime(ms int) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(shopStart.Add(time.Duration(ms) * time.Millisecond))
}

func shopService(td ptrace.Traces, name string) ptrace.SpanSlice {
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.40.0")
	rs.Resource().Attributes().PutStr("service.name", name)
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, int64(shopTime(1000)))
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("shop")
	ss.Scope().SetVersion("1.2")
	return ss.Spans()
}

func shopSpan(spans ptrace.SpanSlice, name string, id, parent byte, kind ptrace.SpanKind, start, end int) ptrace.Span {
	span := spans.AppendEmpty()
	span.SetName(name)
	span.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	span.SetSpanID(pcommon.SpanID{7: id})
	if parent != 0 {
		span.SetParentSpanID(pcommon.SpanID{7: parent})
	}
	span.SetKind(kind)
	span.SetStartTimestamp(shopTime(start))
	span.SetEndTimestamp(shopTime(end))
	return span
}
