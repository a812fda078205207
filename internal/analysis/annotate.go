package analysis

import (
	"encoding/hex"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Annotate writes a result on the spans of its release, under the names and by the rules of package conventions: times and
// durations as int64 nanoseconds, nothing where it would be zero or false. What concerns the release as a whole goes on the span on
// which trace_assembly wrote its version, else on the entry root.
//
// Annotations that analysis computes and that stand on the spans already are replaced. Of a release that holds only a part of
// its trace, entry, parent and missing parents stay as trace_assembly wrote them. In a joined trace the assembly's annotations of
// the single releases give way to those of the joined one. To annotate again changes nothing, not even the order of attributes.
//
// The result must be that of the release. The spans must not be read-only.
func Annotate(release *tracetree.Release, result *Result) {
	for i := range result.Spans {
		annotateSpan(release, result, i)
	}
}

func annotateSpan(release *tracetree.Release, r *Result, i int) {
	n, s := &r.Tree.Nodes[i], &r.Spans[i]
	attrs := n.Attributes()
	entryService, entryOperation := r.EntryService, r.EntryOperation
	if r.reads[i].annotated {
		if service := conventions.Str(attrs, conventions.AttrEntryService); service != "" && !release.Whole() {
			entryService, entryOperation = service, conventions.Str(attrs, conventions.AttrEntryOperation)
		}
		joined := release.Joined
		attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return replaced(key, joined) })
	}
	service, operation := "", ""
	if s.renamed {
		service = s.Service
	}
	if s.Operation != n.Name() {
		operation = s.Operation
	}
	// Room for what follows, made once: to make it costs more than all else here.
	room := attrs.Len() + count(entryService != "", entryOperation != "", s.ParentService != "", s.ParentOperation != "", s.Orphan,
		service != "", operation != "", s.PeerService != "", s.PeerKind != "", s.Category != "", s.SelfTime != 0, s.CriticalPathTime != 0,
		i == r.Bottleneck, s.ErrorOrigin, s.Fingerprint != "", n.Shift != 0, s.Violations != nil, s.Weight != 1)
	if i == r.holder {
		room += releaseAnnotations
	}
	attrs.EnsureCapacity(room)
	if i == r.holder {
		annotateRelease(release, r, attrs)
	}
	putStr(attrs, conventions.AttrEntryService, entryService)
	putStr(attrs, conventions.AttrEntryOperation, entryOperation)
	putStr(attrs, conventions.AttrParentService, s.ParentService)
	putStr(attrs, conventions.AttrParentOperation, s.ParentOperation)
	putTrue(attrs, conventions.AttrOrphan, s.Orphan)
	putStr(attrs, conventions.AttrService, service)
	putStr(attrs, conventions.AttrOperation, operation)
	putStr(attrs, conventions.AttrPeerService, s.PeerService)
	putStr(attrs, conventions.AttrPeerKind, s.PeerKind)
	putStr(attrs, conventions.AttrCategory, s.Category)
	putInt(attrs, conventions.AttrSelfTime, s.SelfTime)
	putInt(attrs, conventions.AttrCriticalPathTime, s.CriticalPathTime)
	if i == r.Bottleneck {
		attrs.PutDouble(conventions.AttrBottleneck, r.BottleneckShare)
	}
	putTrue(attrs, conventions.AttrErrorOrigin, s.ErrorOrigin)
	putStr(attrs, conventions.AttrErrorFingerprint, s.Fingerprint)
	putInt(attrs, conventions.AttrClockSkew, n.Shift)
	putStrs(attrs, conventions.AttrViolations, s.Violations)
	if s.Weight != 1 {
		attrs.PutDouble(conventions.AttrWeight, s.Weight)
	}
}

func count(given ...bool) int {
	n := 0
	for _, is := range given {
		if is {
			n++
		}
	}
	return n
}

// releaseAnnotations is how many annotateRelease writes at most.
const releaseAnnotations = 14

// annotateRelease writes the release as a row of its own.
func annotateRelease(release *tracetree.Release, r *Result, attrs pcommon.Map) {
	if release.Joined {
		putStr(attrs, conventions.AttrOutcome, release.Outcome)
		putInt(attrs, conventions.AttrVersion, int64(release.Version))
		putInt(attrs, conventions.AttrPart, int64(release.Part))
	}
	putInt(attrs, conventions.AttrSpanCount, int64(r.SpanCount))
	putInt(attrs, conventions.AttrServiceCount, int64(len(r.Services)))
	putInt(attrs, conventions.AttrErrorCount, int64(r.ErrorCount))
	putInt(attrs, conventions.AttrMissingParents, int64(r.MissingParents))
	putInt(attrs, conventions.AttrStart, r.Start)
	putInt(attrs, conventions.AttrDuration, r.Duration)
	putStrs(attrs, conventions.AttrServices, r.Services)
	if r.Bottleneck >= 0 {
		b := &r.Spans[r.Bottleneck]
		id := r.Tree.Nodes[r.Bottleneck].SpanID()
		putStr(attrs, conventions.AttrBottleneckService, b.Service)
		putStr(attrs, conventions.AttrBottleneckOperation, b.Operation)
		attrs.PutStr(conventions.AttrBottleneckSpanID, hex.EncodeToString(id[:]))
		attrs.PutDouble(conventions.AttrBottleneckShare, r.BottleneckShare)
	}
}

// replaced says whether analysis writes the attribute itself.
func replaced(key string, joined bool) bool {
	switch key {
	case conventions.AttrSpanCount, conventions.AttrServiceCount, conventions.AttrErrorCount,
		conventions.AttrMissingParents, conventions.AttrStart, conventions.AttrDuration, conventions.AttrServices,
		conventions.AttrBottleneckService, conventions.AttrBottleneckOperation, conventions.AttrBottleneckSpanID,
		conventions.AttrBottleneckShare, conventions.AttrEntryService, conventions.AttrEntryOperation,
		conventions.AttrParentService, conventions.AttrParentOperation, conventions.AttrOrphan, conventions.AttrService,
		conventions.AttrOperation, conventions.AttrPeerService, conventions.AttrPeerKind, conventions.AttrCategory,
		conventions.AttrSelfTime, conventions.AttrCriticalPathTime, conventions.AttrBottleneck,
		conventions.AttrErrorOrigin, conventions.AttrErrorFingerprint, conventions.AttrClockSkew,
		conventions.AttrViolations, conventions.AttrWeight:
		return true
	case conventions.AttrOutcome, conventions.AttrVersion, conventions.AttrPart:
		return joined
	}
	return joined && slices.Contains(conventions.Repairs, key) // the tree knows it now
}

func putStr(attrs pcommon.Map, key, value string) {
	if value != "" {
		attrs.PutStr(key, value)
	}
}

func putTrue(attrs pcommon.Map, key string, value bool) {
	if value {
		attrs.PutBool(key, true)
	}
}

func putInt(attrs pcommon.Map, key string, value int64) {
	if value != 0 {
		attrs.PutInt(key, value)
	}
}

func putStrs(attrs pcommon.Map, key string, values []string) {
	if len(values) == 0 {
		return
	}
	list := attrs.PutEmptySlice(key)
	list.EnsureCapacity(len(values))
	for _, v := range values {
		list.AppendEmpty().SetStr(v)
	}
}
