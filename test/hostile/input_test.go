package hostile

import (
	"encoding/binary"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

// base is when the traces of the tests begin. Times in the tests are milliseconds after it.
var base = time.Now().Add(-time.Minute).Truncate(time.Second)

func at(ms int) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(base.Add(time.Duration(ms) * time.Millisecond))
}

func traceID(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	id[0] = 0xa0
	return id
}

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// request is a request with the spans of one trace.
type request struct {
	td    ptrace.Traces
	trace pcommon.TraceID
}

func newRequest(trace uint64) *request { return &request{ptrace.NewTraces(), traceID(trace)} }

// service adds a resource and gives the list of its spans.
func (r *request) service(name string) ptrace.SpanSlice {
	rs := r.td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", name)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("instrumentation")
	return ss.Spans()
}

// span adds a span; parent 0 is none, start and end are milliseconds.
func (r *request) span(to ptrace.SpanSlice, id, parent uint64, kind ptrace.SpanKind, start, end int) ptrace.Span {
	span := to.AppendEmpty()
	span.SetTraceID(r.trace)
	span.SetSpanID(spanID(id))
	if parent != 0 {
		span.SetParentSpanID(spanID(parent))
	}
	span.SetName("work")
	span.SetKind(kind)
	span.SetStartTimestamp(at(start))
	span.SetEndTimestamp(at(end))
	return span
}

const (
	server     = ptrace.SpanKindServer
	clientKind = ptrace.SpanKindClient
	internal   = ptrace.SpanKindInternal
)

// pair is a root of 100 ms and its child from 10 to 50, in one service.
func (r *request) pair() (root, child ptrace.Span) {
	spans := r.service("shop")
	return r.span(spans, 1, 0, server, 0, 100), r.span(spans, 2, 1, internal, 10, 50)
}

// nest puts depth arrays around a text.
func nest(value pcommon.Value, depth int) {
	for range depth {
		value = value.SetEmptySlice().AppendEmpty()
	}
	value.SetStr("deep")
}

// message writes a field that holds bytes: what pdata itself would not write.
func message(number protowire.Number, parts ...[]byte) []byte {
	var body []byte
	for _, part := range parts {
		body = append(body, part...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), body)
}

// Field numbers of OTLP.
const (
	resourceSpans      protowire.Number = 1 // of a request
	resourceField      protowire.Number = 1 // of ResourceSpans
	scopeSpans         protowire.Number = 2
	resourceAttributes protowire.Number = 1 // of Resource
	spansField         protowire.Number = 2 // of ScopeSpans
	spanTraceID        protowire.Number = 1 // of Span
	spanSpanID         protowire.Number = 2
	spanParentID       protowire.Number = 4
	spanName           protowire.Number = 5
	spanStart          protowire.Number = 7
	spanEnd            protowire.Number = 8
	spanAttributes     protowire.Number = 9
	pairKey            protowire.Number = 1 // of KeyValue
	pairValue          protowire.Number = 2
	valueString        protowire.Number = 1 // of AnyValue
	valueArray         protowire.Number = 5
	arrayValues        protowire.Number = 1 // of ArrayValue
)

// rawSpan is a span with ids of any length.
func rawSpan(trace, id, parent []byte, more ...[]byte) []byte {
	body := [][]byte{
		message(spanTraceID, trace), message(spanSpanID, id), message(spanParentID, parent), message(spanName, []byte("work")),
		protowire.AppendFixed64(protowire.AppendTag(nil, spanStart, protowire.Fixed64Type), uint64(at(0))),
		protowire.AppendFixed64(protowire.AppendTag(nil, spanEnd, protowire.Fixed64Type), uint64(at(100))),
	}
	return message(spansField, append(body, more...)...)
}

func rawAttribute(key, value string) []byte {
	return message(spanAttributes, message(pairKey, []byte(key)), message(pairValue, message(valueString, []byte(value))))
}

// rawNested is an attribute of depth arrays, built from the inside.
func rawNested(depth int) []byte {
	body := make([]byte, 0, 12*depth)
	prefix := func(number protowire.Number) { // backwards: the body is reversed
		head := protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(len(body)))
		for i := len(head) - 1; i >= 0; i-- {
			body = append(body, head[i])
		}
	}
	for range depth {
		prefix(arrayValues)
		prefix(valueArray)
	}
	for i, j := 0, len(body)-1; i < j; i, j = i+1, j-1 {
		body[i], body[j] = body[j], body[i]
	}
	return message(spanAttributes, message(pairKey, []byte("nested")), message(pairValue, body))
}

func timestamp(ns int64) pcommon.Timestamp { return pcommon.Timestamp(ns) }
