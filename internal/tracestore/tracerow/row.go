package tracerow

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Row is one trace: its summary, and facts about all its spans together.
type Row struct {
	tracestore.Summary

	// Aliases are the sender's service names that are not among Summary.Services, which holds the normalised ones. Sorted.
	Aliases []string
	// Kinds has a bit for each span kind that occurs, see kindBit.
	Kinds uint8
	// Failed and Fine say whether there are spans with status Error, and others.
	Failed, Fine bool
	// Rooted says whether there is a span without a parent.
	Rooted bool
	// LongestSpan is the duration of the longest span, nanoseconds.
	LongestSpan int64
}

// kindBit is the bit of a span kind in Row.Kinds; kinds that the protocol does not know yet share the last one.
func kindBit(kind ptrace.SpanKind) uint8 {
	if kind < 0 || kind > 6 {
		return 1 << 7
	}
	return 1 << uint(kind)
}

// addSpans adds what the summary does not say about the spans. The summary stands.
func (r *Row) addSpans(spans []tracetree.Span) {
	var lastService string
	for i := range spans {
		span := &spans[i]
		r.Kinds |= kindBit(span.Kind())
		if span.Status().Code() == ptrace.StatusCodeError {
			r.Failed = true
		} else {
			r.Fine = true
		}
		if span.ParentSpanID().IsEmpty() {
			r.Rooted = true
		}
		r.LongestSpan = max(r.LongestSpan, int64(tracestore.SpanDuration(span.Span)))
		// Spans of one resource stand together: look its name up once.
		if i > 0 && span.Resource == spans[i-1].Resource {
			continue
		}
		if service := span.Service(); i == 0 || service != lastService {
			lastService = service
			r.addAlias(service)
		}
	}
}

func (r *Row) addAlias(service string) {
	if _, found := slices.BinarySearch(r.Services, service); found {
		return
	}
	if at, found := slices.BinarySearch(r.Aliases, service); !found {
		r.Aliases = slices.Insert(r.Aliases, at, service)
	}
}

// MayMatch says whether the trace can match: false is certain.
func (r *Row) MayMatch(query *tracestore.SearchQuery) bool {
	if !query.Trace.Match(&r.Summary) {
		return false
	}
	span := &query.Span
	if span.Service != "" && !slices.Contains(r.Services, span.Service) && !slices.Contains(r.Aliases, span.Service) {
		return false
	}
	if span.Kind != nil && r.Kinds&kindBit(*span.Kind) == 0 {
		return false
	}
	if span.Errors != nil && (*span.Errors && !r.Failed || !*span.Errors && !r.Fine) {
		return false
	}
	return span.MinDuration <= 0 || r.LongestSpan >= int64(span.MinDuration)
}

// Decides says whether MayMatch is the whole answer to the query, so that no span has to be looked at: without span
// conditions, or with a single one on which MayMatch is exact.
func Decides(query *tracestore.SearchQuery) bool {
	span := &query.Span
	if span.Empty() {
		return true
	}
	knownKind := span.Kind != nil && kindBit(*span.Kind) != 1<<7
	return span.Single() && (span.Service != "" || knownKind || span.Errors != nil || span.MinDuration > 0)
}

// Merge adds a further release to the row of a trace that is too large to be analysed again for each of its releases:
// counts add up, the extent and the services unite, a root's entry counts before that of a fragment, and the bottleneck
// stays what it was. Spans that stand in both count twice.
func (r *Row) Merge(next *Row) {
	end := max(r.Start+r.Duration, next.Start+next.Duration)
	r.Start = min(r.Start, next.Start)
	r.Duration = end - r.Start
	r.SpanCount += next.SpanCount
	r.ErrorCount += next.ErrorCount
	r.MissingParents += next.MissingParents
	if r.Entry == (tracestore.Operation{}) || next.Rooted && !r.Rooted {
		r.Entry = next.Entry
	}
	late := next.Outcome == conventions.OutcomeLate
	if r.Outcome == "" || !late && (r.Outcome == conventions.OutcomeLate || next.Version >= r.Version) {
		r.Outcome = next.Outcome
	}
	r.Version = max(r.Version, next.Version)
	if r.Bottleneck == nil {
		r.Bottleneck = next.Bottleneck
	}
	names := slices.Concat(r.Aliases, next.Aliases)
	r.Services = slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.Services, next.Services))))
	r.Aliases = nil
	for _, name := range names {
		r.addAlias(name)
	}
	r.Kinds |= next.Kinds
	r.Failed = r.Failed || next.Failed
	r.Fine = r.Fine || next.Fine
	r.Rooted = r.Rooted || next.Rooted
	r.LongestSpan = max(r.LongestSpan, next.LongestSpan)
}
