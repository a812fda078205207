package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// nest puts depth arrays around a text.
func nest(value pcommon.Value, depth int) {
	for range depth {
		value = value.SetEmptySlice().AppendEmpty()
	}
	value.SetStr("deep")
}

// repeatKey adds a key twice, which pcommon.Map itself would not do.
func repeatKey(attrs pcommon.Map, key string) {
	var builder xpdata.MapBuilder
	for k, v := range attrs.All() {
		v.CopyTo(builder.AppendEmpty(k))
	}
	builder.AppendEmpty(key).SetStr("first")
	builder.AppendEmpty(key).SetStr("second")
	builder.UnsafeIntoMap(attrs)
}

// Every fault alone is named, and what is just within a limit is not.
func TestViolations(t *testing.T) {
	long := strings.Repeat("n", conventions.MaxNameBytes+1)
	large := strings.Repeat("v", conventions.MaxAttributeBytes)
	for name, test := range map[string]struct {
		change func(span tracetree.Span)
		want   string // empty for none
	}{
		"none":                       {func(tracetree.Span) {}, ""},
		"start of 0":                 {func(s tracetree.Span) { s.SetStartTimestamp(0) }, "missing_time"},
		"end of 0":                   {func(s tracetree.Span) { s.SetEndTimestamp(0) }, "missing_time negative_duration"},
		"end before start":           {func(s tracetree.Span) { s.SetEndTimestamp(4) }, "negative_duration"},
		"no duration":                {func(s tracetree.Span) { s.SetEndTimestamp(5) }, ""},
		"largest time":               {func(s tracetree.Span) { s.SetEndTimestamp(math.MaxInt64) }, ""},
		"end out of range":           {func(s tracetree.Span) { s.SetEndTimestamp(math.MaxUint64) }, "time_out_of_range"},
		"start out of range":         {func(s tracetree.Span) { s.SetStartTimestamp(math.MaxInt64 + 1) }, "negative_duration time_out_of_range"},
		"no name":                    {func(s tracetree.Span) { s.SetName("") }, "missing_span_name"},
		"longest name":               {func(s tracetree.Span) { s.SetName(long[1:]) }, ""},
		"long name":                  {func(s tracetree.Span) { s.SetName(long) }, "long_name"},
		"last kind":                  {func(s tracetree.Span) { s.SetKind(ptrace.SpanKindConsumer) }, ""},
		"unknown kind":               {func(s tracetree.Span) { s.SetKind(99) }, "unknown_span_kind"},
		"negative kind":              {func(s tracetree.Span) { s.SetKind(-1) }, "unknown_span_kind"},
		"unknown status":             {func(s tracetree.Span) { s.Status().SetCode(99) }, "unknown_status_code"},
		"parent of itself":           {func(s tracetree.Span) { s.SetParentSpanID(s.SpanID()) }, "parent_cycle"},
		"missing parent":             {func(s tracetree.Span) { s.SetParentSpanID(treetest.ID(9)) }, ""},
		"no service":                 {func(s tracetree.Span) { s.Resource.Attributes().Clear() }, "missing_service_name"},
		"empty service":              {func(s tracetree.Span) { s.Resource.Attributes().PutStr("service.name", "") }, "missing_service_name"},
		"service is a map":           {func(s tracetree.Span) { s.Resource.Attributes().PutEmptyMap("service.name") }, "missing_service_name"},
		"service is a number":        {func(s tracetree.Span) { s.Resource.Attributes().PutInt("service.name", 7) }, ""},
		"says unknown_service":       {func(s tracetree.Span) { s.Resource.Attributes().PutStr("service.name", "unknown_service") }, ""},
		"long service":               {func(s tracetree.Span) { s.Resource.Attributes().PutStr("service.name", long) }, "long_name"},
		"empty key":                  {func(s tracetree.Span) { s.Attributes().PutStr("", "x") }, "empty_attribute_key"},
		"repeated key":               {func(s tracetree.Span) { repeatKey(s.Attributes(), "key") }, "duplicate_attribute_key"},
		"repeated empty key":         {func(s tracetree.Span) { repeatKey(s.Attributes(), "") }, "duplicate_attribute_key empty_attribute_key"},
		"largest text":               {func(s tracetree.Span) { s.Attributes().PutStr("k", large) }, ""},
		"large text":                 {func(s tracetree.Span) { s.Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"large bytes":                {func(s tracetree.Span) { s.Attributes().PutEmptyBytes("k").FromRaw([]byte(large + "v")) }, "oversize_attribute"},
		"large in a list":            {func(s tracetree.Span) { s.Attributes().PutEmptySlice("k").AppendEmpty().SetStr(large + "v") }, "oversize_attribute"},
		"large on the resource":      {func(s tracetree.Span) { s.Resource.Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"large on the scope":         {func(s tracetree.Span) { s.Scope.Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"large in an event":          {func(s tracetree.Span) { s.Events().AppendEmpty().Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"large in a link":            {func(s tracetree.Span) { s.Links().AppendEmpty().Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"deepest":                    {func(s tracetree.Span) { nest(s.Attributes().PutEmpty("k"), 64) }, ""},
		"too deep":                   {func(s tracetree.Span) { nest(s.Attributes().PutEmpty("k"), 65) }, "deep_nesting"},
		"as many links as there may": {func(s tracetree.Span) { addLinks(s, 1000) }, ""},
		"too many links":             {func(s tracetree.Span) { addLinks(s, 1001) }, "too_many_links"},
		"two faults and one that stands there": {
			func(s tracetree.Span) {
				s.SetName("")
				s.SetKind(99)
				s.Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr("seen_before")
			},
			"missing_span_name seen_before unknown_span_kind",
		},
	} {
		t.Run(name, func(t *testing.T) {
			release := treetest.Release(t, "a 1 - server 5 100")
			test.change(release.Spans[0])
			result := analysis.Analyze(release)
			require.Equal(t, test.want, strings.Join(result.Spans[0].Violations, " "))
			analysis.Annotate(release, result)
			require.Equal(t, test.want, strings.Join(analysis.Analyze(release).Spans[0].Violations, " "), "again")
		})
	}
}

func addLinks(s tracetree.Span, n int) {
	for range n {
		s.Links().AppendEmpty()
	}
}

// Of spans with many attributes too, and wherever the two keys stand.
func TestDuplicateKeyAmongMany(t *testing.T) {
	for _, n := range []int{2, 10, 32, 33, 100} {
		release := treetest.Release(t, "a 1 - server 5 100")
		attrs := release.Spans[0].Attributes()
		for i := range n {
			attrs.PutStr("key."+strings.Repeat("x", i), "")
		}
		require.Empty(t, analysis.Analyze(release).Spans[0].Violations, n)
		repeatKey(attrs, "key.x")
		require.Equal(t, []string{"duplicate_attribute_key"}, analysis.Analyze(release).Spans[0].Violations, n)
	}
}

// A cycle of parents is named on the span at which it was cut, alone.
func TestViolationOfACycle(t *testing.T) {
	r := analysis.Analyze(treetest.Release(t, `
		a 1 3 internal 5 100
		a 2 1 internal 6 90
		a 3 2 internal 7 80`))
	require.Equal(t, []string{"parent_cycle"}, r.Spans[0].Violations)
	require.Empty(t, r.Spans[1].Violations)
	require.Empty(t, r.Spans[2].Violations)
}

// A long name would otherwise stand on every span of the trace.
func TestLongNamesAreCutInAnnotations(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server   5 100
		b 2 1 server   6 90`)
	long := strings.Repeat("ä", 200) // 400 bytes, of which 256 are 128 characters
	short := long[:256]
	release.Spans[0].SetName(long)
	release.Spans[0].Resource.Attributes().PutStr("service.name", long)
	result := analysis.Analyze(release)
	require.Equal(t, short, result.EntryOperation)
	require.Equal(t, short, result.EntryService)
	require.Equal(t, []string{"b", short}, slices.Sorted(slices.Values(result.Services)))
	analysis.Annotate(release, result)
	for key, want := range map[string]string{
		conventions.AttrService: short, conventions.AttrOperation: short, conventions.AttrEntryOperation: short,
	} {
		got, ok := release.Spans[0].Attributes().Get(key)
		require.True(t, ok, key)
		require.Equal(t, want, got.Str())
	}
	got, _ := release.Spans[1].Attributes().Get(conventions.AttrParentService)
	require.Equal(t, short, got.Str())
	require.Equal(t, long, release.Spans[0].Name(), "the sender's stays")
}
