package tracerow

import (
	"slices"
	"strconv"

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

// unknownKinds is the bit of all kinds that the protocol does not know yet.
const unknownKinds = 1 << 7

// kindBit is the bit of a span kind in Row.Kinds.
func kindBit(kind ptrace.SpanKind) uint8 {
	if kind < 0 || kind > 6 {
		return unknownKinds
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
			r.AddAlias(service)
		}
	}
}

// AddAlias adds a sender's name to Aliases where it is none of Services.
func (r *Row) AddAlias(service string) {
	if _, found := slices.BinarySearch(r.Services, service); found {
		return
	}
	if at, found := slices.BinarySearch(r.Aliases, service); !found {
		r.Aliases = slices.Insert(r.Aliases, at, service)
	}
}

// Judge says what the row says of the conditions (tracestore.Filter.Judge).
func (r *Row) Judge(filter *tracestore.Filter) tracestore.Verdict { return r.JudgeWith(filter, nil) }

// JudgeWith is Judge with what somebody else knows of those of the filter's tokens that the row does not: whether they may occur.
func (r *Row) JudgeWith(filter *tracestore.Filter, may func(token int) bool) tracestore.Verdict {
	tokens := filter.Tokens()
	return filter.Judge(&tracestore.Facts{
		Row: &r.Summary, LongestSpan: &r.LongestSpan,
		Token: func(i int) tracestore.Verdict {
			verdict := r.has(&tokens[i])
			if verdict == tracestore.Maybe && may != nil && !may(i) {
				return tracestore.No
			}
			return verdict
		},
	})
}

// has says whether the token occurs: Maybe where it is not Exact.
func (r *Row) has(token *tracestore.Token) tracestore.Verdict {
	occurs := false
	switch token.Kind {
	case tracestore.TokenService:
		_, normalised := slices.BinarySearch(r.Services, token.Value)
		_, alias := slices.BinarySearch(r.Aliases, token.Value)
		occurs = normalised || alias
	case tracestore.TokenSpanKind:
		bit := kindBit(parseKind(token.Value))
		if occurs = r.Kinds&bit != 0; occurs && bit == unknownKinds {
			return tracestore.Maybe
		}
	case tracestore.TokenFailed:
		occurs = token.Value == "true" && r.Failed || token.Value == "false" && r.Fine
	default:
		return tracestore.Maybe
	}
	if occurs {
		return tracestore.Yes
	}
	return tracestore.No
}

// Exact says whether a row always knows of the token.
func Exact(token tracestore.Token) bool {
	switch token.Kind {
	case tracestore.TokenService, tracestore.TokenFailed:
		return true
	case tracestore.TokenSpanKind:
		return kindBit(parseKind(token.Value)) != unknownKinds
	}
	return false
}

func parseKind(text string) ptrace.SpanKind {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return -1
	}
	return ptrace.SpanKind(n)
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
		r.AddAlias(name)
	}
	r.Kinds |= next.Kinds
	r.Failed = r.Failed || next.Failed
	r.Fine = r.Fine || next.Fine
	r.Rooted = r.Rooted || next.Rooted
	r.LongestSpan = max(r.LongestSpan, next.LongestSpan)
}
