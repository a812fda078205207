package traceassemblyprocessor

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tenant"
)

// removeAnnotations removes what only Tracewright may say.
func removeAnnotations(attrs pcommon.Map) {
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, conventions.Prefix) })
}

// removeAllAnnotations removes it from a span, its events and its links.
func removeAllAnnotations(span ptrace.Span) {
	removeAnnotations(span.Attributes())
	for _, event := range span.Events().All() {
		removeAnnotations(event.Attributes())
	}
	for _, link := range span.Links().All() {
		removeAnnotations(link.Attributes())
	}
}

// removeAssembly removes from a trusted span what an assembly before this one wrote: two versions in one release would
// contradict each other.
func removeAssembly(span ptrace.Span) {
	attrs := span.Attributes()
	attrs.Remove(conventions.AttrOutcome)
	attrs.Remove(conventions.AttrVersion)
	attrs.Remove(conventions.AttrPart)
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool {
		return strings.HasPrefix(key, conventions.Prefix) &&
			(key == conventions.AttrOrphan || slices.Contains(conventions.Repairs, key))
	})
}

// takeTenant takes the tenant off a trusted resource, where it names one, and what this assembly writes anew. Its error wraps tenant.ErrName.
func takeTenant(attrs pcommon.Map, name string) (string, error) {
	var err error
	if v, ok := attrs.Get(conventions.AttrTenant); ok && v.Type() == pcommon.ValueTypeStr {
		name = v.Str()
		if err = tenant.Check(name); err != nil {
			err = fmt.Errorf("resource attribute %s: %w", conventions.AttrTenant, err)
		}
	}
	attrs.Remove(conventions.AttrTenant)
	attrs.Remove(conventions.AttrReleasedAt)
	return name, err
}
