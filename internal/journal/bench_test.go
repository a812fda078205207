package journal

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// BenchmarkJournal measures the CPU that a journal costs: requests of 200 spans, 540 bytes of OTLP each, from four senders to
// a real disk, each waiting for its answer. What counts is the process's CPU time, not the clock; MB/s and the mean time of a
// sync say what the disk gave.
func BenchmarkJournal(b *testing.B) {
	const spans, senders = 200, 4
	td := request(spans)
	var marshaler ptrace.ProtoMarshaler
	encoded, err := marshaler.MarshalTraces(td)
	require.NoError(b, err)
	marshal := func() []byte {
		data, err := marshaler.MarshalTraces(td)
		if err != nil {
			b.Error(err)
		}
		return data
	}
	b.Run("marshal", func(b *testing.B) {
		begin, n := cpu(), 0
		for b.Loop() {
			marshal()
			n++
		}
		report(b, begin, n, spans, len(encoded))
	})
	for _, policy := range []struct {
		name string
		sync Policy
	}{{"always", Always}, {"os", OS}} {
		b.Run("append/"+policy.name, func(b *testing.B) {
			benchmarkAppend(b, policy.sync, spans, senders, func([]byte) []byte { return encoded })
		})
		b.Run("marshal and append/"+policy.name, func(b *testing.B) {
			benchmarkAppend(b, policy.sync, spans, senders, func([]byte) []byte { return marshal() })
		})
		b.Run("marshal, compress and append/"+policy.name, func(b *testing.B) {
			benchmarkAppend(b, policy.sync, spans, senders, func(b []byte) []byte { return s2.Encode(b[:cap(b)], marshal()) })
		})
		b.Run("compress and append/"+policy.name, func(b *testing.B) {
			benchmarkAppend(b, policy.sync, spans, senders, func(b []byte) []byte { return s2.Encode(b[:cap(b)], encoded) })
		})
	}
	b.Run("read", func(b *testing.B) {
		l, err := Open(Options{Directory: b.TempDir(), SegmentBytes: 64 << 20, Sync: OS})
		require.NoError(b, err)
		for range 500 {
			_, err := l.Append(b.Context(), encoded)
			require.NoError(b, err)
		}
		begin, n := cpu(), 0
		for b.Loop() {
			r, err := l.Read(1, func(Position, []byte) error { return nil })
			require.NoError(b, err)
			n += r.Records
		}
		report(b, begin, n, spans, len(encoded))
		require.NoError(b, l.Close())
	})
}

func benchmarkAppend(b *testing.B, policy Policy, spans, senders int, record func(buffer []byte) []byte) {
	var synced atomic.Int64
	var syncs atomic.Int64
	l, err := Open(Options{
		Directory: b.TempDir(), SegmentBytes: 64 << 20, Sync: policy,
		OnSync: func(d time.Duration) { synced.Add(int64(d)); syncs.Add(1) },
	})
	require.NoError(b, err)
	var left atomic.Int64
	left.Store(int64(b.N))
	size := len(record(nil))
	var calls sync.WaitGroup
	b.ResetTimer()
	begin := cpu()
	for range senders {
		calls.Go(func() {
			var buffer []byte
			for left.Add(-1) >= 0 {
				buffer = record(buffer)
				p, err := l.Append(b.Context(), buffer)
				if err != nil {
					b.Error(err)
				}
				if p.Segment > 2 {
					_ = l.Remove(p.Segment - 2) // as assembly does when traces are released
				}
			}
		})
	}
	calls.Wait()
	report(b, begin, b.N, spans, size)
	if n := syncs.Load(); n > 0 {
		b.ReportMetric(float64(synced.Load())/float64(n)/1e6, "ms/sync")
		b.ReportMetric(float64(b.N)/float64(n), "requests/sync")
	}
	require.NoError(b, l.Close())
}

// request is like what an SDK sends: n spans of a service.
func request(n int) ptrace.Traces {
	rng := rand.New(rand.NewPCG(1, 1))
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	for j := range 8 {
		rs.Resource().Attributes().PutStr(fmt.Sprint("resource.attribute.", j), fmt.Sprint("value-", j))
	}
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http")
	for s := range n {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID([16]byte{byte(s), 1})
		span.SetSpanID([8]byte{byte(s), 2})
		span.SetParentSpanID([8]byte{byte(s / 2), 2})
		span.SetName(fmt.Sprint("GET /api/v1/resource/", s))
		span.SetKind(ptrace.SpanKind(s % 6))
		span.SetStartTimestamp(1_700_000_000_000_000_000)
		span.SetEndTimestamp(1_700_000_000_000_001_000)
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
	return td
}

func report(b *testing.B, begin time.Duration, requests, spans, size int) {
	b.ReportMetric((cpu()-begin).Seconds()/float64(requests*spans)*1e6, "cpu-s/Mspan")
	b.ReportMetric(float64(requests)*float64(size)/1e6/b.Elapsed().Seconds(), "MB/s") // as written
	b.ReportMetric(float64(size)/float64(spans), "B/span")
	b.ReportMetric(0, "ns/op")
}

// cpu is the CPU time of this process.
func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
