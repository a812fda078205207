package replay

import (
	"iter"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// requestSpans is the most that a request holds; an SDK's has 512.
const requestSpans = 512

// Requests yields encoded ExportTraceServiceRequests with the spans of td, in their order. td's spans are moved out of it.
func Requests(td ptrace.Traces) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		request := ptrace.NewTraces()
		held := 0
		flush := func() bool {
			if held == 0 {
				return true
			}
			body, err := ptraceotlp.NewExportRequestFromTraces(request).MarshalProto()
			request, held = ptrace.NewTraces(), 0
			return yield(body, err) && err == nil
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for begin := 0; begin < ss.Spans().Len(); {
					to := request.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(to.Resource())
					to.SetSchemaUrl(rs.SchemaUrl())
					scope := to.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(ss.SchemaUrl())
					n := min(ss.Spans().Len()-begin, requestSpans-held)
					for i := begin; i < begin+n; i++ {
						ss.Spans().At(i).MoveTo(scope.Spans().AppendEmpty())
					}
					begin, held = begin+n, held+n
					if held == requestSpans && !flush() {
						return
					}
				}
			}
		}
		flush()
	}
}

// LastEnd is the latest end of a span, as Unix nanoseconds; 0 without spans.
func LastEnd(td ptrace.Traces) (last pcommon.Timestamp) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				last = max(last, span.EndTimestamp())
			}
		}
	}
	return last
}

// Shift moves all times of spans and events. A time that would leave its range stays at the end of it.
func Shift(td ptrace.Traces, by time.Duration) {
	move := func(t pcommon.Timestamp) pcommon.Timestamp {
		switch moved := t + pcommon.Timestamp(by); {
		case t == 0: // it was not set
			return 0
		case by > 0 && moved < t:
			return math.MaxUint64
		case by < 0 && moved > t:
			return 0
		default:
			return moved
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				span.SetStartTimestamp(move(span.StartTimestamp()))
				span.SetEndTimestamp(move(span.EndTimestamp()))
				for _, event := range span.Events().All() {
					event.SetTimestamp(move(event.Timestamp()))
				}
			}
		}
	}
}
