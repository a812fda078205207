package tracestore

import (
	"regexp"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// SearchQuery says which traces are wanted, and in which order.
type SearchQuery struct {
	// Start and End bound the trace's search time (SearchTime), which is its start unless a clock is far off: [Start, End).
	// Both are set.
	Start, End time.Time
	// Where must hold on the trace. The zero value matches every trace.
	Where Conditions
	// Order is the order of the rows, over all pages.
	Order Order
	// Limit is the number of rows wanted, at least 1.
	Limit int
	// Cursor continues after the last row of an earlier page; empty for the first.
	Cursor string
	// Deadline is when the search stops looking and answers what it has, Truncated. Zero leaves it to the storage's own
	// limits. (A context that ends fails the search.)
	Deadline time.Time
}

// Conditions is a tree of conditions on a trace, all of whose releases count as one: the spans that tracetree.Join leaves, and
// the row made of them (Summary). Where one and the same release repeats a span with other content, which assembly does not, either
// may count. A trace is there or not as a whole; which spans made it match is not told.
//
// Everything that is set in one Conditions must hold. So the zero value holds on every trace, and two span conditions that may
// hold on different spans are two elements of And.
//
// Not and Or join verdicts on the trace. Not{Span: c} is a trace without any span on which c holds, which is not the same as
// Span: {Not: c}, a trace with a span on which c does not hold.
//
// The depth of the tree is for whoever makes it to bound (MaxDepth is enough for people); evaluation recurses on it.
type Conditions struct {
	// Span holds on at least one span; the zero value on every trace.
	Span SpanConditions
	// Trace holds on the trace as a whole.
	Trace TraceConditions
	// Structure holds, each of them, on at least one pair of spans.
	Structure []Structure

	// And must hold all, Or at least one where there are any. Not must not hold.
	And, Or []Conditions
	Not     *Conditions
}

// MaxDepth is how deep conditions may be nested in a request from outside, Conditions and SpanConditions together.
const MaxDepth = 16

// SpanConditions hold on one and the same span: everything that is set. The zero value holds on every span.
type SpanConditions struct {
	// Service and Operation match the sender's name, and the normalised one that stands in the annotations.
	Service   string
	Operation string
	// Kind is nil for any.
	Kind *ptrace.SpanKind
	// Category is one of conventions.Categories.
	Category   string
	Attributes []AttributeCondition
	// MinDuration and MaxDuration bound SpanDuration. They are inclusive; 0 is no bound.
	MinDuration, MaxDuration time.Duration
	// Errors is nil for any, true for spans that failed (status Error), false for spans that did not.
	Errors *bool

	// And must hold all, Or at least one where there are any, Not must not hold: on the same span.
	And, Or []SpanConditions
	Not     *SpanConditions
}

// TraceConditions hold on the trace as a whole: everything that is set. All but Services are about the row.
type TraceConditions struct {
	// Entry matches the entry's service and operation, each where not empty.
	Entry Operation
	// Outcome is one of the Outcome constants.
	Outcome string
	// MinDuration and MaxDuration are inclusive; 0 is no bound.
	MinDuration, MaxDuration time.Duration
	// Services have, each of them, a span in the trace (as SpanConditions.Service has it).
	Services []string
	// Spans bounds Summary.SpanCount, Errors Summary.ErrorCount. Errors.Min 1 is a trace with any error, Errors.Max 0 one
	// without.
	Spans, Errors CountRange
}

// CountRange bounds a number. Both ends are inclusive, the zero value has none.
type CountRange struct {
	Min int
	// Max is nil for no bound.
	Max *int
}

// Relation is how two spans stand in the tree of a trace.
type Relation string

// A child's parent is the span itself; a descendant's parent is the span or one of its descendants.
const (
	RelationChild      Relation = "child"
	RelationDescendant Relation = "descendant"
)

// Structure holds on a trace with a span on which Above holds and which has a child or descendant on which Below holds, in the
// tree that tracetree.Build makes of all the trace's spans. A span whose parent is not in the trace is nobody's child, and one
// that conflicts with another (Node.InTree) is neither above nor below any.
type Structure struct {
	Above    SpanConditions
	Relation Relation
	Below    SpanConditions
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

// OpEqual, OpNotEqual and OpRegex compare the attribute's value as text (pcommon.Value.AsString), OpLess and its like numbers,
// where the attribute is a number or text that reads as one. Every operator wants the attribute to be there, but
// OpNotExists, which wants it not to be.
const (
	OpEqual        AttributeOp = "="
	OpNotEqual     AttributeOp = "!="
	OpLess         AttributeOp = "<"
	OpLessEqual    AttributeOp = "<="
	OpGreater      AttributeOp = ">"
	OpGreaterEqual AttributeOp = ">="
	OpExists       AttributeOp = "exists"
	OpNotExists    AttributeOp = "not exists"
	OpRegex        AttributeOp = "regex"
)

// Operators are the known ones.
var Operators = []AttributeOp{
	OpEqual, OpNotEqual, OpLess, OpLessEqual, OpGreater, OpGreaterEqual, OpExists, OpNotExists, OpRegex,
}

// AttributeCondition is one comparison. Only the value that its operator uses is set. An unknown operator holds on nothing.
type AttributeCondition struct {
	Scope  AttributeScope
	Key    string
	Op     AttributeOp
	Text   string         // OpEqual, OpNotEqual
	Number float64        // OpLess, OpLessEqual, OpGreater, OpGreaterEqual
	Regex  *regexp.Regexp // OpRegex, unanchored
}

// SearchPage is one page of a search.
type SearchPage struct {
	Traces []Summary
	// NextCursor is empty on the last page.
	NextCursor string
	Total      Total
	// Truncated says that the search stopped at a limit of the storage or at its deadline before it had looked at everything
	// that this page could hold. By recency, NextCursor continues where it stopped. In another order the page is the top of
	// those matches that were looked at, the newest of the window; Total counts these. A search that stopped before it had
	// looked at anything has no NextCursor.
	Truncated bool
}

// Total is the number of matching traces in the window.
type Total struct {
	// Count is the number where Exact, else a lower bound.
	Count int
	Exact bool
}
