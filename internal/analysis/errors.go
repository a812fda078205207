package analysis

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// failed says whether a span is an error: its status says so. Nothing else counts: an exception event may have been handled, and
// whether a status code of HTTP or gRPC is an error is for the instrumentation to say, which knows the request.
func failed(n *tracetree.Node) bool { return n.Status().Code() == ptrace.StatusCodeError }

// findOrigins finds where failures began: error spans none of whose children failed.
func (a *Analyzer) findOrigins(tree *tracetree.Tree) {
	for i := range tree.Nodes {
		n, s := &tree.Nodes[i], &a.result.Spans[i]
		if s.Failed && n.InTree() && !a.marks[i].failedBelow {
			s.ErrorOrigin = true
			s.Fingerprint = a.fingerprint(n, s)
		}
	}
}

// fingerprint is a hash over service, operation, exception type and the normalised message, or the status code where there is
// no message: 16 hex digits.
func (a *Analyzer) fingerprint(n *tracetree.Node, s *SpanResult) string {
	exception, message := lastException(n)
	if exception == "" {
		exception = conventions.Str(n.Attributes(), "error.type")
	}
	if message == "" {
		message = n.Status().Message()
	}
	if message == "" {
		message = statusCode(n.Attributes())
		a.message = append(a.message[:0], message...)
	} else {
		a.message = appendNormalized(a.message[:0], message[:min(len(message), maxMessage)])
	}
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
		if event := events.At(i); event.Name() == "exception" {
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
