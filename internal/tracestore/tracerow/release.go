package tracerow

import (
	"encoding/hex"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Explained is the release with its annotations: the release itself where trace_analysis stood before, else a copy that is
// analysed here, without the spans that repeat another one. The release is not changed; the copy refers to its resources.
func Explained(release *tracetree.Release) *tracetree.Release {
	if _, ok := annotated(release); ok {
		return release
	}
	copied := *release
	copied.Spans = slices.Clone(release.Spans)
	for i := range copied.Spans {
		span := ptrace.NewSpan()
		copied.Spans[i].CopyTo(span)
		copied.Spans[i].Span = span
	}
	result := analysis.Analyze(&copied)
	if result.SpanCount != len(copied.Spans) {
		nodes := result.Tree.Nodes
		copied.Spans = copied.Spans[:0]
		for i := range nodes {
			if !nodes[i].Duplicate {
				copied.Spans = append(copied.Spans, nodes[i].Span)
			}
		}
		result = analysis.Analyze(&copied)
	}
	analysis.Annotate(&copied, result)
	return &copied
}

// FromRelease makes the row of a trace of which only this release is known, which is Explained. The release is not changed and
// not kept.
func FromRelease(release *tracetree.Release) Row {
	row := Row{}
	if root, ok := annotated(release); ok {
		row.Summary = readSummary(release, root)
	} else {
		row.Summary = summarize(release)
	}
	row.addSpans(release.Spans)
	return row
}

// FromTrace makes the row of a trace of several releases, given in the order version, part, time of writing. It takes the
// releases over.
func FromTrace(releases []ptrace.Traces) Row {
	row, _ := Join(releases)
	return row
}

// Join is FromTrace, and answers the spans of all releases too (tracetree.Join).
func Join(releases []ptrace.Traces) (Row, []tracetree.Span) {
	td, release := tracetree.Join(releases)
	row := Row{Summary: summarize(&release)}
	row.addSpans(release.Spans)
	_ = td // the release refers into it
	return row, release.Spans
}

// annotated finds the span that carries the release's summary. It stands on the root, so roots are looked at first. A count
// that is not the release's own was written before the spans were assembled, or for another part of them.
func annotated(release *tracetree.Release) (pcommon.Map, bool) {
	for _, wantRoot := range []bool{true, false} {
		for i := range release.Spans {
			span := &release.Spans[i]
			if span.ParentSpanID().IsEmpty() != wantRoot {
				continue
			}
			attrs := span.Attributes()
			if _, ok := attrs.Get(conventions.AttrSpanCount); ok {
				return attrs, conventions.Int(attrs, conventions.AttrSpanCount) == int64(len(release.Spans))
			}
		}
	}
	return pcommon.Map{}, false
}

func readSummary(release *tracetree.Release, root pcommon.Map) tracestore.Summary {
	summary := tracestore.Summary{
		TraceID:        release.TraceID,
		Entry:          tracestore.Operation{Service: conventions.Str(root, conventions.AttrEntryService), Operation: conventions.Str(root, conventions.AttrEntryOperation)},
		Start:          conventions.Int(root, conventions.AttrStart),
		Duration:       conventions.Int(root, conventions.AttrDuration),
		SpanCount:      int(conventions.Int(root, conventions.AttrSpanCount)),
		ErrorCount:     int(conventions.Int(root, conventions.AttrErrorCount)),
		MissingParents: int(conventions.Int(root, conventions.AttrMissingParents)),
		Outcome:        release.Outcome,
		Version:        release.Version,
	}
	if v, ok := root.Get(conventions.AttrServices); ok && v.Type() == pcommon.ValueTypeSlice {
		for _, service := range v.Slice().All() {
			summary.Services = append(summary.Services, service.AsString())
		}
		slices.Sort(summary.Services) // as written already, unless somebody else wrote it
	}
	if id, err := hex.DecodeString(conventions.Str(root, conventions.AttrBottleneckSpanID)); err == nil && len(id) == len(pcommon.SpanID{}) {
		summary.Bottleneck = &tracestore.Bottleneck{
			SpanID:    pcommon.SpanID(id),
			Service:   conventions.Str(root, conventions.AttrBottleneckService),
			Operation: conventions.Str(root, conventions.AttrBottleneckOperation),
			Share:     doubleAttr(root, conventions.AttrBottleneckShare),
		}
	}
	return summary
}

func summarize(release *tracetree.Release) tracestore.Summary {
	result := analysis.Analyze(release)
	summary := tracestore.Summary{
		TraceID:        release.TraceID,
		Entry:          tracestore.Operation{Service: result.EntryService, Operation: result.EntryOperation},
		Start:          result.Start,
		Duration:       result.Duration,
		SpanCount:      result.SpanCount,
		ErrorCount:     result.ErrorCount,
		Services:       result.Services,
		Outcome:        release.Outcome,
		Version:        release.Version,
		MissingParents: result.MissingParents,
	}
	if at := result.Bottleneck; at >= 0 {
		summary.Bottleneck = &tracestore.Bottleneck{
			SpanID:    result.Tree.Nodes[at].SpanID(),
			Service:   result.Spans[at].Service,
			Operation: result.Spans[at].Operation,
			Share:     result.BottleneckShare,
		}
	}
	return summary
}

func doubleAttr(attrs pcommon.Map, key string) float64 {
	if v, ok := attrs.Get(key); ok && v.Type() == pcommon.ValueTypeDouble {
		return v.Double()
	}
	return 0
}
