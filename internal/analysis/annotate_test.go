package analysis_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// annotations writes a span's attributes under the prefix, without it, in their order.
func annotations(attrs pcommon.Map) []string {
	var out []string
	for key, value := range attrs.All() {
		if name, ok := strings.CutPrefix(key, conventions.Prefix); ok {
			out = append(out, name+"="+value.AsString())
		}
	}
	return out
}

func explain(release *tracetree.Release) {
	analysis.Annotate(release, analysis.Analyze(release))
}

const shop = `
	shop   1 - server   0 100
	shop   2 1 client   10 60  error
	orders 3 2 server   20 50  error
	orders 4 3 internal 30 45  error exception=LookupError
	shop   5 1 client   70 90  peer.service=bank
	-      6 5 internal 80 80`

func TestAnnotateWhole(t *testing.T) {
	release := treetest.Release(t, shop)
	release.Spans[1].Attributes().PutStr("user", "kept")
	explain(release)

	require.Equal(t, []string{
		"span_count=6", "service_count=3", "error_count=3", "duration=100",
		`services=["orders","shop","unknown_service"]`,
		"bottleneck.service=shop", "bottleneck.operation=op1", "bottleneck.span_id=0000000000000001", "bottleneck.share=0.3",
		"entry.service=shop", "entry.operation=op1", "category=service_call",
		"self_time=30", "critical_path_time=30", "bottleneck=0.3", `violations=["missing_time"]`,
	}, annotations(release.Spans[0].Attributes()))
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=op1", "category=service_call", "self_time=20", "critical_path_time=20",
	}, annotations(release.Spans[1].Attributes()))
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=op1", "parent.service=shop", "parent.operation=op2",
		"category=service_call", "self_time=15", "critical_path_time=15",
	}, annotations(release.Spans[2].Attributes()))
	origin := annotations(release.Spans[3].Attributes())
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=op1", "category=internal", "self_time=15", "critical_path_time=15",
		"error.origin=true",
	}, origin[:6])
	require.Regexp(t, "^error.fingerprint=[0-9a-f]{16}$", origin[6])
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=op1", "category=service_call", "self_time=20", "critical_path_time=20",
	}, annotations(release.Spans[4].Attributes()), "answered by another service: no virtual peer")
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=op1", "parent.service=shop", "parent.operation=op5",
		"service=unknown_service", "category=internal", `violations=["missing_service_name"]`,
	}, annotations(release.Spans[5].Attributes()))

	value, ok := release.Spans[1].Attributes().Get("user")
	require.True(t, ok)
	require.Equal(t, "kept", value.Str())
}

// The services of a trace may be a larger attribute than is usual: that is no fault of a sender's.
func TestAnnotateManyServicesAgain(t *testing.T) {
	var spans strings.Builder
	for i := range 300 {
		fmt.Fprintf(&spans, "%s%d %x - internal 5 100\n", strings.Repeat("s", 250), i, i+1)
	}
	release := treetest.Release(t, spans.String())
	explain(release)
	want := annotations(release.Spans[0].Attributes())
	explain(release)
	require.Equal(t, want, annotations(release.Spans[0].Attributes()))
}

func TestAnnotateSkewViolationsAndTimes(t *testing.T) {
	release := treetest.Release(t, `
		a 1 9 client   1000 1010 server.address=b server.port=80
		b 2 1 server   1 8
		b 2 1 server   1 9`)
	release.Spans[1].Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr("oversize_attribute")
	explain(release)

	root := annotations(release.Spans[0].Attributes())
	require.Contains(t, root, "missing_parents=1")
	require.Contains(t, root, "start=1000")
	require.Contains(t, root, "span_count=3")
	require.Contains(t, annotations(release.Spans[1].Attributes()), "clock_skew=1000")
	require.Contains(t, annotations(release.Spans[1].Attributes()), `violations=["oversize_attribute"]`)
	require.Equal(t, []string{
		"entry.service=a", "entry.operation=op1", "category=service_call", `violations=["conflicting_span_id"]`,
	}, annotations(release.Spans[2].Attributes()))
	require.Equal(t, pcommon.Timestamp(1), release.Spans[1].StartTimestamp(), "the sender's times stay")
}

func TestAnnotateReplacesWhatStands(t *testing.T) {
	fresh, stale := treetest.Release(t, shop), treetest.Release(t, shop)
	for _, s := range stale.Spans {
		for _, key := range []string{
			conventions.AttrSpanCount, conventions.AttrServices, conventions.AttrBottleneck, conventions.AttrEntryService,
			conventions.AttrParentService, conventions.AttrService, conventions.AttrPeerService, conventions.AttrSelfTime,
			conventions.AttrCriticalPathTime, conventions.AttrErrorOrigin, conventions.AttrErrorFingerprint,
			conventions.AttrClockSkew, conventions.AttrMissingParents, conventions.AttrOperation, conventions.AttrPeerKind,
			conventions.AttrBottleneckService, conventions.AttrCategory, conventions.AttrStart,
		} {
			s.Attributes().PutStr(key, "stale")
		}
	}
	explain(fresh)
	explain(stale)
	for i := range fresh.Spans {
		require.Equal(t, annotations(fresh.Spans[i].Attributes()), annotations(stale.Spans[i].Attributes()))
	}
}

// Of a release that is not whole, what assembly wrote stands; there is no critical path.
func TestAnnotateLateFragment(t *testing.T) {
	release := treetest.Release(t, `
		orders 3 2 server   20 50
		orders 4 3 internal 30 45
		orders 5 3 client   31 32 server.address=stock
		mailer 6 9 consumer 40 41`)
	release.Assembly = tracetree.Assembly{Outcome: conventions.OutcomeLate, Version: 2}
	first := release.Spans[0].Attributes()
	first.PutStr(conventions.AttrOutcome, conventions.OutcomeLate)
	first.PutInt(conventions.AttrVersion, 2)
	first.PutInt(conventions.AttrMissingParents, 1)
	first.PutStr(conventions.AttrParentService, "shop")
	first.PutStr(conventions.AttrParentOperation, "op2")
	for _, s := range release.Spans[:3] {
		s.Attributes().PutStr(conventions.AttrEntryService, "shop")
		s.Attributes().PutStr(conventions.AttrEntryOperation, "GET /")
	}
	release.Spans[2].Attributes().PutStr(conventions.AttrChildService, "stock")

	r := analysis.Analyze(release)
	require.Equal(t, "shop", r.EntryService)
	require.Equal(t, "GET /", r.EntryOperation)
	require.Equal(t, 1, r.MissingParents, "2 was released before")
	require.Empty(t, r.Path)
	require.Equal(t, -1, r.Bottleneck)
	require.Equal(t, "shop", r.Spans[0].ParentService)

	analysis.Annotate(release, r)
	require.Equal(t, []string{
		"assembly.outcome=late", "assembly.version=2",
		"span_count=4", "service_count=2", "missing_parents=1", "start=20", "duration=30", `services=["mailer","orders"]`,
		"entry.service=shop", "entry.operation=GET /", "parent.service=shop", "parent.operation=op2",
		"category=service_call", "self_time=15",
	}, annotations(release.Spans[0].Attributes()))
	require.Equal(t, []string{
		"child.service=stock", "entry.service=shop", "entry.operation=GET /", "category=service_call", "self_time=1",
	}, annotations(release.Spans[2].Attributes()), "its child was released before: no virtual peer")
	require.Equal(t, []string{
		"entry.service=shop", "entry.operation=GET /", "category=messaging", "self_time=1",
	}, annotations(release.Spans[3].Attributes()), "filled in")
}

// What concerns the release stands where assembly put its version, whatever analysis takes for the entry.
func TestAnnotateHolder(t *testing.T) {
	release := treetest.Release(t, `
		a 1 - server   0 100
		a 2 - internal 10 20`)
	release.Assembly = tracetree.Assembly{Outcome: conventions.OutcomeComplete, Version: 1}
	release.Spans[1].Attributes().PutInt(conventions.AttrVersion, 1)
	explain(release)
	require.NotContains(t, annotations(release.Spans[0].Attributes()), "span_count=2")
	require.Contains(t, annotations(release.Spans[1].Attributes()), "span_count=2")
}

// A joined trace is explained afresh, and assembly's word stands once.
func TestAnnotateJoined(t *testing.T) {
	early := treetest.Traces(t, `
		a 3 2 internal 30 40
		a 2 1 internal 20 50`)
	late := treetest.Traces(t, `
		a 1 - server   0 100
		a 4 9 internal 60 70`)
	set := func(td ptrace.Traces, version int64, outcome string) {
		attrs := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		attrs.PutInt(conventions.AttrVersion, version)
		attrs.PutStr(conventions.AttrOutcome, outcome)
	}
	set(early, 1, conventions.OutcomeQuiet)
	set(late, 2, conventions.OutcomeLate)
	for _, key := range append(conventions.Repairs[:len(conventions.Repairs):len(conventions.Repairs)], conventions.AttrOrphan) {
		late.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(key, "a")
	}
	annotate(early)
	annotate(late)

	td, release := tracetree.Join([]ptrace.Traces{early, late})
	explain(&release)
	for _, s := range release.Spans {
		got := annotations(s.Attributes())
		if s.SpanID() == treetest.ID(1) {
			require.Equal(t, []string{
				"assembly.outcome=quiet", "assembly.version=2",
				"span_count=4", "service_count=1", "missing_parents=1", "duration=100", `services=["a"]`,
				"bottleneck.service=a", "bottleneck.operation=op1", "bottleneck.span_id=0000000000000001",
				"bottleneck.share=0.7", "entry.service=a", "entry.operation=op1", "category=service_call", "self_time=70",
				"critical_path_time=70", "bottleneck=0.7", `violations=["missing_time"]`,
			}, got)
			continue
		}
		require.Equal(t, "entry.service=a", got[0])
		require.Equal(t, "entry.operation=op1", got[1])
		for _, word := range got {
			require.False(t, strings.HasPrefix(word, "assembly.") || strings.HasPrefix(word, "span_count"), "%s", word)
		}
	}
	once := marshal(t, td)
	require.NotContains(t, once, conventions.AttrRepaired)
	explain(&release)
	require.Equal(t, once, marshal(t, td))
}

// An orphan is a span whose parent is not in its whole trace, or of which trace_assembly says so. A client span that spans of
// other releases answer has no virtual peer.
func TestAnnotateOrphans(t *testing.T) {
	orphans := func(release *tracetree.Release) (ids []string) {
		explain(release)
		for _, s := range release.Spans {
			if _, ok := s.Attributes().Get(conventions.AttrOrphan); ok {
				ids = append(ids, s.SpanID().String()[15:])
			}
		}
		return ids
	}
	spans := `
		a 1 - server 0 100
		a 2 9 client 1 90 server.address=b
		a 3 9 client 1 90 server.address=b
		a 4 1 client 2 80`
	require.Equal(t, []string{"2", "3"}, orphans(treetest.Release(t, spans)))

	part := treetest.Release(t, spans)
	part.Assembly = tracetree.Assembly{Outcome: conventions.OutcomePart, Version: 1}
	part.Spans[1].Attributes().PutBool(conventions.AttrOrphan, true)
	part.Spans[1].Attributes().PutBool(conventions.AttrAnswered, true)
	require.Equal(t, []string{"2"}, orphans(part))
	require.NotContains(t, annotations(part.Spans[1].Attributes()), "peer.service=b")
	require.Contains(t, annotations(part.Spans[2].Attributes()), "peer.service=b")
}

func TestFingerprint(t *testing.T) {
	// fingerprint of a span that says word.
	fingerprint := func(words ...string) string {
		r := analysis.Analyze(treetest.Release(t, "a 1 - server 0 100 error "+strings.Join(words, " ")))
		require.Len(t, r.Spans[0].Fingerprint, 16)
		return r.Spans[0].Fingerprint
	}
	same := fingerprint("error=order_4711_of_8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e_has_no_shelf", "exception=LookupError")
	require.Equal(t, same,
		fingerprint("error=order_12_of_00000000-0000-4000-8000-000000000000_has_no_shelf", "exception=LookupError"))
	different := []string{
		same,
		fingerprint("error=order_12_has_no_shelf", "exception=LookupError"),
		fingerprint("error=order_4711_of_8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e_has_no_shelf", "exception=KeyError"),
		fingerprint("error=order_4711_of_8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e_has_no_shelf", "exception=LookupError", "name=x"),
		fingerprint(),
		fingerprint("http.response.status_code=500"),
		fingerprint("http.response.status_code=503"),
		fingerprint("error.type=timeout"),
	}
	slices.Sort(different)
	require.Len(t, slices.Compact(different), 8)
	require.Equal(t, fingerprint("http.response.status_code=503"), fingerprint("http.status_code=503"), "the previous name")
	require.Equal(t, fingerprint("exception=B"), fingerprint("exception=A", "exception=B"), "the last exception ended the span")
	require.Equal(t, fingerprint("error.type=B"), fingerprint("exception=B"))
}

func TestFingerprintOfALongMessage(t *testing.T) {
	release := treetest.Release(t, "a 1 - server 0 100 error")
	release.Spans[0].Status().SetMessage(strings.Repeat("x", 1<<20))
	r := analysis.Analyze(release)
	require.Len(t, r.Spans[0].Fingerprint, 16)
}

func TestExtremeTimes(t *testing.T) {
	release := treetest.Release(t, fmt.Sprintf(`
		a 1 - client 1 %d
		b 2 1 server 5 %d`, int64(math.MaxInt64), int64(math.MaxInt64)))
	r := analysis.Analyze(release)
	require.Equal(t, int64(math.MaxInt64-1), r.RootDuration)
	require.Equal(t, "1 1-5, 2 5-9223372036854775807", pathOf(r))
	require.Equal(t, int64(4), r.Spans[0].SelfTime)
}
