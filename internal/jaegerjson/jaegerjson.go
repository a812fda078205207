// Package jaegerjson is the JSON of Jaeger's HTTP API (/api/traces), which its own page saves, and Grafana reads. Times are microseconds.
package jaegerjson

import "encoding/json"

// Answer is what the API says. What may be null is what Jaeger answers null for.
type Answer struct {
	Data   []Trace    `json:"data"`
	Total  int        `json:"total"`
	Limit  int        `json:"limit"`
	Offset int        `json:"offset"`
	Errors []struct{} `json:"errors"`
}

// Trace is one.
type Trace struct {
	TraceID   string             `json:"traceID"`
	Spans     []Span             `json:"spans"`
	Processes map[string]Process `json:"processes"`
	Warnings  []string           `json:"warnings"`
}

// Process is whose spans refer to it.
type Process struct {
	ServiceName string `json:"serviceName"`
	Tags        []Tag  `json:"tags"`
}

// Span is one of a trace.
type Span struct {
	TraceID       string      `json:"traceID"`
	SpanID        string      `json:"spanID"`
	ParentSpanID  string      `json:"parentSpanID,omitempty"` // of old files
	Flags         uint32      `json:"flags,omitempty"`
	OperationName string      `json:"operationName"`
	References    []Reference `json:"references"`
	StartTime     int64       `json:"startTime"`
	Duration      int64       `json:"duration"`
	Tags          []Tag       `json:"tags"`
	Logs          []Log       `json:"logs"`
	ProcessID     string      `json:"processID"`
	Process       *Process    `json:"process,omitempty"` // in the place of ProcessID
	Warnings      []string    `json:"warnings"`
}

// Reference leads to another span.
type Reference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

// Log is an event of a span.
type Log struct {
	Timestamp int64 `json:"timestamp"`
	Fields    []Tag `json:"fields"`
}

// Tag is an attribute.
type Tag struct {
	Key string `json:"key"`
	// Type is string, bool, int64, float64 or binary, and none is string.
	Type string `json:"type"`
	// Value is a string, or what Type says: binary as base64, and an int64 as a string where JavaScript would not read it exactly.
	Value json.RawMessage `json:"value"`
}
