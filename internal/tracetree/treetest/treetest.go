// Package treetest writes small traces for tests as text, one span a line, so that a test shows the trace that it is about:
//
//	service  id  parent  kind    start  end  further
//	shop     1   -       server  0      100  error=boom
//	shop     2   1       client  10     60   server.address=db.example
//
// Ids are hex numbers, start and end nanoseconds, "-" as a parent is none and as a service no service.name. Further words are
// "name=…", "error", "error=message" and "ok" (status), "exception=type" and "exception=type:message", "link=id" (to a span of the trace), "key=value" for string
// attributes and "key:number" for integers; an underscore in a value is a space. A span is named "op" and its id unless it is given a name.
package treetest

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// TraceID is that of every span.
var TraceID = pcommon.TraceID{15: 1}

// ID is the span id that is written as the hex number n.
func ID(n uint64) pcommon.SpanID {
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

var kinds = map[string]ptrace.SpanKind{
	"unspecified": ptrace.SpanKindUnspecified,
	"internal":    ptrace.SpanKindInternal,
	"server":      ptrace.SpanKindServer,
	"client":      ptrace.SpanKindClient,
	"producer":    ptrace.SpanKindProducer,
	"consumer":    ptrace.SpanKindConsumer,
}

// Release is the trace as one release that no trace_assembly made, its spans in the order of the lines.
func Release(tb testing.TB, text string) *tracetree.Release {
	tb.Helper()
	td := ptrace.NewTraces()
	release := &tracetree.Release{TraceID: TraceID}
	services := make(map[string]ptrace.ResourceSpans)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		require.GreaterOrEqual(tb, len(words), 6, "line %q", line)
		rs, ok := services[words[0]]
		if !ok {
			rs = td.ResourceSpans().AppendEmpty()
			services[words[0]] = rs
			rs.ScopeSpans().AppendEmpty()
			if words[0] != "-" {
				rs.Resource().Attributes().PutStr("service.name", words[0])
			}
		}
		ss := rs.ScopeSpans().At(0)
		span := ss.Spans().AppendEmpty()
		read(tb, span, words)
		release.Spans = append(release.Spans, tracetree.Span{Span: span, Resource: rs.Resource(), Scope: ss.Scope()})
	}
	return release
}

// Traces is the trace as it travels, its spans grouped by service.
func Traces(tb testing.TB, text string) ptrace.Traces {
	tb.Helper()
	td := ptrace.NewTraces()
	services := make(map[pcommon.Resource]ptrace.SpanSlice)
	for _, s := range Release(tb, text).Spans {
		spans, ok := services[s.Resource]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			s.Resource.CopyTo(rs.Resource())
			spans = rs.ScopeSpans().AppendEmpty().Spans()
			services[s.Resource] = spans
		}
		s.Span.CopyTo(spans.AppendEmpty())
	}
	return td
}

func read(tb testing.TB, span ptrace.Span, words []string) {
	tb.Helper()
	span.SetTraceID(TraceID)
	span.SetSpanID(ID(hex(tb, words[1])))
	if words[2] != "-" {
		span.SetParentSpanID(ID(hex(tb, words[2])))
	}
	kind, ok := kinds[words[3]]
	require.True(tb, ok, "kind %q", words[3])
	span.SetKind(kind)
	span.SetStartTimestamp(pcommon.Timestamp(decimal(tb, words[4])))
	span.SetEndTimestamp(pcommon.Timestamp(decimal(tb, words[5])))
	span.SetName("op" + words[1])
	for _, word := range words[6:] {
		key, value, text := strings.Cut(word, "=")
		value = strings.ReplaceAll(value, "_", " ")
		switch key {
		case "name":
			span.SetName(value)
		case "error":
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage(value)
		case "exception":
			event := span.Events().AppendEmpty()
			event.SetName("exception")
			exception, message, given := strings.Cut(value, ":")
			event.Attributes().PutStr("exception.type", exception)
			if given {
				event.Attributes().PutStr("exception.message", message)
			}
		case "link":
			link := span.Links().AppendEmpty()
			link.SetTraceID(TraceID)
			link.SetSpanID(ID(hex(tb, value)))
		case "ok":
			span.Status().SetCode(ptrace.StatusCodeOk)
		default:
			if key, number, integer := strings.Cut(word, ":"); integer && !text {
				span.Attributes().PutInt(key, int64(decimal(tb, number)))
				continue
			}
			span.Attributes().PutStr(key, value)
		}
	}
}

func hex(tb testing.TB, s string) uint64 {
	tb.Helper()
	n, err := strconv.ParseUint(s, 16, 64)
	require.NoError(tb, err)
	return n
}

func decimal(tb testing.TB, s string) uint64 {
	tb.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(tb, err)
	return n
}
