package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// span describes a span in few words. Times count from start, which is a second before now.
type span struct {
	trace, id, parent byte // numbers that stand for ids; 0 is no parent
	tenant            string
	service, name     string
	kind              ptrace.SpanKind
	from, to          time.Duration
	failed            bool
	attributes        map[string]any
	resource          map[string]any

	// On one span of a release.
	version, part int
	outcome       string
}

var start = now.Add(-time.Second)

func traceID(n byte) pcommon.TraceID { return pcommon.TraceID{15: n} }

func spanID(n byte) pcommon.SpanID { return pcommon.SpanID{7: n} }

// call makes a call of the spans, released now; equal resources share ResourceSpans.
func call(spans ...span) ptrace.Traces { return callAt(now, spans...) }

// callAt makes a call that is released at a time.
func callAt(released time.Time, spans ...span) ptrace.Traces {
	td := ptrace.NewTraces()
	resources := make(map[string]ptrace.SpanSlice)
	for _, s := range spans {
		key := fmt.Sprint(s.tenant, s.service, s.resource)
		list, ok := resources[key]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			attrs := rs.Resource().Attributes()
			if s.service != "" {
				attrs.PutStr("service.name", s.service)
			}
			if s.tenant != "" {
				attrs.PutStr(conventions.AttrTenant, s.tenant)
			}
			attrs.PutInt(conventions.AttrReleasedAt, released.UnixNano())
			put(attrs, s.resource)
			list = rs.ScopeSpans().AppendEmpty().Spans()
			resources[key] = list
		}
		s.write(list.AppendEmpty())
	}
	return td
}

func (s *span) write(to ptrace.Span) {
	to.SetTraceID(traceID(s.trace))
	to.SetSpanID(spanID(s.id))
	if s.parent != 0 {
		to.SetParentSpanID(spanID(s.parent))
	}
	to.SetName(s.name)
	to.SetKind(s.kind)
	to.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(s.from)))
	to.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(s.to)))
	if s.failed {
		to.Status().SetCode(ptrace.StatusCodeError)
	}
	put(to.Attributes(), s.attributes)
	if s.version != 0 {
		to.Attributes().PutInt(conventions.AttrVersion, int64(s.version))
		to.Attributes().PutStr(conventions.AttrOutcome, s.outcome)
		if s.part != 0 {
			to.Attributes().PutInt(conventions.AttrPart, int64(s.part))
		}
	}
}

func put(attrs pcommon.Map, values map[string]any) {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys) // a repeated call is byte-identical
	for _, key := range keys {
		if err := attrs.PutEmpty(key).FromRaw(values[key]); err != nil {
			panic(fmt.Sprintf("attribute %s of a test: %v", key, err))
		}
	}
}

// explained is the call as trace_analysis hands it on.
func explained(td ptrace.Traces) ptrace.Traces {
	releases := tracetree.Releases(td)
	for i := range releases {
		analysis.Annotate(&releases[i], analysis.Analyze(&releases[i]))
	}
	return td
}

// lone is a trace of one span that starts at from and takes 10 ms.
func lone(trace byte, from time.Duration) span {
	return span{trace: trace, id: 1, service: "shop", name: "GET /", kind: ptrace.SpanKindServer, from: from, to: from + 10*time.Millisecond}
}

// write writes calls, and overwrites afterwards what the store was given: it has kept nothing of it.
func write(t *testing.T, store tracestore.Writer, calls ...ptrace.Traces) {
	t.Helper()
	for _, td := range calls {
		given := ptrace.NewTraces()
		td.CopyTo(given)
		require.NoError(t, store.WriteCall(t.Context(), given))
		overwrite(given)
	}
}

// overwrite makes nonsense of a call, where it stands.
func overwrite(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		rs.SetSchemaUrl("overwritten")
		overwriteAttributes(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			ss.SetSchemaUrl("overwritten")
			ss.Scope().SetName("overwritten")
			overwriteAttributes(ss.Scope().Attributes())
			for _, span := range ss.Spans().All() {
				for _, event := range span.Events().All() {
					event.SetName("overwritten")
					overwriteAttributes(event.Attributes())
				}
				for _, link := range span.Links().All() {
					link.SetTraceID(traceID(77))
					overwriteAttributes(link.Attributes())
				}
				overwriteAttributes(span.Attributes())
				span.SetTraceID(traceID(77))
				span.SetSpanID(spanID(77))
				span.SetParentSpanID(spanID(77))
				span.SetName("overwritten")
				span.Status().SetMessage("overwritten")
				span.SetStartTimestamp(77)
				span.SetEndTimestamp(77)
			}
		}
	}
}

func overwriteAttributes(attributes pcommon.Map) {
	for _, v := range attributes.All() {
		switch v.Type() { // in the memory of the value
		case pcommon.ValueTypeStr:
			v.SetStr("overwritten")
		case pcommon.ValueTypeInt:
			v.SetInt(77)
		case pcommon.ValueTypeDouble:
			v.SetDouble(77)
		case pcommon.ValueTypeBool:
			v.SetBool(!v.Bool())
		case pcommon.ValueTypeMap:
			v.Map().Clear()
		case pcommon.ValueTypeSlice:
			for _, one := range v.Slice().All() {
				one.SetStr("overwritten")
			}
		case pcommon.ValueTypeBytes:
			v.SetEmptyBytes() // the bytes themselves are those of the call that was copied: pdata copies where they stand
		}
	}
}

// read returns the releases of a trace.
func read(t *testing.T, store tracestore.Reader, tenant string, id pcommon.TraceID) []ptrace.Traces {
	t.Helper()
	var releases []ptrace.Traces
	for td, err := range store.Trace(t.Context(), tenant, id) {
		require.NoError(t, err)
		releases = append(releases, td)
	}
	return releases
}

// wholeDay is a query for everything that started around now.
func wholeDay() *tracestore.SearchQuery {
	return &tracestore.SearchQuery{Start: now.Add(-12 * time.Hour), End: now.Add(12 * time.Hour), Limit: 100}
}

func search(t *testing.T, store tracestore.Reader, tenant string, query *tracestore.SearchQuery) tracestore.SearchPage {
	t.Helper()
	page, err := store.Search(t.Context(), tenant, query)
	require.NoError(t, err)
	require.LessOrEqual(t, len(page.Traces), query.Limit)
	require.False(t, page.Truncated)
	return page
}

// found lists the traces of a page by their numbers.
func found(page tracestore.SearchPage) []byte {
	numbers := []byte{}
	for _, row := range page.Traces {
		numbers = append(numbers, row.TraceID[15])
	}
	return numbers
}

func wire(t *testing.T, td ptrace.Traces) []byte {
	t.Helper()
	bytes, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return bytes
}
