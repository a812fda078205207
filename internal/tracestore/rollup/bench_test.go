package rollup_test

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// shopCall is a call of 409 traces of 20 spans, with 300 operations of 25 services; every second span is called by another
// service.
func shopCall() ptrace.Traces {
	td := ptrace.NewTraces()
	var services []ptrace.SpanSlice
	for s := range 25 {
		rs := td.ResourceSpans().AppendEmpty()
		attrs := rs.Resource().Attributes()
		attrs.PutStr("service.name", fmt.Sprint("service-", s))
		attrs.PutStr("service.version", "1.2.3")
		attrs.PutStr("deployment.environment.name", "production")
		attrs.PutInt(conventions.AttrReleasedAt, int64(time.Hour))
		services = append(services, rs.ScopeSpans().AppendEmpty().Spans())
	}
	for trace := range 409 {
		for i := range 20 {
			shape := trace % 40 // entries
			service := (shape + i/2*7) % len(services)
			span := services[service].AppendEmpty()
			span.SetTraceID(pcommon.TraceID{14: byte(trace >> 8), 15: byte(trace)})
			span.SetSpanID(pcommon.SpanID{7: byte(i + 1)})
			span.SetName(fmt.Sprintf("GET /service-%c/operation-%c", 'a'+service, 'a'+(shape+i)%12))
			span.SetKind(ptrace.SpanKindClient)
			if i%2 == 0 {
				span.SetKind(ptrace.SpanKindServer)
			}
			if i > 0 {
				span.SetParentSpanID(pcommon.SpanID{7: byte(i)})
			}
			start := time.Duration(i) * time.Millisecond
			length := time.Duration(100-3*i+(trace*i)%40) * time.Millisecond
			span.SetStartTimestamp(pcommon.Timestamp(time.Hour + start))
			span.SetEndTimestamp(pcommon.Timestamp(time.Hour + start + length))
			attrs := span.Attributes()
			for n := range 8 {
				attrs.PutStr(fmt.Sprint("attribute.", n), "value")
			}
			attrs.PutStr("http.request.method", "GET")
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("url.path", "/")
			attrs.PutStr("server.address", "host")
			if i == 0 {
				attrs.PutInt(conventions.AttrVersion, 1)
				attrs.PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
			}
		}
	}
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}

func BenchmarkCall(b *testing.B) {
	td := shopCall()
	releases := tracetree.Releases(td)
	spans := float64(td.SpanCount())
	perSpan := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spans, "ns/span")
	}
	call := rollup.Call{Contrast: &rollup.Contrast{Attributes: tracestore.DefaultContrastAttributes()}}
	sum := func() *rollup.Sums {
		call.Reset()
		for i := range releases {
			call.Add(&releases[i], int64(time.Hour))
		}
		return call.Deltas()[0].Sums
	}
	sums := sum()
	value := sums.Append(nil, rollup.AllTables)
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sum()
		}
		perSpan(b)
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sums.Append(nil, rollup.AllTables)
		}
		perSpan(b)
		b.ReportMetric(float64(len(value))/spans, "bytes/span")
	})
	b.Run("merge", func(b *testing.B) {
		minute := rollup.NewSums(rollup.MaxSeries)
		for b.Loop() {
			if err := minute.Merge(value, rollup.AllTables); err != nil {
				b.Fatal(err)
			}
		}
		perSpan(b)
	})
}

// BenchmarkAnswer adds up the operations of an hour, of all services and of one.
func BenchmarkAnswer(b *testing.B) {
	td := shopCall()
	call := rollup.Call{}
	for i, releases := 0, tracetree.Releases(td); i < len(releases); i++ {
		call.Add(&releases[i], int64(time.Hour))
	}
	value := call.Deltas()[0].Sums.Append(nil, rollup.Of(rollup.Operations))
	for _, service := range []string{"", "service-1"} {
		b.Run("service="+service, func(b *testing.B) {
			for b.Loop() {
				answer := rollup.NewAnswer(rollup.Operations, &tracestore.AggregateQuery{Service: service})
				for range 60 {
					if err := answer.Merge(value); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(len(value)), "bytes/minute")
		})
	}
}
