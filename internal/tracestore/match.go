package tracestore

import (
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Empty says whether there is no condition, so that every span matches.
func (c *SpanConditions) Empty() bool { return c.count() == 0 }

// count is the number of conditions.
func (c *SpanConditions) count() int {
	n := len(c.Attributes)
	for _, set := range []bool{
		c.Service != "", c.Operation != "", c.Kind != nil, c.Category != "", c.MinDuration > 0, c.MaxDuration > 0, c.Errors != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// Single says whether there is exactly one condition. What a backend knows of all spans of a trace together can answer a
// single condition; several must hold on one and the same span.
func (c *SpanConditions) Single() bool { return c.count() == 1 }

// Match says whether all conditions hold on the span. A service or an operation matches by the sender's name and by the
// normalised name that stands in the annotations.
func (c *SpanConditions) Match(span ptrace.Span, resource pcommon.Resource) bool {
	if c.Kind != nil && span.Kind() != *c.Kind {
		return false
	}
	if c.Errors != nil && (span.Status().Code() == ptrace.StatusCodeError) != *c.Errors {
		return false
	}
	if !durationWithin(SpanDuration(span), c.MinDuration, c.MaxDuration) {
		return false
	}
	attrs := span.Attributes()
	if c.Operation != "" && span.Name() != c.Operation && !textIs(attrs, conventions.AttrOperation, c.Operation) {
		return false
	}
	if c.Category != "" && !textIs(attrs, conventions.AttrCategory, c.Category) {
		return false
	}
	if c.Service != "" && !textIs(attrs, conventions.AttrService, c.Service) && conventions.ServiceName(resource) != c.Service {
		return false
	}
	for i := range c.Attributes {
		if !c.Attributes[i].match(attrs, resource) {
			return false
		}
	}
	return true
}

// MatchAny says whether the conditions hold on at least one span of td.
func (c *SpanConditions) MatchAny(td ptrace.Traces) bool {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if c.Match(span, rs.Resource()) {
					return true
				}
			}
		}
	}
	return false
}

// Match says whether all conditions hold on the trace of which the row is.
func (c *TraceConditions) Match(row *Summary) bool {
	return (c.Entry.Service == "" || c.Entry.Service == row.Entry.Service) &&
		(c.Entry.Operation == "" || c.Entry.Operation == row.Entry.Operation) &&
		(c.Outcome == "" || c.Outcome == row.Outcome) &&
		durationWithin(time.Duration(row.Duration), c.MinDuration, c.MaxDuration)
}

// Empty says whether there is no condition, so that every trace matches.
func (c *TraceConditions) Empty() bool { return *c == TraceConditions{} }

// SpanDuration is the span's end minus its start. Times that an int64 of nanoseconds cannot hold count as 0. A span that ends
// before it starts has no duration, nor has one that was sent without a start (0, and a real end).
func SpanDuration(span ptrace.Span) time.Duration {
	return DurationBetween(span.StartTimestamp(), span.EndTimestamp())
}

// DurationBetween is the duration of a span with these times.
func DurationBetween(startTime, endTime pcommon.Timestamp) time.Duration {
	start, end := conventions.Nanoseconds(startTime), conventions.Nanoseconds(endTime)
	if start == 0 && end > tracetree.MinRealTime {
		return 0
	}
	return time.Duration(max(0, end-start))
}

func durationWithin(d, shortest, longest time.Duration) bool {
	return (shortest <= 0 || d >= shortest) && (longest <= 0 || d <= longest)
}

func textIs(attrs pcommon.Map, key, want string) bool {
	v, ok := attrs.Get(key)
	return ok && v.Type() == pcommon.ValueTypeStr && v.Str() == want
}

func (c *AttributeCondition) match(span pcommon.Map, resource pcommon.Resource) bool {
	value, ok := c.lookUp(span, resource)
	if !ok {
		return false
	}
	switch c.Op {
	case OpEqual:
		return text(value) == c.Text
	case OpNotEqual:
		return text(value) != c.Text
	case OpLess:
		number, ok := number(value)
		return ok && number < c.Number
	case OpGreater:
		number, ok := number(value)
		return ok && number > c.Number
	case OpExists:
		return true
	case OpRegex:
		return c.Regex != nil && c.Regex.MatchString(text(value))
	}
	return false
}

func (c *AttributeCondition) lookUp(span pcommon.Map, resource pcommon.Resource) (pcommon.Value, bool) {
	if c.Scope != ScopeResource {
		if value, ok := span.Get(c.Key); ok || c.Scope == ScopeSpan {
			return value, ok
		}
	}
	return resource.Attributes().Get(c.Key)
}

func text(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str() // what AsString would answer, without its switch
	}
	return value.AsString()
}

func number(value pcommon.Value) (float64, bool) {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return float64(value.Int()), true
	case pcommon.ValueTypeDouble:
		return value.Double(), true
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseFloat(value.Str(), 64)
		return n, err == nil
	}
	return 0, false
}

// Valid says whether the operator is one of the known ones.
func (op AttributeOp) Valid() bool {
	return slices.Contains([]AttributeOp{OpEqual, OpNotEqual, OpLess, OpGreater, OpExists, OpRegex}, op)
}
