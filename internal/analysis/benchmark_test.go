package analysis_test

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// request is a request of 20 spans over five services, with the attributes that instrumentations write.
func request() ptrace.Traces {
	td := ptrace.NewTraces()
	const start = 1_700_000_000_000_000_000
	id := uint64(0x9e3779b97f4a7c15)
	var above uint64
	for s := range 5 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("telemetry.sdk.language", "go")
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", s))
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
		server := above
		for i, kind := range []ptrace.SpanKind{
			ptrace.SpanKindServer, ptrace.SpanKindInternal, ptrace.SpanKindClient, ptrace.SpanKindClient,
		} {
			span := ss.Spans().AppendEmpty()
			id += 0x9e3779b97f4a7c15
			span.SetTraceID(treetest.TraceID)
			span.SetSpanID(treetest.ID(id))
			if server != 0 {
				span.SetParentSpanID(treetest.ID(server))
			}
			span.SetKind(kind)
			span.SetName("GET /orders/{id}")
			depth := int64(s)*1_000_000 + int64(i)*10_000
			span.SetStartTimestamp(pcommon.Timestamp(start + depth))
			span.SetEndTimestamp(pcommon.Timestamp(start + 90_000_000 - depth))
			attrs := span.Attributes()
			attrs.PutStr("http.request.method", "GET")
			attrs.PutStr("url.scheme", "https")
			attrs.PutStr("server.address", "orders.example")
			attrs.PutInt("server.port", 443)
			attrs.PutStr("network.protocol.version", "1.1")
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("user_agent.original", "curl/8.0")
			if i == 2 {
				attrs.PutStr("db.system.name", "postgresql")
				attrs.PutStr("db.namespace", "shop")
				attrs.PutStr("db.query.text", "SELECT * FROM orders WHERE id = ?")
			}
			if i == 0 {
				server = id
			}
			above = id
		}
	}
	return td
}

func BenchmarkAnalyze(b *testing.B) {
	release := tracetree.Releases(request())[0]
	var analyzer analysis.Analyzer
	b.ReportAllocs()
	for b.Loop() {
		analyzer.Analyze(&release)
	}
	reportPerSpan(b)
}

// BenchmarkAnnotate writes on spans without annotations each time.
func BenchmarkAnnotate(b *testing.B) {
	td := request()
	fresh := ptrace.NewTraces()
	var analyzer analysis.Analyzer
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		td.CopyTo(fresh)
		release := tracetree.Releases(fresh)[0]
		b.StartTimer()
		analysis.Annotate(&release, analyzer.Analyze(&release))
	}
	reportPerSpan(b)
}

func reportPerSpan(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/span")
}

// BenchmarkAnnotateFailing is BenchmarkAnnotate where every span failed: what failures cost.
func BenchmarkAnnotateFailing(b *testing.B) {
	td := request()
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("dial tcp 10.1.2.3:5432: connection refused")
		}
	}
	fresh := ptrace.NewTraces()
	var analyzer analysis.Analyzer
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		td.CopyTo(fresh)
		release := tracetree.Releases(fresh)[0]
		b.StartTimer()
		analysis.Annotate(&release, analyzer.Analyze(&release))
	}
	reportPerSpan(b)
}

// BenchmarkFindOrigins reads a trace of 100,000 calls below one span, half of which failed.
func BenchmarkFindOrigins(b *testing.B) {
	const n = 100_000
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetSpanID(treetest.ID(uint64(i + 1)))
		span.SetKind(ptrace.SpanKindClient)
		span.SetStartTimestamp(pcommon.Timestamp(2 * i))
		span.SetEndTimestamp(pcommon.Timestamp(2*i + 1))
		span.Attributes().PutStr("server.address", "db")
		if i > 0 {
			span.SetParentSpanID(treetest.ID(1))
		}
		if i%2 == 1 {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("order 17 of 'ann' has no shelf")
		}
	}
	r := analysis.Analyze(&tracetree.Releases(td)[0])
	b.ReportAllocs()
	for b.Loop() {
		if len(analysis.FindOrigins(r)) != n/2 {
			b.Fatal("origins are missing")
		}
	}
}

// BenchmarkAnalyzeLarge explains traces of 100,000 spans: a chain, calls one after the other, calls all at once.
func BenchmarkAnalyzeLarge(b *testing.B) {
	for _, name := range []string{"chain", "one after the other", "all at once"} {
		b.Run(name, func(b *testing.B) {
			release := tracetree.Releases(largeTrace(name))[0]
			b.ReportAllocs()
			for b.Loop() {
				if len(analysis.Analyze(&release).Path) == 0 {
					b.Fatal("no path")
				}
			}
		})
	}
}

// BenchmarkWhatIf times traces of 100,000 spans anew.
func BenchmarkWhatIf(b *testing.B) {
	for _, name := range []string{"chain", "one after the other", "all at once"} {
		b.Run(name, func(b *testing.B) {
			release := tracetree.Releases(largeTrace(name))[0]
			r := analysis.Analyze(&release)
			entry := &r.Spans[r.Tree.Entry]
			for b.Loop() {
				if r.WhatIf(entry.Service, entry.Operation, 1) != r.RootDuration {
					b.Fatal("it is not what it was")
				}
			}
		})
	}
}
