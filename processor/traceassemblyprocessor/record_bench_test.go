package traceassemblyprocessor

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// BenchmarkRecord remembers a trace of 20 spans: five services of a server span each, a call of the next one, and two of a
// database.
func BenchmarkRecord(b *testing.B) {
	table := newSymbols[operation]()
	s := &shard{symbols: table, skeletons: newSkeletons(time.Hour, 1<<40, table)}
	t := &trace{key: traceKey{id: traceID(1)}, version: 1}
	calls := conventions.NewCalls()
	for service := range 5 {
		o := &heldOrigin{origin: &origin{resource: &resource{service: fmt.Sprint("service-", service), environment: "production"}}}
		server := uint64(4*service + 1)
		for i, kind := range []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindClient, ptrace.SpanKindClient} {
			h := heldSpan{id: spanID(server + uint64(i)), parent: spanID(server), kind: kind}
			if i == 0 {
				h.parent = spanID(server - 1) // 0 for the root; the call before
			}
			h.op = table.ref(operation{o.resource.service, fmt.Sprint("operation ", i)})
			span := ptrace.NewSpan()
			span.SetKind(kind)
			attrs := span.Attributes()
			attrs.PutStr("http.request.method", "GET")
			attrs.PutStr("server.address", "orders-db.shop.svc.cluster.local")
			attrs.PutInt("server.port", 5432)
			attrs.PutStr("network.peer.address", "10.1.2.3")
			attrs.PutInt("network.peer.port", 5432)
			attrs.PutInt("thread.id", 17)
			attrs.PutStr("code.function.name", "orders.find")
			if kind == ptrace.SpanKindClient && i < 3 {
				attrs.PutStr("db.system.name", "postgresql")
				attrs.PutStr("db.namespace", "orders")
				attrs.PutStr("db.operation.name", "SELECT")
				attrs.PutStr("db.query.text", "SELECT * FROM orders WHERE id = $1")
			}
			raw := encodeSpan(b, span)
			h.origin, _ = t.originOf(o)
			h.bytes = spanBytes{run: t.runOf(raw), size: uint32(len(raw))}
			if call := (&intake{p: &assemblyProcessor{calls: calls}}).call(kind, raw); call != nil {
				h.peer = s.skeletons.peer(h.op, call, o.resource.environment)
			}
			t.held.set(h.id, int32(len(t.spans)))
			t.spans = append(t.spans, h)
		}
	}
	s.record(t, conventions.OutcomeComplete, nil) // keeps its symbols
	b.ReportAllocs()
	for b.Loop() {
		t.history = nil
		s.record(t, conventions.OutcomeComplete, nil)
		for i := range t.history.spans {
			table.again(t.history.spans[i].op) // removed with the skeleton
			s.skeletons.endpoints.again(t.history.spans[i].peer)
		}
		s.skeletons.remove(t.history)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/span")
}
