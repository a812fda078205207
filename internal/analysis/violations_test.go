package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		"service is a map":           {func(s tracetree.Span) { s.Resource.Attributes().PutEmptyMap("service.name") }, "missing_service_name wrong_attribute_type"},
		"service is a number":        {func(s tracetree.Span) { s.Resource.Attributes().PutInt("service.name", 7) }, "wrong_attribute_type"},
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
		"large in an event":          {func(s tracetree.Span) { addEvent(s, 6).Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
		"event before the span":      {func(s tracetree.Span) { addEvent(s, 1) }, ""},
		"event of 0":                 {func(s tracetree.Span) { addEvent(s, 6); addEvent(s, 0) }, "missing_event_time"},
		"largest time of an event":   {func(s tracetree.Span) { addEvent(s, math.MaxInt64) }, ""},
		"event out of range":         {func(s tracetree.Span) { addEvent(s, math.MaxInt64+1) }, "missing_event_time"},
		"event without a name":       {func(s tracetree.Span) { addEvent(s, 6).SetName("") }, "missing_event_name"},
		"large in a link":            {func(s tracetree.Span) { addLinks(s, 1).Attributes().PutStr("k", large+"v") }, "oversize_attribute"},
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

func addEvent(s tracetree.Span, at uint64) ptrace.SpanEvent {
	event := s.Events().AppendEmpty()
	event.SetName("event")
	event.SetTimestamp(pcommon.Timestamp(at))
	return event
}

// addLinks adds links and gives the last.
func addLinks(s tracetree.Span, n int) ptrace.SpanLink {
	var link ptrace.SpanLink
	for range n {
		link = s.Links().AppendEmpty()
		link.SetTraceID(treetest.TraceID)
		link.SetSpanID(treetest.ID(1))
	}
	return link
}

// Tracestates and flags, of spans and of links. What of a tracestate is valid, conventions.ReadTracestate has a test of.
func TestContextViolations(t *testing.T) {
	var many strings.Builder
	for i := range 33 {
		fmt.Fprintf(&many, "k%d=v,", i)
	}
	for name, test := range map[string]struct {
		change func(span tracetree.Span)
		want   string // empty for none
	}{
		"tracestate":                          {func(s tracetree.Span) { s.TraceState().FromRaw("ot=th:c,fw529a3039@dt=x") }, ""},
		"invalid tracestate":                  {func(s tracetree.Span) { s.TraceState().FromRaw("Ot=th:c") }, "invalid_tracestate"},
		"key twice":                           {func(s tracetree.Span) { s.TraceState().FromRaw("a=1,a=2") }, "duplicate_tracestate_key"},
		"33 members":                          {func(s tracetree.Span) { s.TraceState().FromRaw(many.String()) }, "too_many_tracestate_members"},
		"malformed threshold":                 {func(s tracetree.Span) { s.TraceState().FromRaw("ot=th:x") }, "invalid_sampling_threshold"},
		"malformed randomness":                {func(s tracetree.Span) { s.TraceState().FromRaw("a=1,ot=th:c;rv:1") }, "invalid_sampling_randomness"},
		"sampled against its threshold":       {func(s tracetree.Span) { s.TraceState().FromRaw("ot=th:c;rv:00000000000001") }, "inconsistent_sampling"},
		"link's malformed threshold":          {func(s tracetree.Span) { addLinks(s, 1).TraceState().FromRaw("ot=th:x") }, "invalid_sampling_threshold"},
		"link's tracestate":                   {func(s tracetree.Span) { addLinks(s, 1).TraceState().FromRaw("a=1") }, ""},
		"link's invalid tracestate":           {func(s tracetree.Span) { addLinks(s, 1).TraceState().FromRaw("a") }, "invalid_tracestate"},
		"an invalid one and the link's valid": {func(s tracetree.Span) { s.TraceState().FromRaw("a"); addLinks(s, 2).TraceState().FromRaw("a=1") }, "invalid_tracestate"},
		"two of them, different faults": {
			func(s tracetree.Span) { s.TraceState().FromRaw("a"); addLinks(s, 2).TraceState().FromRaw("a=1,a=1") },
			"duplicate_tracestate_key invalid_tracestate",
		},
		"no flags":                     {func(s tracetree.Span) { s.SetFlags(0) }, ""},
		"sampled":                      {func(s tracetree.Span) { s.SetFlags(0x001) }, ""},
		"sampled, random":              {func(s tracetree.Span) { s.SetFlags(0x003) }, ""},
		"third trace flag":             {func(s tracetree.Span) { s.SetFlags(0x004) }, "unknown_flags"},
		"last trace flag":              {func(s tracetree.Span) { s.SetFlags(0x080) }, "unknown_flags"},
		"first bit that OTLP reserves": {func(s tracetree.Span) { s.SetFlags(0x400) }, "unknown_flags"},
		"last bit that OTLP reserves":  {func(s tracetree.Span) { s.SetFlags(1 << 31) }, "unknown_flags"},
		"root, parent not remote":      {func(s tracetree.Span) { s.SetFlags(0x103) }, ""},
		"root, parent remote":          {func(s tracetree.Span) { s.SetFlags(0x303) }, "remote_without_parent"},
		"child, parent remote":         {func(s tracetree.Span) { s.SetFlags(0x303); s.SetParentSpanID(treetest.ID(9)) }, ""},
		"child, parent not remote":     {func(s tracetree.Span) { s.SetFlags(0x103); s.SetParentSpanID(treetest.ID(9)) }, ""},
		"root, remote, not known":      {func(s tracetree.Span) { s.SetFlags(0x200) }, "unknown_flags"},
		"link's flags":                 {func(s tracetree.Span) { addLinks(s, 1).SetFlags(0x303) }, ""},
		"link's unknown flags":         {func(s tracetree.Span) { addLinks(s, 1).SetFlags(0x400) }, "unknown_flags"},
		"link, remote, not known":      {func(s tracetree.Span) { addLinks(s, 1).SetFlags(0x201) }, "unknown_flags"},
		"link":                         {func(s tracetree.Span) { addLinks(s, 1) }, ""},
		"link without a trace id":      {func(s tracetree.Span) { addLinks(s, 2).SetTraceID(pcommon.TraceID{}) }, "zero_link_id"},
		"link without a span id":       {func(s tracetree.Span) { addLinks(s, 2).SetSpanID(pcommon.SpanID{}) }, "zero_link_id"},
	} {
		t.Run(name, func(t *testing.T) {
			release := treetest.Release(t, `
				a 1 - server 5 100
				a 2 1 server 5 100`) // its tracestate and flags are its own
			test.change(release.Spans[0])
			result := analysis.Analyze(release)
			require.Equal(t, test.want, strings.Join(result.Spans[0].Violations, " "))
			require.Empty(t, result.Spans[1].Violations)
		})
	}
}

// A span counts for as many as its own tracestate says, whatever that of a link, or of the span before it, is.
func TestWeight(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server 5 100
		a 2 1 server 5 100
		a 3 1 server 5 100
		a 4 1 server 5 100
		a 5 1 server 5 100`)
	states := []string{"ot=th:c", "", "ot=th:8", "x=1,ot=th:8;rv:0", "ot=th:0"}
	for i, state := range states {
		release.Spans[i].TraceState().FromRaw(state)
	}
	addLinks(release.Spans[1], 1).TraceState().FromRaw("ot=th:c")
	release.Spans[4].Attributes().PutDouble(conventions.AttrWeight, 7) // of an earlier stage
	for range 2 {
		result := analysis.Analyze(release)
		var got []float64
		for _, s := range result.Spans {
			got = append(got, s.Weight)
		}
		require.Equal(t, []float64{4, 1, 2, 2, 1}, got)
		analysis.Annotate(release, result)
		for i, s := range release.Spans {
			weight, ok := s.Attributes().Get(conventions.AttrWeight)
			require.Equal(t, got[i] != 1, ok)
			if ok {
				require.InDelta(t, got[i], weight.Double(), 0)
			}
		}
	}
}

// A start is in the future where a search would not find it under its own time. Without trace_assembly nobody knows.
func TestFutureStart(t *testing.T) {
	const released = int64(1_700_000_000_000_000_000)
	for _, test := range []struct {
		releasedAt, start int64
		want              bool
	}{
		{released, released + int64(time.Hour), false},
		{released, released + int64(time.Hour) + 1, true},
		{released, math.MaxInt64, true},
		{released, 0, false},
		{0, released, false},
	} {
		release := treetest.Release(t, "a 1 - server 5 100")
		release.ReleasedAt = test.releasedAt
		release.Spans[0].SetStartTimestamp(pcommon.Timestamp(test.start))
		release.Spans[0].SetEndTimestamp(pcommon.Timestamp(test.start))
		require.Equal(t, test.want, slices.Contains(analysis.Analyze(release).Spans[0].Violations, "future_start"), "%+v", test)
	}
}

// Spans that say the same are judged alike, whatever stands between them.
func TestTracestatesOfATrace(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server 5 100
		a 2 1 server 5 100
		a 3 1 server 5 100
		a 4 1 server 5 100
		a 5 1 server 5 100
		a 6 1 server 5 100`)
	states := []string{"a", "a", "a=1", "a=1", "", "a"}
	for i, state := range states {
		release.Spans[i].TraceState().FromRaw(state)
	}
	for i, span := range analysis.Analyze(release).Spans {
		require.Equal(t, states[i] == "a", slices.Contains(span.Violations, "invalid_tracestate"), i)
	}
}

// Well-known attributes of another type than the conventions'. An empty value says nothing.
func TestWrongAttributeTypes(t *testing.T) {
	values := map[string]func(pcommon.Value){
		"text":   func(v pcommon.Value) { v.SetStr("200") },
		"int":    func(v pcommon.Value) { v.SetInt(200) },
		"double": func(v pcommon.Value) { v.SetDouble(200) },
		"bool":   func(v pcommon.Value) { v.SetBool(true) },
		"bytes":  func(v pcommon.Value) { v.SetEmptyBytes() },
		"list":   func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr("200") },
		"map":    func(v pcommon.Value) { v.SetEmptyMap() },
		"empty":  func(pcommon.Value) {},
	}
	for want, keys := range map[string][]string{
		"int": {
			"http.response.status_code", "http.status_code", "server.port", "net.peer.port", "client.port", "network.peer.port",
			"http.request.body.size", "http.response.body.size", "http.request.resend_count", "rpc.grpc.status_code",
			"db.response.returned_rows", "messaging.batch.message_count", "thread.id",
		},
		"text": {
			"http.request.method", "http.method", "http.route", "url.full", "http.url", "url.path", "server.address", "net.peer.name",
			"db.system.name", "db.system", "db.query.text", "db.response.status_code", "messaging.system", "rpc.system", "rpc.method",
			"rpc.response.status_code", "network.protocol.version", "error.type", "service.peer.name", "session.id", "user.id",
		},
		"": {"component", "peer.hostname", "http.request.header.accept", "status_code", "business.order", "http.response.status_code2"},
	} {
		for _, key := range keys {
			for kind, set := range values {
				release := treetest.Release(t, "a 1 - server 5 100")
				set(release.Spans[0].Attributes().PutEmpty(key))
				got := analysis.Analyze(release).Spans[0].Violations
				if want == "" || kind == want || kind == "empty" {
					require.Empty(t, got, "%s is a %s", key, kind)
				} else {
					require.Equal(t, []string{"wrong_attribute_type"}, got, "%s is a %s", key, kind)
				}
			}
		}
	}
	for _, key := range []string{
		"service.version", "service.namespace", "service.instance.id", "deployment.environment.name", "deployment.environment",
	} {
		release := treetest.Release(t, "a 1 - server 5 100")
		release.Spans[0].Resource.Attributes().PutStr(key, "1")
		require.Empty(t, analysis.Analyze(release).Spans[0].Violations, key)
		release.Spans[0].Resource.Attributes().PutInt(key, 1)
		require.Equal(t, []string{"wrong_attribute_type"}, analysis.Analyze(release).Spans[0].Violations, key)
	}
}

// In any order the attributes of a span, of its resource, events and links break the same rules.
func TestViolationsInAnyOrderOfAttributes(t *testing.T) {
	type attribute struct {
		key string
		set func(pcommon.Value)
	}
	text := func(s string) func(pcommon.Value) { return func(v pcommon.Value) { v.SetStr(s) } }
	number := func(v pcommon.Value) { v.SetInt(7) }
	large := strings.Repeat("v", conventions.MaxAttributeBytes+1)
	pool := []attribute{
		{"", text("x")},
		{"", number},
		{"k", text("first")},
		{"k", number},
		{"k", text(large)},
		{"list", func(v pcommon.Value) { nest(v, 65) }},
		{"http.request.method", text("GET")},
		{"http.request.method", number},
		{"http.response.status_code", number},
		{"http.response.status_code", text("200")},
		{"server.port", text("443")},
		{"server.port", number},
		{"db.system.name", func(pcommon.Value) {}},
		{"db.system.name", func(v pcommon.Value) { v.SetBool(true) }},
		{"service.version", text("1")},
		{"service.version", number},
	}
	seen := make(map[string]int)
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		release := treetest.Release(t, "a 1 - server 5 100")
		span := release.Spans[0]
		chosen := make([][]attribute, 4)
		for i := range chosen {
			for range r.IntN(5) {
				chosen[i] = append(chosen[i], pool[r.IntN(len(pool))])
			}
		}
		places := []pcommon.Map{
			span.Attributes(), span.Resource.Attributes(), addEvent(span, 6).Attributes(), addLinks(span, 1).Attributes(),
		}
		violations := func() string {
			for i, place := range places {
				r.Shuffle(len(chosen[i]), func(a, b int) { chosen[i][a], chosen[i][b] = chosen[i][b], chosen[i][a] })
				var builder xpdata.MapBuilder
				for _, a := range chosen[i] {
					a.set(builder.AppendEmpty(a.key))
				}
				builder.UnsafeIntoMap(place)
			}
			return strings.Join(analysis.Analyze(release).Spans[0].Violations, " ")
		}
		want := violations()
		for range 5 {
			require.Equal(t, want, violations(), "seed %d", seed)
		}
		for name := range strings.FieldsSeq(want) {
			seen[name]++
		}
	}
	for _, name := range []string{
		"deep_nesting", "duplicate_attribute_key", "empty_attribute_key", "oversize_attribute", "wrong_attribute_type",
	} {
		require.Greater(t, seen[name], 50, name)
		require.Less(t, seen[name], 500, name)
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

// A request can hold a resource of many attributes, and many scopes below it. To find that so many keys are all different takes
// memory, which tells how often they were read.
func TestResourceOfManyScopesIsReadOnce(t *testing.T) {
	const scopes = 200
	allocations := func(attributes int) float64 {
		release := treetest.Release(t, strings.Repeat("a 1 - server 5 100\n", scopes))
		for i := range attributes {
			release.Spans[0].Resource.Attributes().PutInt("key"+strconv.Itoa(i), 1)
		}
		for i := range release.Spans {
			release.Spans[i].Scope = pcommon.NewInstrumentationScope()
			release.Spans[i].Scope.SetName("scope" + strconv.Itoa(i))
		}
		return testing.AllocsPerRun(5, func() { analysis.Analyze(release) })
	}
	require.Less(t, allocations(100)-allocations(1), float64(scopes))
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
