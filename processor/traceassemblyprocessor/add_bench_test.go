package traceassemblyprocessor

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// BenchmarkAdd adds a trace of 20 spans to its structure: of five services each a server span, a call of the next one and two of a
// database, children before their parents as SDKs send them.
func BenchmarkAdd(b *testing.B) {
	telemetry := componenttest.NewTelemetry()
	p := newTestProcessor(b, createDefaultConfig().(*Config), telemetry, consumertest.NewNop())
	s := newShard(p, nil, 1)
	type span struct {
		heldSpan
		origin *heldOrigin
		raw    string
	}
	var spans []span
	for service := range uint64(5) {
		name := "service-" + string(rune('a'+service))
		o := s.origins.intern(&origin{resource: &resource{service: name}, key: originKey{resource: resourceKey{tenant: name}}})
		server := 1 + 4*service
		for i := range uint64(4) {
			h := span{origin: o, heldSpan: heldSpan{id: spanID(server + i), parent: spanID(server), kind: ptrace.SpanKindClient}}
			h.op = s.symbols.ref(operation{name, "call" + string(rune('0'+i))})
			if i > 1 {
				db := ptrace.NewSpan()
				db.Attributes().PutStr("db.system.name", "postgresql")
				h.raw = encodeSpan(b, db)
			}
			if i == 0 {
				h.kind, h.parent = ptrace.SpanKindServer, spanID(server-3) // the call of the service before
			}
			if server == 1 && i == 0 {
				h.parent = spanID(0)
			}
			spans = append([]span{h}, spans...)
		}
	}
	b.ReportAllocs()
	traces := 0
	for b.Loop() {
		t := s.newTrace()
		t.first, t.root, t.contents = time.Second, noSpan, newContents()
		for i := range spans {
			h := spans[i].heldSpan
			h.bytes = spanBytes{run: t.runOf(spans[i].raw), size: uint32(len(spans[i].raw))}
			h.origin, _ = t.originOf(spans[i].origin)
			t.add(&h, s.learned)
		}
		if !t.complete() && traces > 100 {
			b.Fatal("not complete")
		}
		t.learn(s.learned)
		recycleContents(t.contents)
		s.freeTrace(t)
		traces++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(spans)), "ns/span")
}
