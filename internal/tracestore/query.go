package tracestore

import (
	"regexp"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// SearchQuery says which traces are wanted. Zero values of the conditions match everything.
type SearchQuery struct {
	// Start and End bound the trace's start: [Start, End). Both are set.
	Start, End time.Time
	// Span must hold on one and the same span.
	Span SpanConditions
	// Trace must hold on the trace.
	Trace TraceConditions
	// Limit is the number of rows wanted, at least 1.
	Limit int
	// Cursor continues after the last row of an earlier page; empty for the first.
	Cursor string
}

// SpanConditions hold on one and the same span.
type SpanConditions struct {
	Service   string
	Operation string
	// Kind is nil for any.
	Kind       *ptrace.SpanKind
	Category   string
	Attributes []AttributeCondition
	// MinDuration and MaxDuration are inclusive; 0 is no bound.
	MinDuration, MaxDuration time.Duration
	// Errors is nil for any, true for spans that failed, false for spans that did not.
	Errors *bool
}

// TraceConditions hold on the trace as a whole.
type TraceConditions struct {
	// Entry matches the entry's service and operation, each where not empty.
	Entry Operation
	// Outcome is one of the Outcome constants.
	Outcome string
	// MinDuration and MaxDuration are inclusive; 0 is no bound.
	MinDuration, MaxDuration time.Duration
}

// AttributeScope says where an attribute is looked up.
type AttributeScope int

const (
	// ScopeAny looks in the span's attributes, then in its resource's.
	ScopeAny AttributeScope = iota
	ScopeSpan
	ScopeResource
)

// AttributeOp compares an attribute with a value.
type AttributeOp string

// Equal, NotEqual and Match compare the attribute's value as text (pcommon.Value.AsString). Less and Greater compare numbers,
// where the attribute is a number or text that reads as one. Every operator wants the attribute to be there.
const (
	OpEqual    AttributeOp = "="
	OpNotEqual AttributeOp = "!="
	OpLess     AttributeOp = "<"
	OpGreater  AttributeOp = ">"
	OpExists   AttributeOp = "exists"
	OpRegex    AttributeOp = "regex"
)

// AttributeCondition is one comparison. Only the value that its operator uses is set.
type AttributeCondition struct {
	Scope  AttributeScope
	Key    string
	Op     AttributeOp
	Text   string         // OpEqual, OpNotEqual
	Number float64        // OpLess, OpGreater
	Regex  *regexp.Regexp // OpRegex, unanchored
}

// SearchPage is one page of a search.
type SearchPage struct {
	Traces []Summary
	// NextCursor is empty on the last page.
	NextCursor string
	Total      Total
	// Truncated says that the search stopped at a limit of the storage (time, traces looked at) before it had looked at
	// everything that this page could hold.
	Truncated bool
}

// Total is the number of matching traces in the window.
type Total struct {
	// Count is the number where Exact, else a lower bound.
	Count int
	Exact bool
}
