package conventions

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
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

// callOf asks for a span's call as those do who walk its attributes.
func callOf(calls *Calls, span ptrace.Span) *Call {
	if !Calling(span.Kind()) {
		return nil
	}
	clues := calls.Clues(span.Kind())
	for key, value := range span.Attributes().All() {
		switch value.Type() {
		case pcommon.ValueTypeStr:
			clues.Text(key, value.Str())
		case pcommon.ValueTypeInt:
			clues.Int(key, value.Int())
		}
	}
	return calls.Of(&clues, func() ptrace.Span { return span })
}

// TestCallsAreThoseOfReadCall asks for random spans, many of them alike, and for their calls one by one.
func TestCallsAreThoseOfReadCall(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	calls := NewCalls()
	shared := make(map[*Call]int)
	for range 20_000 {
		span := ptrace.NewSpan()
		span.SetKind(ptrace.SpanKind(rng.IntN(6)))
		for range rng.IntN(6) {
			key := pick("service.peer.name", "peer.service", "db.system.name", "db.system", "db.namespace", "db.name",
				"db.query.text", "db.statement", "messaging.system", "messaging.destination.name", "messaging.destination",
				"rpc.system.name", "rpc.system", "rpc.service", "rpc.method", "server.address", "net.peer.name", "http.host",
				"peer.hostname", "network.peer.address", "net.peer.ip", "url.full", "http.url", "component", "server.port",
				"net.peer.port", "http.request.method", "http.method", "db.cassandra.keyspace", "db.hbase.namespace", "db.instance",
				"messaging.source.name", "message_bus.destination", "server.socket.domain", "net.sock.peer.name",
				"server.socket.address", "net.sock.peer.addr", "other")
			if rng.IntN(4) == 0 {
				span.Attributes().PutInt(key, int64(rng.IntN(3)))
			} else {
				span.Attributes().PutStr(key, pick("", "1", "2", "http://a/1", "http://a:2/2", "etcdserverpb.KV"))
			}
		}
		got := callOf(calls, span)
		want := ReadCall(span)
		if kind := span.Kind(); want.Peer == "" || kind != ptrace.SpanKindClient && kind != ptrace.SpanKindProducer {
			require.Nil(t, got)
			continue
		}
		require.Equal(t, want, *got, "%v", span.Attributes().AsRaw())
		shared[got]++
	}
	require.Less(t, 2*len(shared), 20_000/3, "they are shared")
}

func BenchmarkCalls(b *testing.B) {
	span, calls := databaseCall(), NewCalls()
	b.ReportAllocs()
	for b.Loop() {
		callOf(calls, span)
	}
}

func BenchmarkReadCall(b *testing.B) {
	span := databaseCall()
	b.ReportAllocs()
	for b.Loop() {
		ReadCall(span)
	}
}
