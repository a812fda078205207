package jaegerjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
)

// NewTrace makes the JSON of a trace. Times are cut to microseconds.
func NewTrace(batches []*model.Batch, warnings []string) Trace {
	trace := Trace{Spans: []Span{}, Processes: make(map[string]Process), Warnings: warnings}
	for i, batch := range batches {
		process := "p" + strconv.Itoa(i+1)
		trace.Processes[process] = Process{batch.Process.GetServiceName(), newTags(batch.Process.GetTags())}
		for _, span := range batch.Spans {
			trace.TraceID = span.TraceID.String()
			trace.Spans = append(trace.Spans, newSpan(span, process))
		}
	}
	return trace
}

func newSpan(span *model.Span, process string) Span {
	s := Span{
		TraceID: span.TraceID.String(), SpanID: span.SpanID.String(), Flags: uint32(span.Flags), OperationName: span.OperationName,
		References: make([]Reference, 0, len(span.References)),
		StartTime:  span.StartTime.UnixMicro(), Duration: span.Duration.Microseconds(),
		Tags: newTags(span.Tags), Logs: make([]Log, 0, len(span.Logs)), ProcessID: process,
	}
	for _, reference := range span.References {
		s.References = append(s.References, Reference{reference.RefType.String(), reference.TraceID.String(), reference.SpanID.String()})
	}
	for _, log := range span.Logs {
		s.Logs = append(s.Logs, Log{log.Timestamp.Truncate(time.Microsecond).UnixMicro(), newTags(log.Fields)})
	}
	return s
}

func newTags(tags []model.KeyValue) []Tag {
	list := make([]Tag, len(tags)) // never null
	for i := range tags {
		list[i] = newTag(&tags[i])
	}
	return list
}

// maxExact is the largest whole number that JavaScript reads exactly; Jaeger answers larger ones as text.
const maxExact = 1<<53 - 1

func newTag(tag *model.KeyValue) Tag {
	switch tag.VType {
	case model.BoolType:
		return Tag{tag.Key, "bool", strconv.AppendBool(nil, tag.VBool)}
	case model.Int64Type:
		number := strconv.AppendInt(nil, tag.VInt64, 10)
		if tag.VInt64 > maxExact || tag.VInt64 < -maxExact {
			return Tag{tag.Key, "int64", quote(string(number))}
		}
		return Tag{tag.Key, "int64", number}
	case model.Float64Type:
		if math.IsNaN(tag.VFloat64) || math.IsInf(tag.VFloat64, 0) {
			return Tag{tag.Key, "string", quote(strconv.FormatFloat(tag.VFloat64, 'g', -1, 64))}
		}
		number, err := json.Marshal(tag.VFloat64)
		if err != nil {
			number = []byte("0") // never: it is a number
		}
		return Tag{tag.Key, "float64", number}
	case model.BinaryType:
		return Tag{tag.Key, "binary", quote(base64.StdEncoding.EncodeToString(tag.VBinary))}
	default:
		return Tag{tag.Key, "string", quote(tag.VStr)}
	}
}

// quote writes a text for people: < stays as it is.
func quote(text string) json.RawMessage {
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // of text into memory: it does not fail
	return bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))
}
