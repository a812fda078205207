package conventions

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Codes of gRPC that say more than that a call failed.
const (
	GRPCCancelled   = 1
	GRPCUnavailable = 14
)

// grpcCodes are gRPC's status codes by number. The conventions write the name in rpc.response.status_code; Connect's names are the
// same ones in lower case, but for "canceled".
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// grpcServerErrors are the codes that the conventions call errors on server spans: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
// INTERNAL, UNAVAILABLE and DATA_LOSS. On client spans all are but OK.
const grpcServerErrors = 1<<2 | 1<<4 | 1<<12 | 1<<13 | 1<<14 | 1<<15

// Response is what a span says of the answer that its call got or gave: the status codes of HTTP and gRPC, by their current and
// previous names. Values of another type than the conventions' count as absent.
type Response struct {
	http, oldHTTP int64
	rpc           string
	grpc          int64 // one more than the code, 0 if there is none
}

// setInt takes the first of repeated attributes, as pcommon.Map.Get does.
func setInt(to *int64, value pcommon.Value) {
	if *to == 0 && value.Type() == pcommon.ValueTypeInt {
		*to = value.Int()
	}
}

// HTTP is the status code of HTTP, 0 if there is none.
func (r *Response) HTTP() int64 {
	if r.http != 0 {
		return r.http
	}
	return r.oldHTTP
}

// GRPC is the status code of gRPC; ok says whether there is one that gRPC knows.
func (r *Response) GRPC() (code int, ok bool) {
	if r.rpc != "" {
		for i, name := range grpcCodes {
			if strings.EqualFold(r.rpc, name) {
				return i, true
			}
		}
		return GRPCCancelled, strings.EqualFold(r.rpc, "canceled")
	}
	return int(r.grpc - 1), r.grpc > 0 && r.grpc <= int64(len(grpcCodes))
}

// Failed says whether the codes are an error on a span of the kind, by the conventions: of HTTP 5xx on servers, 4xx and 5xx on
// clients; of gRPC its table for servers, all but OK on clients. known says whether there is a code to go by: on spans of other kinds
// there is none.
func (r *Response) Failed(kind ptrace.SpanKind) (failed, known bool) {
	if kind != ptrace.SpanKindServer && kind != ptrace.SpanKindClient {
		return false, false
	}
	server := kind == ptrace.SpanKindServer
	if r.rpc != "" || r.grpc != 0 {
		if code, ok := r.GRPC(); ok { // gRPC's own answer of HTTP is 200, whatever the code
			return code != 0 && (!server || grpcServerErrors>>code&1 != 0), true
		}
	}
	code := r.HTTP()
	return code >= 500 && code < 600 || code >= 400 && code < 500 && !server, code != 0
}
