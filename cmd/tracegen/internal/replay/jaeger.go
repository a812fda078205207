package replay

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// jaegerTrace is a trace as Jaeger's page saves it. Times are microseconds.
type jaegerTrace struct {
	Spans     []jaegerSpan             `json:"spans"`
	Processes map[string]jaegerProcess `json:"processes"`
}

type jaegerProcess struct {
	ServiceName string      `json:"serviceName"`
	Tags        []jaegerTag `json:"tags"`
}

type jaegerSpan struct {
	TraceID       string            `json:"traceID"`
	SpanID        string            `json:"spanID"`
	ParentSpanID  string            `json:"parentSpanID"` // of old files
	OperationName string            `json:"operationName"`
	Flags         uint32            `json:"flags"`
	References    []jaegerReference `json:"references"`
	StartTime     int64             `json:"startTime"`
	Duration      int64             `json:"duration"`
	Tags          []jaegerTag       `json:"tags"`
	Logs          []jaegerLog       `json:"logs"`
	ProcessID     string            `json:"processID"`
	Process       *jaegerProcess    `json:"process"` // instead of processID
}

type jaegerReference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

type jaegerLog struct {
	Timestamp int64       `json:"timestamp"`
	Fields    []jaegerTag `json:"fields"`
}

type jaegerTag struct {
	Key   string          `json:"key"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// fromJaeger brings the traces into Jaeger's own model, whose translation to OTLP the collector's library knows.
func fromJaeger(traces []jaegerTrace) (ptrace.Traces, error) {
	var batches []*model.Batch
	for t := range traces {
		byProcess := map[string]*model.Batch{}
		for i := range traces[t].Spans {
			from := &traces[t].Spans[i]
			span, err := from.model()
			if err != nil {
				return ptrace.Traces{}, fmt.Errorf("span %q of trace %q: %w", from.SpanID, from.TraceID, err)
			}
			process, key := from.Process, from.ProcessID
			if process == nil {
				shared, ok := traces[t].Processes[key]
				if !ok {
					return ptrace.Traces{}, fmt.Errorf("span %q of trace %q: processes has no %q", from.SpanID, from.TraceID, key)
				}
				process = &shared
			} else {
				key = "span " + from.SpanID // no process's key has a space
			}
			batch := byProcess[key]
			if batch == nil {
				tags, err := tagsOf(process.Tags)
				if err != nil {
					return ptrace.Traces{}, fmt.Errorf("process %q: %w", key, err)
				}
				batch = &model.Batch{Process: &model.Process{ServiceName: process.ServiceName, Tags: tags}}
				byProcess[key] = batch
				batches = append(batches, batch)
			}
			batch.Spans = append(batch.Spans, span)
		}
	}
	return jaeger.ProtoToTraces(batches)
}

func (s *jaegerSpan) model() (*model.Span, error) {
	traceID, err := model.TraceIDFromString(s.TraceID)
	if err != nil {
		return nil, err
	}
	spanID, err := model.SpanIDFromString(s.SpanID)
	if err != nil {
		return nil, err
	}
	span := &model.Span{
		TraceID: traceID, SpanID: spanID, OperationName: s.OperationName, Flags: model.Flags(s.Flags),
		StartTime: time.UnixMicro(s.StartTime), Duration: time.Duration(s.Duration) * time.Microsecond,
	}
	for _, r := range s.References {
		reference, err := r.model()
		if err != nil {
			return nil, fmt.Errorf("reference: %w", err)
		}
		span.References = append(span.References, reference)
	}
	if s.ParentSpanID != "" {
		parent, err := model.SpanIDFromString(s.ParentSpanID)
		if err != nil {
			return nil, fmt.Errorf("parent: %w", err)
		}
		span.References = model.MaybeAddParentSpanID(traceID, parent, span.References)
	}
	if span.Tags, err = tagsOf(s.Tags); err != nil {
		return nil, err
	}
	for _, log := range s.Logs {
		fields, err := tagsOf(log.Fields)
		if err != nil {
			return nil, err
		}
		span.Logs = append(span.Logs, model.Log{Timestamp: time.UnixMicro(log.Timestamp), Fields: fields})
	}
	return span, nil
}

func (r *jaegerReference) model() (reference model.SpanRef, err error) {
	if reference.TraceID, err = model.TraceIDFromString(r.TraceID); err != nil {
		return reference, err
	}
	if reference.SpanID, err = model.SpanIDFromString(r.SpanID); err != nil {
		return reference, err
	}
	reference.RefType = model.ChildOf
	if r.RefType == "FOLLOWS_FROM" {
		reference.RefType = model.FollowsFrom
	}
	return reference, nil
}

func tagsOf(tags []jaegerTag) ([]model.KeyValue, error) {
	values := make([]model.KeyValue, 0, len(tags))
	for i := range tags {
		value, err := tags[i].model()
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", tags[i].Key, err)
		}
		values = append(values, value)
	}
	return values, nil
}

func (t *jaegerTag) model() (value model.KeyValue, err error) {
	var (
		text    string
		truth   bool
		integer int64
		float   float64
		bytes   []byte
	)
	switch t.Type {
	case "string", "":
		err = json.Unmarshal(t.Value, &text)
		value = model.String(t.Key, text)
	case "bool":
		err = json.Unmarshal(t.Value, &truth)
		value = model.Bool(t.Key, truth)
	case "int64":
		err = json.Unmarshal(t.Value, &integer)
		value = model.Int64(t.Key, integer)
	case "float64":
		err = json.Unmarshal(t.Value, &float)
		value = model.Float64(t.Key, float)
	case "binary":
		err = json.Unmarshal(t.Value, &bytes) // base64
		value = model.Binary(t.Key, bytes)
	default:
		err = fmt.Errorf("no type %q", t.Type)
	}
	return value, err
}
