package conventions_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestResponseFailed(t *testing.T) {
	for _, tt := range []struct {
		attributes     attrs
		server, client bool
		known          bool
	}{
		{attributes: attrs{}},
		{attributes: attrs{"http.response.status_code": 200}, known: true},
		{attributes: attrs{"http.response.status_code": 399}, known: true},
		{attributes: attrs{"http.response.status_code": 400}, client: true, known: true},
		{attributes: attrs{"http.response.status_code": 499}, client: true, known: true},
		{attributes: attrs{"http.response.status_code": 500}, server: true, client: true, known: true},
		{attributes: attrs{"http.status_code": 503}, server: true, client: true, known: true},
		{attributes: attrs{"http.status_code": 503, "http.response.status_code": 200}, known: true}, // the current name goes before
		{attributes: attrs{"http.response.status_code": "500"}},                                     // of the wrong type
		{attributes: attrs{"http.response.status_code": 600}, known: true},                          // no code of HTTP
		{attributes: attrs{"rpc.grpc.status_code": 0}, known: true},
		{attributes: attrs{"rpc.grpc.status_code": 1}, client: true, known: true}, // CANCELLED
		{attributes: attrs{"rpc.grpc.status_code": 2}, server: true, client: true, known: true},
		{attributes: attrs{"rpc.grpc.status_code": 5}, client: true, known: true}, // NOT_FOUND
		{attributes: attrs{"rpc.grpc.status_code": 16}, client: true, known: true},
		{attributes: attrs{"rpc.grpc.status_code": 17}},
		{attributes: attrs{"rpc.grpc.status_code": -1}},
		{attributes: attrs{"rpc.response.status_code": "OK"}, known: true},
		{attributes: attrs{"rpc.response.status_code": "DEADLINE_EXCEEDED"}, server: true, client: true, known: true},
		{attributes: attrs{"rpc.response.status_code": "UNIMPLEMENTED"}, server: true, client: true, known: true},
		{attributes: attrs{"rpc.response.status_code": "INTERNAL"}, server: true, client: true, known: true},
		{attributes: attrs{"rpc.response.status_code": "unavailable"}, server: true, client: true, known: true}, // Connect's
		{attributes: attrs{"rpc.response.status_code": "DATA_LOSS"}, server: true, client: true, known: true},
		{attributes: attrs{"rpc.response.status_code": "canceled"}, client: true, known: true},
		{attributes: attrs{"rpc.response.status_code": "-32601"}}, // JSON-RPC's
		// gRPC over HTTP: the code of the call decides.
		{attributes: attrs{"rpc.grpc.status_code": 13, "http.response.status_code": 200}, server: true, client: true, known: true},
	} {
		for kind, want := range map[ptrace.SpanKind]bool{ptrace.SpanKindServer: tt.server, ptrace.SpanKindClient: tt.client} {
			f := facts(t, kind, tt.attributes)
			failed, known := f.Response.Failed(kind)
			require.Equal(t, want, failed, "%v %v", kind, tt.attributes)
			require.Equal(t, tt.known, known, "%v %v", kind, tt.attributes)
		}
		f := facts(t, ptrace.SpanKindInternal, tt.attributes)
		failed, known := f.Response.Failed(ptrace.SpanKindInternal)
		require.False(t, failed || known, tt.attributes)
	}
	f := facts(t, ptrace.SpanKindClient, attrs{"rpc.response.status_code": "CANCELLED"})
	code, ok := f.Response.GRPC()
	require.Equal(t, conventions.GRPCCancelled, code)
	require.True(t, ok)
}
