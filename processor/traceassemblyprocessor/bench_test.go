package traceassemblyprocessor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/otlpwire"
	"github.com/tracewright/tracewright/internal/rawspans"
)

// sdkRequest is a request of traces with n spans each, of four services, about 540 bytes of OTLP a span.
func sdkRequest(traces, n int, seed uint64) ptrace.Traces {
	rng := rand.New(rand.NewPCG(seed, 1))
	td := ptrace.NewTraces()
	var slices [4]ptrace.SpanSlice
	for i := range slices {
		rs := td.ResourceSpans().AppendEmpty()
		attrs := rs.Resource().Attributes()
		attrs.PutStr("service.name", fmt.Sprint("service-", i))
		for j := range 8 {
			attrs.PutStr(fmt.Sprint("resource.attribute.", j), fmt.Sprint("value-", j))
		}
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http")
		slices[i] = ss.Spans()
	}
	for range traces {
		var id pcommon.TraceID
		for i := range id {
			id[i] = byte(rng.Uint32())
		}
		for s := range n {
			span := slices[s%len(slices)].AppendEmpty()
			span.SetTraceID(id)
			span.SetSpanID(spanID(uint64(s + 1)))
			span.SetParentSpanID(spanID(uint64(s) / 2))
			if s == 0 {
				span.SetParentSpanID(pcommon.SpanID{})
			}
			span.SetName(fmt.Sprint("GET /api/v1/resource/", s))
			span.SetKind(ptrace.SpanKind(s % 6))
			span.SetStartTimestamp(pcommon.Timestamp(1_700_000_000_000_000_000 + rng.Uint64N(1e9)))
			span.SetEndTimestamp(span.StartTimestamp() + 1000)
			attrs := span.Attributes()
			attrs.PutStr("http.request.method", "GET")
			attrs.PutStr("url.path", fmt.Sprint("/api/v1/resource/", rng.Uint32()))
			attrs.PutStr("server.address", "service.default.svc.cluster.local")
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)")
			attrs.PutStr("network.peer.address", "10.0.0.1")
			attrs.PutStr("user.id", fmt.Sprint("user-", rng.Uint32()))
			attrs.PutStr("code.function", "github.com/example/shop/internal/http.(*Server).handle")
			attrs.PutInt("thread.id", rng.Int64N(100))
		}
	}
	return td
}

// traceIDs finds where the trace ids of a request stand.
type traceIDs struct {
	oneMessage
	request string
	at      []int
}

func (t *traceIDs) Span(s *otlpwire.Span) error {
	t.at = append(t.at, s.At+strings.Index(t.request[s.At:s.End], string(s.TraceID[:])))
	return nil
}

// BenchmarkAssembly measures the CPU that assembly adds to decoding, garbage collection of what is held included: a span is
// held for linger, as in the service, and the process's CPU time counts, not the clock.
func BenchmarkAssembly(b *testing.B) {
	const traces, spans, heldSpans = 50, 20, 100_000
	var requests []*traceIDs
	for seed := range uint64(64) {
		data, err := encodeTraces(sdkRequest(traces, spans, seed))
		require.NoError(b, err)
		r := &traceIDs{request: data}
		require.NoError(b, new(otlpwire.Scanner).Scan(data, r))
		requests = append(requests, r)
	}
	// request writes one with other trace ids in every round.
	request := func(i int, to []byte) {
		from := requests[i%len(requests)]
		copy(to, from.request)
		for _, at := range from.at {
			to[at], to[at+1], to[at+2] = byte(i>>6), byte(i>>14), byte(i>>22)
		}
	}
	decoded := func(i int) ptrace.Traces {
		data := make([]byte, len(requests[i%len(requests)].request))
		request(i, data)
		td, err := unmarshaler.UnmarshalTraces(data)
		require.NoError(b, err)
		return td
	}
	raw := func(i int) ptrace.Traces {
		data := make([]byte, len(requests[i%len(requests)].request))
		request(i, data)
		td, err := unmarshaler.UnmarshalTraces(rawspans.Replace(data))
		require.NoError(b, err)
		return td
	}
	b.Run("decode alone", func(b *testing.B) {
		begin := cpu()
		n := 0
		for b.Loop() {
			decoded(n)
			n++
		}
		report(b, begin, n*traces*spans)
	})
	assemble := func(b *testing.B, receive func(int) ptrace.Traces, configure func(*Config)) {
		tel := componenttest.NewTelemetry()
		cfg := createDefaultConfig().(*Config)
		cfg.Linger = 200 * time.Millisecond
		configure(cfg)
		p := newTestProcessor(b, cfg, tel, consumertest.NewNop())
		require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
		begin := cpu()
		n := 0
		for b.Loop() {
			// Traces would come faster than linger lets them go.
			for p.budget.spans.Load() > heldSpans {
				time.Sleep(time.Millisecond)
			}
			require.NoError(b, p.ConsumeTraces(b.Context(), receive(n)))
			n++
		}
		require.NoError(b, p.Shutdown(b.Context()))
		report(b, begin, n*traces*spans)
		require.NoError(b, tel.Shutdown(b.Context()))
	}
	journaled := func(c *Config) {
		withJournal(c)
		c.Journal.Get().Directory = b.TempDir()
	}
	b.Run("assemble", func(b *testing.B) { assemble(b, raw, func(*Config) {}) })
	b.Run("journal and assemble", func(b *testing.B) { assemble(b, raw, journaled) })
	b.Run("decode and assemble", func(b *testing.B) { assemble(b, decoded, func(*Config) {}) })
}

func report(b *testing.B, begin time.Duration, spans int) {
	b.ReportMetric((cpu()-begin).Seconds()/float64(spans)*1e6, "cpu-s/Mspan")
	b.ReportMetric(0, "ns/op")
}

// cpu is the CPU time of this process.
func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
