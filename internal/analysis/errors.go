package analysis

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// failed says whether a span is an error: its status says so. Aggregates count nothing else.
func failed(span ptrace.Span) bool { return span.Status().Code() == ptrace.StatusCodeError }

// failsUnsaid says whether a span failed although its status is unset, as which an unknown code counts: by the code of the answer where
// there is one, else by an exception that is not known to have been handled within the span. The status ok is the application's word that
// all is well.
func failsUnsaid(span ptrace.Span, response *conventions.Response) bool {
	failed, known := response.Failed(span.Kind())
	events := span.Events()
	if known && !failed || !known && events.Len() == 0 || span.Status().Code() == ptrace.StatusCodeOk {
		return false
	}
	if known {
		return true
	}
	for i := range events.Len() {
		if event := events.At(i); event.Name() == exceptionEvent {
			escaped, given := event.Attributes().Get("exception.escaped")
			if !given || escaped.Type() != pcommon.ValueTypeBool || escaped.Bool() {
				return true
			}
		}
	}
	return false
}

const exceptionEvent = "exception"

// whatFailed appends what a failing span says of its failure, without what differs from case to case: the message or, where there is
// none, the status code. exception is the type of the error.
func whatFailed(dst []byte, n *tracetree.Node) (exception string, message []byte) {
	exception, text := lastException(n)
	if exception == "" {
		exception = conventions.Str(n.Attributes(), "error.type")
	}
	if text == "" {
		text = n.Status().Message()
	}
	if text == "" {
		return exception, append(dst, statusCode(n.Attributes())...)
	}
	return exception, appendMessage(dst, text[:min(len(text), maxMessage)])
}

// fingerprint is a hash over service, operation, exception type and the normalised message, or the status code where there is
// no message: 16 hex digits.
func (a *Analyzer) fingerprint(n *tracetree.Node, s *SpanResult) string {
	var exception string
	exception, a.message = whatFailed(a.message[:0], n)
	var h xxhash.Digest
	h.Reset()
	for _, part := range [...]string{s.Service, s.Operation, exception} {
		_, _ = h.WriteString(part) // never fails
		_, _ = h.Write([]byte{0})  // never fails
	}
	_, _ = h.Write(a.message) // never fails
	sum := strconv.AppendUint(make([]byte, 0, 32), h.Sum64(), 16)
	return "0000000000000000"[len(sum):] + string(sum)
}

// lastException is type and message of the last exception event: the one that ended the span.
func lastException(n *tracetree.Node) (exception, message string) {
	events := n.Events()
	for i := events.Len() - 1; i >= 0; i-- {
		if event := events.At(i); event.Name() == exceptionEvent {
			return conventions.Str(event.Attributes(), "exception.type"), conventions.Str(event.Attributes(), "exception.message")
		}
	}
	return "", ""
}

// statusCode is the status code of HTTP or RPC, by its current or previous name; empty if there is none.
func statusCode(attrs pcommon.Map) string {
	for _, key := range [...]string{
		"http.response.status_code", "rpc.response.status_code", "http.status_code", "rpc.grpc.status_code",
	} {
		if v, ok := attrs.Get(key); ok {
			switch v.Type() {
			case pcommon.ValueTypeInt:
				return strconv.FormatInt(v.Int(), 10)
			case pcommon.ValueTypeStr:
				return v.Str()
			}
		}
	}
	return ""
}
