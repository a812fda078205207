package tracerow

import (
	"encoding/hex"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/attributes"
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
			if count := find(attributes.List(attrs), conventions.AttrSpanCount); count != nil {
				return attrs, integer(count) == int64(len(release.Spans))
			}
		}
	}
	return pcommon.Map{}, false
}

// find is the first attribute of a key, nil where there is none.
func find(list []attributes.Attribute, key string) *attributes.Attribute {
	for i := range list {
		if list[i].Key() == key {
			return &list[i]
		}
	}
	return nil
}

func text(a *attributes.Attribute) string {
	if a.IsStr() {
		return a.Str()
	}
	return ""
}

func integer(a *attributes.Attribute) int64 {
	if a.IsInt() {
		return a.Int()
	}
	return 0
}

func readSummary(release *tracetree.Release, root pcommon.Map) tracestore.Summary {
	summary := tracestore.Summary{TraceID: release.TraceID, Outcome: release.Outcome, Version: release.Version}
	var bottleneck tracestore.Bottleneck
	id := ""
	list := attributes.List(root)
	for i := len(list) - 1; i >= 0; i-- { // of a key that repeats the first counts, as for pcommon.Map.Get
		a := &list[i]
		if !strings.HasPrefix(a.Key(), conventions.Prefix) {
			continue
		}
		switch a.Key() {
		case conventions.AttrEntryService:
			summary.Entry.Service = text(a)
		case conventions.AttrEntryOperation:
			summary.Entry.Operation = text(a)
		case conventions.AttrStart:
			summary.Start = integer(a)
		case conventions.AttrDuration:
			summary.Duration = integer(a)
		case conventions.AttrSpanCount:
			summary.SpanCount = int(integer(a))
		case conventions.AttrErrorCount:
			summary.ErrorCount = int(integer(a))
		case conventions.AttrMissingParents:
			summary.MissingParents = int(integer(a))
		case conventions.AttrServices:
			summary.Services = readServices(a.Value(root))
		case conventions.AttrBottleneckSpanID:
			id = text(a)
		case conventions.AttrBottleneckService:
			bottleneck.Service = text(a)
		case conventions.AttrBottleneckOperation:
			bottleneck.Operation = text(a)
		case conventions.AttrBottleneckShare:
			bottleneck.Share = 0
			if a.Type() == pcommon.ValueTypeDouble {
				bottleneck.Share = a.Double()
			}
		}
	}
	if len(id) == 2*len(bottleneck.SpanID) {
		if _, err := hex.Decode(bottleneck.SpanID[:], []byte(id)); err == nil {
			summary.Bottleneck = &bottleneck
		}
	}
	return summary
}

func readServices(v pcommon.Value) []string {
	if v.Type() != pcommon.ValueTypeSlice || v.Slice().Len() == 0 {
		return nil
	}
	services := make([]string, 0, v.Slice().Len())
	for _, service := range v.Slice().All() {
		services = append(services, service.AsString())
	}
	slices.Sort(services) // as written already, unless somebody else wrote it
	return services
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
