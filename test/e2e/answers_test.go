package e2e

import "time"

// What the tests read of the API's answers.

type operationAnswer struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

type bottleneckAnswer struct {
	SpanID    string  `json:"span_id"`
	Service   string  `json:"service"`
	Operation string  `json:"operation"`
	Share     float64 `json:"share"`
}

type summaryAnswer struct {
	TraceID    string            `json:"trace_id"`
	Entry      operationAnswer   `json:"entry"`
	Start      time.Time         `json:"start"`
	DurationNS int64             `json:"duration_ns"`
	SpanCount  int               `json:"span_count"`
	ErrorCount int               `json:"error_count"`
	Services   []string          `json:"services"`
	Outcome    string            `json:"outcome"`
	Bottleneck *bottleneckAnswer `json:"bottleneck"`
}

type searchAnswer struct {
	Traces     []summaryAnswer `json:"traces"`
	NextCursor string          `json:"next_cursor"`
	Total      struct {
		Count int  `json:"count"`
		Exact bool `json:"exact"`
	} `json:"total"`
	Truncated bool `json:"truncated"`
}

type segmentAnswer struct {
	SpanID  string `json:"span_id"`
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
}

type spanAnswer struct {
	SpanID       string         `json:"span_id"`
	ParentSpanID string         `json:"parent_span_id"`
	Violations   []string       `json:"violations"`
	Resource     int            `json:"resource"`
	Service      string         `json:"service"`
	Operation    string         `json:"operation"`
	Kind         string         `json:"kind"`
	Category     string         `json:"category"`
	StartNS      int64          `json:"start_ns"`
	DurationNS   int64          `json:"duration_ns"`
	SelfTimeNS   int64          `json:"self_time_ns"`
	Attributes   map[string]any `json:"attributes"`
	Status       struct {
		Code string `json:"code"`
	} `json:"status"`
}

type traceAnswer struct {
	summaryAnswer
	RootDurationNS int64           `json:"root_duration_ns"`
	Version        int             `json:"version"`
	MissingParents int             `json:"missing_parents"`
	Roots          []string        `json:"roots"`
	CriticalPath   []segmentAnswer `json:"critical_path"`
	ErrorOrigins   []struct {
		SpanID    string `json:"span_id"`
		Service   string `json:"service"`
		Operation string `json:"operation"`
	} `json:"error_origins"`
	Resources []map[string]any `json:"resources"`
	Spans     []spanAnswer     `json:"spans"`
}

type problemAnswer struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
}
