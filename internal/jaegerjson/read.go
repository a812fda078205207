package jaegerjson

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
)

// Batches are the spans of a trace in Jaeger's model, by process. Errors name what they are about by its id.
func (t *Trace) Batches() ([]*model.Batch, error) {
	var batches []*model.Batch
	byProcess := make(map[string]*model.Batch)
	for i := range t.Spans {
		from := &t.Spans[i]
		span, err := from.model()
		if err != nil {
			return nil, fmt.Errorf("span %q of trace %q: %w", from.SpanID, from.TraceID, err)
		}
		process, key := from.Process, from.ProcessID
		if process == nil {
			shared, ok := t.Processes[key]
			if !ok {
				return nil, fmt.Errorf("span %q of trace %q: processes has no %q", from.SpanID, from.TraceID, key)
			}
			process = &shared
		} else {
			key = "span " + strconv.Itoa(i) // no process's key has a space; two spans may have one id, of a client and its server
		}
		batch := byProcess[key]
		if batch == nil {
			tags, err := tagsOf(process.Tags)
			if err != nil {
				return nil, fmt.Errorf("process %q: %w", key, err)
			}
			batch = &model.Batch{Process: &model.Process{ServiceName: process.ServiceName, Tags: tags}}
			byProcess[key] = batch
			batches = append(batches, batch)
		}
		batch.Spans = append(batch.Spans, span)
	}
	return batches, nil
}

func (s *Span) model() (*model.Span, error) {
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

func (r *Reference) model() (reference model.SpanRef, err error) {
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

func tagsOf(tags []Tag) ([]model.KeyValue, error) {
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

func (t *Tag) model() (value model.KeyValue, err error) {
	var (
		text  string
		truth bool
		float float64
		bytes []byte
	)
	switch t.Type {
	case "string", "":
		err = json.Unmarshal(t.Value, &text)
		value = model.String(t.Key, text)
	case "bool":
		err = json.Unmarshal(t.Value, &truth)
		value = model.Bool(t.Key, truth)
	case "int64":
		var integer int64
		integer, err = t.integer()
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

// integer is a number, or the text of one.
func (t *Tag) integer() (n int64, err error) {
	if len(t.Value) == 0 || t.Value[0] != '"' {
		return n, json.Unmarshal(t.Value, &n)
	}
	var text string
	if err := json.Unmarshal(t.Value, &text); err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
