package insights

import (
	"encoding/hex"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/journeys"
	"github.com/tracewright/tracewright/internal/analysis/rootcause"
)

// Visit is one request of a journey.
type Visit = journeys.Visit

// Sample is what is kept of one trace. It refers to none of its spans.
type Sample struct {
	TraceID  string
	Trace    rootcause.Trace
	Visit    Visit
	Patterns []Pattern
}

// Pattern is one found in a trace.
type Pattern struct {
	Kind analysis.FindingKind
	// At is where to look, Callee what is called there.
	At, Callee Operation
	// Spans is how many make it.
	Spans int
	// Time is for how long the request waited for it and need not have, nanoseconds.
	Time       int64
	Confidence float64
	// Host and Shift are the name of a skewed host, and what was added to its times, nanoseconds.
	Host  string
	Shift int64
}

// maxPatterns is how many patterns of a trace are kept, those that cost most.
const maxPatterns = 20

// ReadVisit takes from an analysed trace what journeys need.
func ReadVisit(r *analysis.Result) Visit { return journeys.Read(r) }

// Read takes from an analysed trace what insights need.
func Read(r *analysis.Result) Sample {
	s := Sample{Trace: rootcause.Summarize(r), Visit: journeys.Read(r)}
	if r.Tree.Entry >= 0 {
		id := r.Tree.Nodes[r.Tree.Entry].TraceID()
		s.TraceID = hex.EncodeToString(id[:])
	}
	for _, f := range analysis.FindPatterns(r) {
		if len(s.Patterns) == maxPatterns {
			break
		}
		switch f.Kind {
		case analysis.FindingNPlusOne, analysis.FindingRepeatedQuery, analysis.FindingSerialCalls, analysis.FindingRetries,
			analysis.FindingMissingInstrumentation, analysis.FindingSkewedHost:
			s.Patterns = append(s.Patterns, readPattern(r, &f))
		}
	}
	return s
}

func readPattern(r *analysis.Result, f *analysis.Finding) Pattern {
	at, last := &r.Spans[f.At], f.Spans[len(f.Spans)-1]
	p := Pattern{
		Kind: f.Kind, At: Operation{at.Service, at.Operation}, Callee: callee(r, last), Spans: f.SpanCount, Time: f.CriticalPathTime,
		Confidence: f.Confidence,
	}
	if f.Kind == analysis.FindingSkewedHost {
		p.Host, p.Shift = analysis.HostOf(r.Tree.Nodes[f.Spans[0]].Resource), f.ClockShift
	}
	return p
}

// callee is what a call asks for.
func callee(r *analysis.Result, call int) Operation {
	if answer := analysis.AnswerOf(r.Tree, call); answer >= 0 {
		call = answer
	}
	s := &r.Spans[call]
	if s.PeerService == "" {
		return Operation{s.Service, s.Operation}
	}
	return Operation{s.PeerService, s.Operation}
}

// shows lists the samples for which more is not zero, those with the most first, of equals the first.
func shows(samples []Sample, more func(*Sample) float64) (ids []string, count int) {
	type shown struct {
		at   int
		much float64
	}
	var all []shown
	for i := range samples {
		if much := more(&samples[i]); much > 0 {
			all = append(all, shown{i, much})
		}
	}
	slices.SortStableFunc(all, func(a, b shown) int {
		switch {
		case a.much > b.much:
			return -1
		case a.much < b.much:
			return 1
		}
		return 0
	})
	for _, s := range all[:min(len(all), maxTraceIDs)] {
		ids = append(ids, samples[s.at].TraceID)
	}
	return ids, len(all)
}

// traces are what rootcause reads of the samples.
func traces(samples []Sample) []rootcause.Trace {
	list := make([]rootcause.Trace, len(samples))
	for i := range samples {
		list[i] = samples[i].Trace
	}
	return list
}

func share(part, all float64) float64 {
	if all <= 0 {
		return 0
	}
	return part / all
}
