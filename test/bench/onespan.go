package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	requestSpans = 512 // as SDKs send
	requestKinds = 16  // one service each
)

// oneSpanRequests are encoded requests of traces of one span, of 540 bytes each, that are decoded again and again with other
// trace ids.
type oneSpanRequests struct {
	encoded     [][]byte
	unmarshaler ptrace.ProtoUnmarshaler
	rng         *rand.Rand
	count       int
}

func newOneSpanRequests() (*oneSpanRequests, error) {
	r := &oneSpanRequests{rng: rand.New(rand.NewPCG(1, 2))}
	var marshaler ptrace.ProtoMarshaler
	for service := range requestKinds {
		body, err := marshaler.MarshalTraces(oneSpanRequest(fmt.Sprint("service-", service), r.rng))
		if err != nil {
			return nil, err
		}
		r.encoded = append(r.encoded, body)
	}
	return r, nil
}

func oneSpanRequest(service string, rng *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	for range requestSpans {
		span := ss.Spans().AppendEmpty()
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], rng.Uint64()|1)
		span.SetSpanID(id)
		span.SetName("GET /api/v1/orders/{id}")
		span.SetKind(ptrace.SpanKindServer)
		span.SetStartTimestamp(pcommon.Timestamp(1_700_000_000_000_000_000 + rng.Uint64N(1e9)))
		span.SetEndTimestamp(span.StartTimestamp() + 1_000_000)
		attrs := span.Attributes()
		attrs.PutStr("http.request.method", "GET")
		attrs.PutStr("http.route", "/api/v1/orders/{id}")
		attrs.PutStr("url.path", fmt.Sprint("/api/v1/orders/", rng.Uint32()))
		attrs.PutStr("server.address", "orders.default.svc.cluster.local")
		attrs.PutInt("http.response.status_code", 200)
		attrs.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)")
		attrs.PutStr("user.id", fmt.Sprint("user-", rng.Uint32()))
		attrs.PutStr("code.function", strings.Repeat("x", 60))
		attrs.PutInt("thread.id", rng.Int64N(100))
	}
	return td
}

// next decodes a request and gives its spans new traces. The caller owns it.
func (r *oneSpanRequests) next() (ptrace.Traces, error) {
	td, err := r.unmarshaler.UnmarshalTraces(r.encoded[r.count%len(r.encoded)])
	if err != nil {
		return td, err
	}
	r.count++
	for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		var id pcommon.TraceID
		binary.LittleEndian.PutUint64(id[:8], r.rng.Uint64())
		binary.LittleEndian.PutUint64(id[8:], r.rng.Uint64())
		span.SetTraceID(id)
	}
	return td, nil
}
