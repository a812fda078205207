package tracestore

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// spanTest is one SpanConditions. What it asks of a resource is asked once for the spans that stand together in it.
type spanTest struct {
	*SpanConditions
	// The tokens of the conditions; noToken where there is none.
	service, operation, category, kind, status int
	serviceMemo                                int
	attributes                                 []attributeTest
	and, or                                    []*spanTest
	not                                        *spanTest
}

type attributeTest struct {
	*AttributeCondition
	token, memo int
}

// Empty says whether nothing is set, so that every span matches.
func (c *SpanConditions) Empty() bool {
	return c.Service == "" && c.Operation == "" && c.Kind == nil && c.Category == "" && len(c.Attributes) == 0 &&
		c.MinDuration <= 0 && c.MaxDuration <= 0 && c.Errors == nil && len(c.And) == 0 && len(c.Or) == 0 && c.Not == nil
}

func (f *Filter) compileSpan(c *SpanConditions) *spanTest {
	t := &spanTest{
		SpanConditions: c, service: noToken, operation: noToken, category: noToken, kind: noToken, status: noToken,
	}
	if c.Service != "" {
		t.service = f.token(TokenService, "", c.Service)
		t.serviceMemo = f.memo()
	}
	if c.Operation != "" {
		t.operation = f.token(TokenOperation, "", c.Operation)
	}
	if c.Category != "" {
		t.category = f.token(TokenCategory, "", c.Category)
	}
	if c.Kind != nil {
		t.kind = f.token(TokenSpanKind, "", strconv.Itoa(int(*c.Kind)))
	}
	if c.Errors != nil {
		t.status = f.token(TokenFailed, "", strconv.FormatBool(*c.Errors))
	}
	for i := range c.Attributes {
		t.attributes = append(t.attributes, f.compileAttribute(&c.Attributes[i]))
	}
	for i := range c.And {
		t.and = append(t.and, f.compileSpan(&c.And[i]))
	}
	for i := range c.Or {
		t.or = append(t.or, f.compileSpan(&c.Or[i]))
	}
	if c.Not != nil {
		t.not = f.compileSpan(c.Not)
	}
	return t
}

func (f *Filter) compileAttribute(c *AttributeCondition) attributeTest {
	t := attributeTest{c, noToken, f.memo()}
	switch c.Op {
	case OpEqual:
		t.token = f.token(TokenAttribute, c.Key, c.Text)
	case OpNotExists:
	default:
		t.token = f.token(TokenKey, c.Key, "")
	}
	return t
}

// memo makes a place in Filter.memos.
func (f *Filter) memo() int {
	f.memos = append(f.memos, memo{})
	return len(f.memos) - 1
}

// match says whether everything holds on the span, cheap questions first.
func (t *spanTest) match(f *Filter, span *tracetree.Span) bool {
	if t.Kind != nil && span.Kind() != *t.Kind {
		return false
	}
	if t.Errors != nil && (span.Status().Code() == ptrace.StatusCodeError) != *t.Errors {
		return false
	}
	if (t.MinDuration > 0 || t.MaxDuration > 0) && !DurationWithin(SpanDuration(span.Span), t.MinDuration, t.MaxDuration) {
		return false
	}
	if t.Operation != "" && span.Name() != t.Operation && !textIs(span.Attributes(), conventions.AttrOperation, t.Operation) {
		return false
	}
	if t.Service != "" && !t.serviceIs(f, span) {
		return false
	}
	if t.Category != "" && !textIs(span.Attributes(), conventions.AttrCategory, t.Category) {
		return false
	}
	for i := range t.attributes {
		if !t.attributes[i].match(f, span) {
			return false
		}
	}
	return t.matchBranches(f, span)
}

func (t *spanTest) matchBranches(f *Filter, span *tracetree.Span) bool {
	for _, and := range t.and {
		if !and.match(f, span) {
			return false
		}
	}
	if t.not != nil && t.not.match(f, span) {
		return false
	}
	for _, or := range t.or {
		if or.match(f, span) {
			return true
		}
	}
	return len(t.or) == 0
}

func (t *spanTest) serviceIs(f *Filter, span *tracetree.Span) bool {
	m := &f.memos[t.serviceMemo]
	if !m.known || m.resource != span.Resource {
		*m = memo{known: true, resource: span.Resource, holds: conventions.ServiceName(span.Resource) == t.Service}
	}
	return m.holds || textIs(span.Attributes(), conventions.AttrService, t.Service)
}

func (t *attributeTest) match(f *Filter, span *tracetree.Span) bool {
	if t.Scope != ScopeResource {
		if value, ok := span.Attributes().Get(t.Key); ok || t.Scope == ScopeSpan {
			return t.holds(value, ok)
		}
	}
	m := &f.memos[t.memo]
	if !m.known || m.resource != span.Resource {
		value, ok := span.Resource.Attributes().Get(t.Key)
		*m = memo{known: true, resource: span.Resource, holds: t.holds(value, ok)}
	}
	return m.holds
}

// holds says whether the condition holds where the look-up found this value, or none.
func (c *AttributeCondition) holds(value pcommon.Value, found bool) bool {
	if !found || c.Op == OpNotExists {
		return !found && c.Op == OpNotExists
	}
	switch c.Op {
	case OpExists:
		return true
	case OpEqual:
		return textEquals(value, c.Text)
	case OpNotEqual:
		return !textEquals(value, c.Text)
	case OpRegex:
		return c.Regex != nil && c.Regex.MatchString(text(value))
	}
	n, ok := number(value)
	return ok && c.Compares(n)
}

// Compares says whether a number is below or above the condition's, as its operator asks; false for operators that compare none.
func (c *AttributeCondition) Compares(n float64) bool {
	switch c.Op {
	case OpLess:
		return n < c.Number
	case OpLessEqual:
		return n <= c.Number
	case OpGreater:
		return n > c.Number
	case OpGreaterEqual:
		return n >= c.Number
	}
	return false
}

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

// DurationWithin says whether a duration is within bounds; 0, and what is below, bounds nothing.
func DurationWithin(d, shortest, longest time.Duration) bool {
	return (shortest <= 0 || d >= shortest) && (longest <= 0 || d <= longest)
}

func textIs(attrs pcommon.Map, key, want string) bool {
	v, ok := attrs.Get(key)
	return ok && v.Type() == pcommon.ValueTypeStr && v.Str() == want
}

func text(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str() // what AsString would answer, without its switch
	}
	return value.AsString()
}

// textEquals says whether the text of the value is want. Of what is compared most it makes no text.
func textEquals(value pcommon.Value, want string) bool {
	if value.Type() == pcommon.ValueTypeInt {
		var digits [20]byte
		return string(strconv.AppendInt(digits[:0], value.Int(), 10)) == want
	}
	return text(value) == want
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
