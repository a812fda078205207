package analysis

import (
	"encoding/hex"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/attributes"
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
	new(annotator).annotate(release, result)
}

// annotator writes on one span after the other.
type annotator struct {
	attributes.Appender

	attrs pcommon.Map // of the span, on which nothing stands that is written
}

func (a *annotator) annotate(release *tracetree.Release, result *Result) {
	for i := range result.Spans {
		a.span(release, result, i)
	}
	a.attrs = pcommon.Map{}
}

func (a *annotator) span(release *tracetree.Release, r *Result, i int) {
	n, s := &r.Tree.Nodes[i], &r.Spans[i]
	attrs := n.Attributes()
	a.attrs = attrs
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
		a.release(release, r)
	}
	a.putStr(conventions.AttrEntryService, entryService)
	a.putStr(conventions.AttrEntryOperation, entryOperation)
	a.putStr(conventions.AttrParentService, s.ParentService)
	a.putStr(conventions.AttrParentOperation, s.ParentOperation)
	a.putTrue(conventions.AttrOrphan, s.Orphan)
	a.putStr(conventions.AttrService, service)
	a.putStr(conventions.AttrOperation, operation)
	a.putStr(conventions.AttrPeerService, s.PeerService)
	a.putStr(conventions.AttrPeerKind, s.PeerKind)
	a.putStr(conventions.AttrCategory, s.Category)
	a.putInt(conventions.AttrSelfTime, s.SelfTime)
	a.putInt(conventions.AttrCriticalPathTime, s.CriticalPathTime)
	if i == r.Bottleneck {
		a.attrs.PutDouble(conventions.AttrBottleneck, r.BottleneckShare)
	}
	a.putTrue(conventions.AttrErrorOrigin, s.ErrorOrigin)
	a.putStr(conventions.AttrErrorFingerprint, s.Fingerprint)
	a.putInt(conventions.AttrClockSkew, n.Shift)
	a.putStrs(conventions.AttrViolations, s.Violations)
	if s.Weight != 1 {
		a.attrs.PutDouble(conventions.AttrWeight, s.Weight)
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

// releaseAnnotations is how many annotator.release writes at most.
const releaseAnnotations = 14

// release writes the release as a row of its own.
func (a *annotator) release(release *tracetree.Release, r *Result) {
	if release.Joined {
		a.putStr(conventions.AttrOutcome, release.Outcome)
		a.putInt(conventions.AttrVersion, int64(release.Version))
		a.putInt(conventions.AttrPart, int64(release.Part))
	}
	a.putInt(conventions.AttrSpanCount, int64(r.SpanCount))
	a.putInt(conventions.AttrServiceCount, int64(len(r.Services)))
	a.putInt(conventions.AttrErrorCount, int64(r.ErrorCount))
	a.putInt(conventions.AttrMissingParents, int64(r.MissingParents))
	a.putInt(conventions.AttrStart, r.Start)
	a.putInt(conventions.AttrDuration, r.Duration)
	a.putStrs(conventions.AttrServices, r.Services)
	if r.Bottleneck >= 0 {
		b := &r.Spans[r.Bottleneck]
		id := r.Tree.Nodes[r.Bottleneck].SpanID()
		a.putStr(conventions.AttrBottleneckService, b.Service)
		a.putStr(conventions.AttrBottleneckOperation, b.Operation)
		a.putStr(conventions.AttrBottleneckSpanID, hex.EncodeToString(id[:]))
		a.attrs.PutDouble(conventions.AttrBottleneckShare, r.BottleneckShare)
	}
}

// replaced says whether analysis writes the attribute itself. It knows all that annotator writes, which looks for no key.
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

func (a *annotator) putStr(key, value string) {
	if value != "" {
		a.AppendStr(a.attrs, key, value)
	}
}

func (a *annotator) putTrue(key string, value bool) {
	if value {
		a.attrs.PutBool(key, true)
	}
}

func (a *annotator) putInt(key string, value int64) {
	if value != 0 {
		a.AppendInt(a.attrs, key, value)
	}
}

func (a *annotator) putStrs(key string, values []string) {
	if len(values) > 0 {
		a.AppendStrs(a.attrs, key, values)
	}
}
