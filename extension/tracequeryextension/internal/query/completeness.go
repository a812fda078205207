package query

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Wholeness says whether all of a trace is there, as far as can be told, and what else to know before its figures are trusted.
type Wholeness struct {
	// Missing are the reasons to expect that spans are missing; without any the trace is complete.
	Missing []Remark
	// Remarks are what else is odd about how the trace came.
	Remarks []Remark
}

// Remark is one reason or remark.
type Remark struct {
	Kind RemarkKind
	// Count is of how many spans, or what else Message says.
	Count int
	// Message says it in a sentence.
	Message string
}

// RemarkKind names a remark.
type RemarkKind string

// The first are reasons why spans are missing, the others are not.
const (
	RemarkTruncated      RemarkKind = "truncated"
	RemarkTimeout        RemarkKind = "timeout"
	RemarkMemory         RemarkKind = "memory"
	RemarkShutdown       RemarkKind = "shutdown"
	RemarkInterim        RemarkKind = "interim"
	RemarkFragments      RemarkKind = "fragments"
	RemarkMissingParents RemarkKind = "missing_parents"
	RemarkNoRoot         RemarkKind = "no_root"

	RemarkQuiet         RemarkKind = "quiet"
	RemarkParts         RemarkKind = "parts"
	RemarkLate          RemarkKind = "late"
	RemarkSeveralRoots  RemarkKind = "several_roots"
	RemarkDuplicates    RemarkKind = "duplicates"
	RemarkConflicts     RemarkKind = "conflicts"
	RemarkClockSkew     RemarkKind = "clock_skew"
	RemarkDroppedData   RemarkKind = "dropped_data"
	RemarkSampledCounts RemarkKind = "sampled"
)

// RemarkKinds lists them all.
var RemarkKinds = []RemarkKind{
	RemarkTruncated, RemarkTimeout, RemarkMemory, RemarkShutdown, RemarkInterim, RemarkFragments, RemarkMissingParents, RemarkNoRoot,
	RemarkQuiet, RemarkParts, RemarkLate, RemarkSeveralRoots, RemarkDuplicates, RemarkConflicts, RemarkClockSkew, RemarkDroppedData,
	RemarkSampledCounts,
}

// cutShort are the outcomes of a release that did not wait for all spans. What came later is in the trace all the same; what is left of
// them says that somebody would have waited for more.
var cutShort = map[string]Remark{
	conventions.OutcomeTimeout:  {Kind: RemarkTimeout, Message: "it was still open after max_wait of trace_assembly"},
	conventions.OutcomeMemory:   {Kind: RemarkMemory, Message: "it was released early, because trace_assembly ran out of memory"},
	conventions.OutcomeShutdown: {Kind: RemarkShutdown, Message: "it was released early, because Tracewright was stopped"},
	conventions.OutcomeInterim:  {Kind: RemarkInterim, Message: "it was still open when it was released last"},
	conventions.OutcomeLate:     {Kind: RemarkFragments, Message: "only spans that came late are stored of it"},
}

// Wholeness says whether all of the trace is there.
func (t *Trace) Wholeness() Wholeness {
	var w Wholeness
	t.addMissing(&w)
	t.addRemarks(&w)
	return w
}

func (t *Trace) addMissing(w *Wholeness) {
	if t.Truncated {
		w.Missing = append(w.Missing, Remark{
			RemarkTruncated, t.Analysis.SpanCount,
			fmt.Sprintf("it is larger than one request reads (limits::max_trace_bytes): only the first %d spans are here", t.Analysis.SpanCount),
		})
	}
	if remark, cut := cutShort[t.Release.Outcome]; cut {
		remark.Count = t.Releases
		w.Missing = append(w.Missing, remark)
	}
	if n := t.Analysis.MissingParents; n > 0 {
		w.Missing = append(w.Missing, Remark{
			RemarkMissingParents, n,
			are(n, "parent that spans name is", "parents that spans name are") + " not there: their service sends no spans, samples, or lost them",
		})
	}
	tree := t.Analysis.Tree
	if tree.Entry >= 0 && !tree.Nodes[tree.Entry].ParentSpanID().IsEmpty() {
		w.Missing = append(w.Missing, Remark{
			RemarkNoRoot, 1, "no span is without a parent: where the request entered is not known, and the earliest span stands for it",
		})
	}
}

func (t *Trace) addRemarks(w *Wholeness) {
	add := func(kind RemarkKind, n int, message string) {
		if n > 0 {
			w.Remarks = append(w.Remarks, Remark{kind, n, message})
		}
	}
	switch t.Release.Outcome {
	case conventions.OutcomeQuiet:
		message := "it was released because no span came for a while"
		if len(w.Missing) == 0 {
			message += "; nothing says that any is missing"
		}
		add(RemarkQuiet, t.Releases, message)
	case conventions.OutcomePart:
		add(RemarkParts, t.Releases, "it is so large that it came in parts")
	}
	if t.Release.Version > 1 {
		add(RemarkLate, t.Release.Version-1, "spans came after it was first released: "+are(t.Release.Version-1, "release", "releases")+" more; they are in it")
	}
	s := t.survey()
	if s.roots > 1 {
		add(RemarkSeveralRoots, s.roots, strconv.Itoa(s.roots)+" spans have no parent; the request is taken to have entered at the first")
	}
	add(RemarkDuplicates, t.Repeated+s.duplicates, are(t.Repeated+s.duplicates, "span was", "spans were")+" sent more than once, and counted once")
	add(RemarkConflicts, s.conflicts, are(s.conflicts, "span has", "spans have")+" the id of another with other times, and no place in the tree")
	add(RemarkClockSkew, s.shifted, are(s.shifted, "span was", "spans were")+" shifted, by up to "+time.Duration(s.shift).String()+
		", because clocks differ")
	add(RemarkDroppedData, s.dropped, are(s.dropped, "span says", "spans say")+" that attributes, events or links of it were dropped before it was sent")
	add(RemarkSampledCounts, s.sampled, are(s.sampled, "span stands", "spans stand")+" for more than one: its sender samples by probability")
}

// survey counts what is odd about the spans.
type survey struct {
	roots, duplicates, conflicts, shifted, dropped, sampled int
	shift                                                   int64 // the largest, either way
}

func (t *Trace) survey() (s survey) {
	for i := range t.Analysis.Tree.Nodes {
		n := &t.Analysis.Tree.Nodes[i]
		switch {
		case n.Duplicate:
			s.duplicates++
		case n.Conflict:
			s.conflicts++
		case n.Parent < 0 && n.ParentSpanID().IsEmpty():
			s.roots++
		}
		if n.Shift != 0 {
			s.shifted++
			s.shift = max(s.shift, n.Shift, -n.Shift)
		}
		if n.DroppedAttributesCount() > 0 || n.DroppedEventsCount() > 0 || n.DroppedLinksCount() > 0 {
			s.dropped++
		}
		if t.Analysis.Spans[i].Weight > 1 {
			s.sampled++
		}
	}
	return s
}

// are is a number with what it counts.
func are(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
