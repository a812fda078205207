package hostile

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What the tests read of the API's answers.

type operation struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

type summary struct {
	TraceID        string    `json:"trace_id"`
	Entry          operation `json:"entry"`
	Start          string    `json:"start"`
	DurationNS     int64     `json:"duration_ns"`
	SpanCount      int       `json:"span_count"`
	ErrorCount     int       `json:"error_count"`
	Services       []string  `json:"services"`
	Outcome        string    `json:"outcome"`
	Version        int       `json:"version"`
	MissingParents int       `json:"missing_parents"`
}

type trace struct {
	summary
	RootDurationNS int64    `json:"root_duration_ns"`
	Roots          []string `json:"roots"`
	Truncated      bool     `json:"truncated"`
	CriticalPath   []struct {
		SpanID  string `json:"span_id"`
		StartNS int64  `json:"start_ns"`
		EndNS   int64  `json:"end_ns"`
	} `json:"critical_path"`
	Resources []struct {
		Attributes map[string]any `json:"attributes"`
	} `json:"resources"`
	Spans []span `json:"spans"`
}

type span struct {
	SpanID         string         `json:"span_id"`
	ParentSpanID   string         `json:"parent_span_id"`
	Resource       int            `json:"resource"`
	Service        string         `json:"service"`
	Operation      string         `json:"operation"`
	Name           string         `json:"name"`
	Kind           string         `json:"kind"`
	Category       string         `json:"category"`
	StartNS        int64          `json:"start_ns"`
	DurationNS     int64          `json:"duration_ns"`
	SelfTimeNS     int64          `json:"self_time_ns"`
	CriticalPathNS int64          `json:"critical_path_ns"`
	Tracestate     string         `json:"tracestate"`
	Flags          uint32         `json:"flags"`
	Attributes     map[string]any `json:"attributes"`
	Violations     []string       `json:"violations"`
	Status         struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
	Events []struct {
		Name       string         `json:"name"`
		TimeNS     int64          `json:"time_ns"`
		Attributes map[string]any `json:"attributes"`
	} `json:"events"`
	Links []struct {
		TraceID    string         `json:"trace_id"`
		Attributes map[string]any `json:"attributes"`
	} `json:"links"`
}

// span is the one span of an id; it fails where there are several.
func (a *trace) span(t testing.TB, id string) *span {
	t.Helper()
	var found *span
	for i := range a.Spans {
		if a.Spans[i].SpanID == id {
			require.Nil(t, found, "several spans have the id %s", id)
			found = &a.Spans[i]
		}
	}
	require.NotNil(t, found, "no span has the id %s", id)
	return found
}

// violations are those of all spans, sorted.
func (a *trace) violations() []string {
	var all []string
	for i := range a.Spans {
		all = append(all, a.Spans[i].Violations...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkTrace asks for a trace in every way there is and checks what holds for all of them, whatever they are made of.
func (p *pipeline) checkTrace(t testing.TB, id pcommon.TraceID, tenantName string) *trace {
	t.Helper()
	path := "/traces/" + id.String()
	answer := &trace{}
	status, content, _ := p.ask(http.MethodGet, path, tenantName, "")
	require.Equal(t, http.StatusOK, status, "%.500s", content)
	require.True(t, utf8.Valid(content), "the answer is not UTF-8")
	require.NoError(t, json.Unmarshal(content, answer))
	checkSums(t, answer)

	status, content, _ = p.ask(http.MethodGet, path+"?format=otlp", tenantName, "")
	require.Equal(t, http.StatusOK, status, "%.500s", content)
	require.True(t, utf8.Valid(content), "the OTLP answer is not UTF-8")
	require.True(t, json.Valid(content))
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(content)
	require.NoError(t, err, "OTLP's own reader does not read it")
	require.Equal(t, len(answer.Spans), td.SpanCount())
	require.False(t, bytes.Contains(content, []byte("\x00")))
	return answer
}

// checkSums checks an answer against itself. It looks at up to 100,000 spans, where testify takes its time.
func checkSums(t testing.TB, a *trace) {
	t.Helper()
	_, err := time.Parse(time.RFC3339Nano, a.Start)
	require.NoError(t, err)
	require.LessOrEqual(t, a.RootDurationNS, a.DurationNS)
	require.GreaterOrEqual(t, a.RootDurationNS, int64(0))
	require.Len(t, a.Spans, a.SpanCount, "no span is a duplicate: those were dropped")
	require.True(t, slices.IsSorted(a.Services))
	onPath, length, last := make(map[string]int64), int64(0), int64(0)
	for i, segment := range a.CriticalPath {
		if segment.EndNS <= segment.StartNS || segment.StartNS < last {
			require.Fail(t, "the critical path is not in time order and disjoint", "segment %d: %+v", i, segment)
		}
		last = segment.EndNS
		length += segment.EndNS - segment.StartNS
		onPath[segment.SpanID] += segment.EndNS - segment.StartNS
	}
	require.Equal(t, a.RootDurationNS, length, "the critical path adds up to root_duration_ns")
	held := make(map[string]int64)
	for i := range a.Spans {
		s := &a.Spans[i]
		// A conflicting span stands outside of the trace, and may begin before it.
		conflicting := slices.Contains(s.Violations, "conflicting_span_id")
		if s.StartNS < 0 && !conflicting || s.SelfTimeNS < 0 || s.SelfTimeNS > s.DurationNS || s.CriticalPathNS > s.DurationNS ||
			s.Resource >= len(a.Resources) || s.Service == "" || !slices.IsSorted(s.Violations) {
			require.Fail(t, "a span contradicts itself", "%+v", s)
		}
		if s.CriticalPathNS > 0 {
			held[s.SpanID] += s.CriticalPathNS
		}
	}
	require.True(t, maps.Equal(onPath, held), "the path and the spans on it agree")
}
