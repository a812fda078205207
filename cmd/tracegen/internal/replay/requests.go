package replay

import (
	"iter"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Most of what a request holds: spans, of which an SDK's has 512, and about so many bytes of them, since receivers take 4 MiB by default over
// gRPC. A span that is larger goes alone.
const (
	requestSpans = 512
	requestBytes = 2 << 20
)

// Requests yields encoded ExportTraceServiceRequests with the spans of td, in their order. td's spans are moved out of it.
func Requests(td ptrace.Traces) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		request := ptrace.NewTraces()
		held, size := 0, 0
		sizer := new(ptrace.ProtoMarshaler)
		flush := func() bool {
			if held == 0 {
				return true
			}
			body, err := ptraceotlp.NewExportRequestFromTraces(request).MarshalProto()
			request, held, size = ptrace.NewTraces(), 0, 0
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
					full := false
					for ; begin < ss.Spans().Len() && !full; begin++ {
						span := ss.Spans().At(begin)
						next := sizer.SpanSize(span)
						if full = held > 0 && size+next > requestBytes; full {
							break
						}
						span.MoveTo(scope.Spans().AppendEmpty())
						held, size = held+1, size+next
						full = held == requestSpans
					}
					if full && !flush() {
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
