package storetest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// A Loss is something that OTLP says and a backend does not keep. Everything else holds for the backend all the same.
type Loss string

// The losses that a backend may declare.
const (
	// LostTypes: values are text, but for those whose key the semantic conventions give a type.
	LostTypes Loss = "types of values"
	// LostOrder: attributes are in the order of their keys.
	LostOrder Loss = "order of attributes"
	// LostFlags: flags of spans and links.
	LostFlags Loss = "flags"
	// LostDroppedCounts: how many attributes, events and links the sender dropped.
	LostDroppedCounts Loss = "dropped counts"
	// LostScopeAttributes: attributes of scopes.
	LostScopeAttributes Loss = "scope attributes"
	// LostSchemaURLs: schema URLs of resources and scopes.
	LostSchemaURLs Loss = "schema URLs"
	// LostDistance: a release that says of itself that it is its trace's first is found as a trace of its own where another one was
	// made long before.
	LostDistance Loss = "releases far from each other"
	// LostUnanalysed: aggregates count what is written on spans, and nothing is written on those that no trace_analysis has seen.
	LostUnanalysed Loss = "aggregates of releases without annotations"
	// LostUnknownNumbers: span kinds and status codes that OTLP does not have are unspecified and unset.
	LostUnknownNumbers Loss = "unknown kinds and status codes"
)

// Losses are what a backend does not keep.
type Losses []Loss

// lossy is a backend with its losses.
type lossy struct {
	Store
	losses Losses
}

// part is a part of the contract that not every backend has.
func part[T any](store Store) (T, bool) {
	if l, ok := store.(lossy); ok {
		store = l.Store
	}
	p, ok := store.(T)
	return p, ok
}

func lossesOf(store any) Losses {
	if l, ok := store.(lossy); ok {
		return l.losses
	}
	return nil
}

// often is how often a test does what it does many times: a backend that has losses is a server, which takes its time.
func often(store any, embedded, server int) int {
	if len(lossesOf(store)) > 0 {
		return server
	}
	return embedded
}

func (l Losses) has(loss Loss) bool { return slices.Contains(l, loss) }

// kept is what a backend with the losses keeps of a call; types of values are left as they are.
func (l Losses) kept(td ptrace.Traces) ptrace.Traces {
	td = clone(td)
	for _, rs := range td.ResourceSpans().All() {
		if l.has(LostSchemaURLs) {
			rs.SetSchemaUrl("")
		}
		if l.has(LostDroppedCounts) {
			rs.Resource().SetDroppedAttributesCount(0)
		}
		for _, ss := range rs.ScopeSpans().All() {
			l.keepScope(ss)
			for _, span := range ss.Spans().All() {
				l.keepSpan(span)
			}
		}
	}
	return td
}

func (l Losses) keepScope(ss ptrace.ScopeSpans) {
	if l.has(LostSchemaURLs) {
		ss.SetSchemaUrl("")
	}
	if l.has(LostDroppedCounts) {
		ss.Scope().SetDroppedAttributesCount(0)
	}
	if l.has(LostScopeAttributes) {
		ss.Scope().Attributes().Clear()
	}
}

func (l Losses) keepSpan(span ptrace.Span) {
	if l.has(LostUnknownNumbers) {
		span.SetKind(tracetree.KnownKind(span.Kind()))
		if code := span.Status().Code(); code < ptrace.StatusCodeUnset || code > ptrace.StatusCodeError {
			span.Status().SetCode(ptrace.StatusCodeUnset)
		}
	}
	if l.has(LostFlags) {
		span.SetFlags(0)
	}
	if l.has(LostDroppedCounts) {
		span.SetDroppedAttributesCount(0)
		span.SetDroppedEventsCount(0)
		span.SetDroppedLinksCount(0)
	}
	for _, event := range span.Events().All() {
		if l.has(LostDroppedCounts) {
			event.SetDroppedAttributesCount(0)
		}
	}
	for _, link := range span.Links().All() {
		if l.has(LostFlags) {
			link.SetFlags(0)
		}
		if l.has(LostDroppedCounts) {
			link.SetDroppedAttributesCount(0)
		}
	}
}

// comparable is the call as bytes that are equal where the backend is to make no difference.
func (l Losses) comparable(t *testing.T, td ptrace.Traces) []byte {
	t.Helper()
	td = l.kept(td)
	for _, rs := range td.ResourceSpans().All() {
		l.level(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				l.level(span.Attributes())
				for _, event := range span.Events().All() {
					l.level(event.Attributes())
				}
				for _, link := range span.Links().All() {
					l.level(link.Attributes())
				}
			}
		}
	}
	return wire(t, td)
}

// level makes attributes equal that the backend may take for each other.
func (l Losses) level(attrs pcommon.Map) {
	if l.has(LostTypes) {
		for _, value := range attrs.All() {
			value.SetStr(value.AsString())
		}
	}
	if l.has(LostOrder) {
		keys := make([]string, 0, attrs.Len())
		for key := range attrs.All() {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		sorted := pcommon.NewMap()
		for _, key := range keys {
			value, _ := attrs.Get(key)
			value.CopyTo(sorted.PutEmpty(key))
		}
		sorted.MoveTo(attrs)
	}
}

// requireKept wants the release to be what the backend keeps of what was written.
func requireKept(t *testing.T, store any, written, read ptrace.Traces) {
	t.Helper()
	losses := lossesOf(store)
	want, got := losses.comparable(t, written), losses.comparable(t, read)
	if !bytes.Equal(want, got) {
		require.Equal(t, asJSON(t, losses.kept(written)), asJSON(t, losses.kept(read)))
		require.Equal(t, want, got)
	}
}

func asJSON(t *testing.T, td ptrace.Traces) string {
	t.Helper()
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return string(text)
}

func clone(td ptrace.Traces) ptrace.Traces {
	c := ptrace.NewTraces()
	td.CopyTo(c)
	return c
}
