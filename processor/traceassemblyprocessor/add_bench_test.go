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
	var spans []heldSpan
	for service := range uint64(5) {
		name := "service-" + string(rune('a'+service))
		o := s.origins.intern(&origin{resource: &resource{service: name}, key: originKey{resource: resourceKey{tenant: name}}})
		server := 1 + 4*service
		for i := range uint64(4) {
			h := heldSpan{origin: o, id: spanID(server + i), parent: spanID(server), kind: ptrace.SpanKindClient}
			h.op = s.symbols.ref(operation{name, "call" + string(rune('0'+i))})
			if i > 1 {
				span := ptrace.NewSpan()
				span.Attributes().PutStr("db.system.name", "postgresql")
				h.raw = encodeSpan(b, span)
			}
			if i == 0 {
				h.kind, h.parent = ptrace.SpanKindServer, spanID(server-3) // the call of the service before
			}
			if server == 1 && i == 0 {
				h.parent = spanID(0)
			}
			spans = append([]heldSpan{h}, spans...)
		}
	}
	b.ReportAllocs()
	traces := 0
	for b.Loop() {
		t := s.newTrace()
		t.first, t.root, t.spans = time.Second, noSpan, newSpans()
		for i := range spans {
			t.add(&spans[i], s.learned)
		}
		if !t.complete() && traces > 100 {
			b.Fatal("not complete")
		}
		t.learn(s.learned)
		recycleSpans(t.spans)
		s.freeTrace(t)
		traces++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(spans)), "ns/span")
}
