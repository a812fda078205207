package formats

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The types below are the JSON of Jaeger's HTTP API (/api/traces), which its own page and Grafana read. Times are microseconds. What may
// be null is what Jaeger answers null for.
type (
	jaegerAnswer struct {
		Data   []jaegerTrace `json:"data"`
		Total  int           `json:"total"`
		Limit  int           `json:"limit"`
		Offset int           `json:"offset"`
		Errors []struct{}    `json:"errors"`
	}
	jaegerTrace struct {
		TraceID   string                   `json:"traceID"`
		Spans     []jaegerSpan             `json:"spans"`
		Processes map[string]jaegerProcess `json:"processes"`
		Warnings  []string                 `json:"warnings"`
	}
	jaegerSpan struct {
		TraceID       string            `json:"traceID"`
		SpanID        string            `json:"spanID"`
		Flags         uint32            `json:"flags,omitempty"`
		OperationName string            `json:"operationName"`
		References    []jaegerReference `json:"references"`
		StartTime     int64             `json:"startTime"`
		Duration      int64             `json:"duration"`
		Tags          []jaegerTag       `json:"tags"`
		Logs          []jaegerLog       `json:"logs"`
		ProcessID     string            `json:"processID"`
		Warnings      []string          `json:"warnings"`
	}
	jaegerReference struct {
		RefType string `json:"refType"`
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	}
	jaegerProcess struct {
		ServiceName string      `json:"serviceName"`
		Tags        []jaegerTag `json:"tags"`
	}
	jaegerLog struct {
		Timestamp int64       `json:"timestamp"`
		Fields    []jaegerTag `json:"fields"`
	}
	jaegerTag struct {
		Key   string `json:"key"`
		Type  string `json:"type"`
		Value any    `json:"value"`
	}
)

// WriteJaeger writes one trace as Jaeger's HTTP API does. It changes td. warnings are about the trace as a whole. It begins to write when
// nothing but out can fail.
func WriteJaeger(out io.Writer, td ptrace.Traces, warnings []string) error {
	mend(td)
	trace := jaegerTrace{Spans: []jaegerSpan{}, Processes: make(map[string]jaegerProcess), Warnings: warnings}
	for i, batch := range jaeger.ProtoFromTraces(td) {
		process := "p" + strconv.Itoa(i+1)
		trace.Processes[process] = jaegerProcess{batch.Process.GetServiceName(), jaegerTags(batch.Process.GetTags())}
		for _, span := range batch.Spans {
			trace.TraceID = span.TraceID.String()
			trace.Spans = append(trace.Spans, newJaegerSpan(span, process))
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(jaegerAnswer{Data: []jaegerTrace{trace}}); err != nil {
		return fmt.Errorf("write as Jaeger's: %w", err)
	}
	return nil
}

func newJaegerSpan(span *model.Span, process string) jaegerSpan {
	s := jaegerSpan{
		TraceID: span.TraceID.String(), SpanID: span.SpanID.String(), Flags: uint32(span.Flags), OperationName: span.OperationName,
		References: make([]jaegerReference, 0, len(span.References)),
		StartTime:  span.StartTime.UnixMicro(), Duration: span.Duration.Microseconds(),
		Tags: jaegerTags(span.Tags), Logs: make([]jaegerLog, 0, len(span.Logs)), ProcessID: process,
	}
	for _, reference := range span.References {
		s.References = append(s.References, jaegerReference{
			reference.RefType.String(), reference.TraceID.String(), reference.SpanID.String(),
		})
	}
	for _, log := range span.Logs {
		s.Logs = append(s.Logs, jaegerLog{log.Timestamp.Truncate(time.Microsecond).UnixMicro(), jaegerTags(log.Fields)})
	}
	return s
}

func jaegerTags(tags []model.KeyValue) []jaegerTag {
	list := make([]jaegerTag, len(tags)) // never null
	for i := range tags {
		list[i] = newJaegerTag(&tags[i])
	}
	return list
}

// maxExact is the largest whole number that JavaScript reads exactly; Jaeger answers larger ones as text.
const maxExact = 1<<53 - 1

func newJaegerTag(tag *model.KeyValue) jaegerTag {
	switch tag.VType {
	case model.BoolType:
		return jaegerTag{tag.Key, "bool", tag.VBool}
	case model.Int64Type:
		if tag.VInt64 > maxExact || tag.VInt64 < -maxExact {
			return jaegerTag{tag.Key, "int64", strconv.FormatInt(tag.VInt64, 10)}
		}
		return jaegerTag{tag.Key, "int64", tag.VInt64}
	case model.Float64Type:
		if math.IsNaN(tag.VFloat64) || math.IsInf(tag.VFloat64, 0) {
			return jaegerTag{tag.Key, "string", strconv.FormatFloat(tag.VFloat64, 'g', -1, 64)}
		}
		return jaegerTag{tag.Key, "float64", tag.VFloat64}
	case model.BinaryType:
		return jaegerTag{tag.Key, "binary", base64.StdEncoding.EncodeToString(tag.VBinary)}
	default:
		return jaegerTag{tag.Key, "string", tag.VStr}
	}
}
