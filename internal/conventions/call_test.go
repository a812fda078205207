package conventions

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// testCall is a client span as an SDK's HTTP or database instrumentation writes it.
func testCall(attributes ...any) ptrace.Span {
	span := ptrace.NewSpan()
	span.SetKind(ptrace.SpanKindClient)
	for i := 0; i < len(attributes); i += 2 {
		if n, ok := attributes[i+1].(int); ok {
			span.Attributes().PutInt(attributes[i].(string), int64(n))
		} else {
			span.Attributes().PutStr(attributes[i].(string), attributes[i+1].(string))
		}
	}
	return span
}

func databaseCall() ptrace.Span {
	return testCall("db.system.name", "postgresql", "db.namespace", "orders", "db.query.text", "SELECT * FROM orders WHERE id = $1",
		"db.operation.name", "SELECT", "db.collection.name", "orders", "server.address", "orders-db.shop.svc", "server.port", 5432,
		"network.peer.address", "10.1.2.3", "network.peer.port", 5432, "thread.id", 17, "code.function.name", "orders.find")
}

func TestReadCall(t *testing.T) {
	for name, test := range map[string]struct {
		span ptrace.Span
		want Call
	}{
		"database": {databaseCall(), Call{"postgresql:orders", KindDatabase, "postgresql"}},
		"http":     {testCall("http.request.method", "GET", "server.address", "api", "server.port", 80), Call{"api:80", KindExternal, "http"}},
		"older":    {testCall("http.method", "GET", "http.url", "https://u:p@api/x"), Call{"api", KindExternal, "http"}},
		"no text":  {testCall("http.method", 1, "peer.service", "api"), Call{"api", KindExternal, ProtocolUnknown}},
		"rpc":      {testCall("rpc.system", "grpc", "http.request.method", "POST", "peer.service", "api"), Call{"api", KindExternal, "grpc"}},
		"queue":    {testCall("messaging.system", "kafka", "messaging.destination.name", "orders"), Call{"orders", KindQueue, "kafka"}},
		"nothing":  {testCall("thread.id", 1), Call{"", "", ProtocolUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, ReadCall(test.span))
			require.Equal(t, test.want.Protocol, ReadProtocol(test.span))
		})
	}
}

func BenchmarkReadCall(b *testing.B) {
	span := databaseCall()
	b.ReportAllocs()
	for b.Loop() {
		ReadCall(span)
	}
}
