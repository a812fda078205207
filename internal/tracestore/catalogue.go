package tracestore

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// CatalogueReader answers which attributes there are, for suggestions: keys, and the values of a key that are met most. It is
// about spans and their resources as they were written, by the time of their release. Neither is complete nor exact: a storage
// may forget the rarest keys of a day beyond its limit, and the rarest values of a key, and what it forgot and met again counts
// from then on. A key or value that alone, or nearly so, fills a small store is in the answer. What was written is visible at
// most 5 s later.
type CatalogueReader interface {
	// AttributeKeys answers keys, the most met first, of equals by key and scope. Span and resource attributes of one key are
	// two. Keys of annotations (conventions.Prefix) are left out.
	AttributeKeys(ctx context.Context, tenant string, query *CatalogueQuery) ([]AttributeKey, error)
	// AttributeValues answers values of one key as text (pcommon.Value.AsString), the most met first, of equals by text;
	// ScopeAny adds up both scopes. Only
	// text, numbers and booleans are listed, of at most MaxCatalogueValue bytes.
	AttributeValues(ctx context.Context, tenant string, scope AttributeScope, key string, query *CatalogueQuery) ([]AttributeValue, error)
}

// CatalogueQuery says of which time, and how many.
type CatalogueQuery struct {
	// Start and End bound the time of release, [Start, End). A storage may widen them to whole days (UTC).
	Start, End time.Time
	// Prefix is what a key or value must begin with; empty for all.
	Prefix string
	// Limit is how many are wanted, at least 1.
	Limit int
}

// MaxCatalogueValue is the size in bytes of the longest value (and key) in a catalogue.
const MaxCatalogueValue = 256

// AttributeKey is a key in one scope.
type AttributeKey struct {
	// Scope is ScopeSpan or ScopeResource.
	Scope AttributeScope
	Key   string
	Types ValueTypes
	// Spans is about how many spans have it, or are of a resource that has it. At least 1.
	Spans int64
}

// AttributeValue is a value of a key.
type AttributeValue struct {
	Text string
	// Spans is about how many spans have it, or are of a resource that has it. At least 1.
	Spans int64
}

// ValueTypes is a set of pcommon.ValueType, a bit for each.
type ValueTypes uint8

// TypeOf is the set of one type.
func TypeOf(t pcommon.ValueType) ValueTypes { return 1 << t }

// Has says whether the type is in the set.
func (s ValueTypes) Has(t pcommon.ValueType) bool { return s&TypeOf(t) != 0 }

// Catalogued says whether a key stands in catalogues.
func Catalogued(key string) bool {
	return key != "" && len(key) <= MaxCatalogueValue && utf8.ValidString(key) &&
		!strings.HasPrefix(key, conventions.Prefix)
}

// CataloguedText is the text of a value that stands in catalogues.
func CataloguedText(value pcommon.Value) (text string, ok bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		text = value.AsString()
		return text, len(text) <= MaxCatalogueValue && utf8.ValidString(text)
	}
	return "", false
}

// EachAttribute calls f for the attributes of td that stand in catalogues: for those of each span, and for those of each resource with the
// number of its spans.
func EachAttribute(td ptrace.Traces, f func(scope AttributeScope, key string, value pcommon.Value, spans int)) {
	each := func(attrs pcommon.Map, scope AttributeScope, spans int) {
		for key, value := range attrs.All() {
			if Catalogued(key) {
				f(scope, key, value, spans)
			}
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		spans := 0
		for _, ss := range rs.ScopeSpans().All() {
			spans += ss.Spans().Len()
			for _, span := range ss.Spans().All() {
				each(span.Attributes(), ScopeSpan, 1)
			}
		}
		each(rs.Resource().Attributes(), ScopeResource, spans)
	}
}
