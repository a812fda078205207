package insights

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// What tracegen has no fault for is done to the spans that it sends.

func eachSpan(td ptrace.Traces, do func(service string, spans ptrace.SpanSlice, span ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for i := range ss.Spans().Len() { // those that are there now
				do(conventions.ServiceName(rs.Resource()), ss.Spans(), ss.Spans().At(i))
			}
		}
	}
}

// oneByOne makes 15 calls, one after the other, of payment's one that charges a card.
func oneByOne(td ptrace.Traces) {
	eachSpan(td, func(service string, spans ptrace.SpanSlice, span ptrace.Span) {
		if service != "payment" || span.Kind() != ptrace.SpanKindClient || span.Name() != "POST /v1/charges" {
			return
		}
		const calls = 15
		start, piece := span.StartTimestamp(), (span.EndTimestamp()-span.StartTimestamp())/calls
		span.SetEndTimestamp(start + piece)
		for i := pcommon.Timestamp(1); i < calls; i++ {
			more := spans.AppendEmpty()
			span.CopyTo(more)
			id := span.SpanID()
			id[0] ^= byte(i)
			more.SetSpanID(id)
			more.SetStartTimestamp(start + i*piece)
			more.SetEndTimestamp(start + (i+1)*piece)
		}
	})
}

// without takes all spans of a service out.
func without(service string) func(td ptrace.Traces) {
	return func(td ptrace.Traces) {
		td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool { return conventions.ServiceName(rs.Resource()) == service })
	}
}

// laterOn lets the clock of the node on which the first spans of the service come from be ahead.
func laterOn(service string, ahead time.Duration) func(td ptrace.Traces) {
	node := ""
	return func(td ptrace.Traces) {
		for _, rs := range td.ResourceSpans().All() {
			of := conventions.Str(rs.Resource().Attributes(), "k8s.node.name")
			if node == "" && conventions.ServiceName(rs.Resource()) == service {
				node = of
			}
			if of != node {
				continue
			}
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					span.SetStartTimestamp(span.StartTimestamp() + pcommon.Timestamp(ahead))
					span.SetEndTimestamp(span.EndTimestamp() + pcommon.Timestamp(ahead))
				}
			}
		}
	}
}

// namePaths names storefront's spans after the page, which has no digit by which to know it.
func namePaths(td ptrace.Traces) {
	eachSpan(td, func(service string, _ ptrace.SpanSlice, span ptrace.Span) {
		if service != "storefront" || span.Kind() != ptrace.SpanKindServer {
			return
		}
		id, page := span.TraceID(), make([]byte, 0, 6)
		for _, b := range id[10:] {
			page = append(page, 'g'+b%16)
		}
		span.SetName("GET /pages/" + string(page))
		span.Attributes().Remove("http.route")
	})
}
