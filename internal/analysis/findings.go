package analysis

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// FindingKind names a pattern in one trace. docs/analysis.md defines each.
type FindingKind string

// The patterns that FindPatterns knows.
const (
	FindingNPlusOne               FindingKind = "n_plus_one"
	FindingSerialCalls            FindingKind = "serial_calls"
	FindingRetries                FindingKind = "retries"
	FindingMissingInstrumentation FindingKind = "missing_instrumentation"
	FindingRepeatedQuery          FindingKind = "repeated_query"
	FindingTimeout                FindingKind = "timeout"
	FindingFanOut                 FindingKind = "fan_out"
	FindingGap                    FindingKind = "gap"
	FindingSkewedHost             FindingKind = "skewed_host"
)

// FindingKinds are all of them.
var FindingKinds = []FindingKind{
	FindingNPlusOne, FindingSerialCalls, FindingRetries, FindingMissingInstrumentation, FindingRepeatedQuery, FindingTimeout,
	FindingFanOut, FindingGap, FindingSkewedHost,
}

const (
	// MaxFindings is how many patterns of one trace are named: those that cost most, see FindPatterns.
	MaxFindings = 100
	// MaxFindingSpans is how many spans a finding lists; SpanCount counts all.
	MaxFindingSpans = 20
)

// Finding is one pattern at one place of a trace.
type Finding struct {
	Kind FindingKind
	// At is the node at which to look: mostly the caller.
	At int
	// Spans are the first MaxFindingSpans of the nodes that make the pattern, in start order; SpanCount counts all of them.
	Spans     []int
	SpanCount int
	// CriticalPathTime is for how long the request waited for the pattern and need not have, nanoseconds. Findings may overlap, so
	// that their times do not add up.
	CriticalPathTime int64
	// ClockShift is what was added to the times of a FindingSkewedHost's spans, nanoseconds, median; 0 for other kinds.
	ClockShift int64
	// Confidence is how likely it is that the pattern is what it looks like, above 0 and at most 1.
	Confidence float64
	// Message says it in plain words.
	Message string
}

// weight orders findings: the time that one probably costs.
func (f *Finding) weight() float64 { return float64(f.CriticalPathTime) * f.Confidence }

// FindPatterns names the patterns of a whole trace, first what costs most on the critical path, times its confidence; of equals by kind
// and first span. It takes O(n log n)
// time and changes nothing. What it answers depends on the result alone, not on the order of the spans.
func FindPatterns(r *Result) []Finding {
	f := finder{calls: callsOf(r), taken: make([]bool, len(r.Tree.Nodes)), pauses: make(map[pauseEnd]struct{})}
	f.repeatedQueries()
	f.siblings()
	f.missingInstrumentation()
	f.timeouts()
	f.gaps() // knows the pauses of retries
	f.skewedHosts()
	slices.SortFunc(f.found, f.compare)
	findings := make([]Finding, 0, min(len(f.found), MaxFindings))
	for i := range f.found[:min(len(f.found), MaxFindings)] {
		finding := f.found[i].Finding
		finding.Message = f.found[i].message()
		findings = append(findings, finding)
	}
	return findings
}

// found is a finding whose message is made if it is among those that are kept.
type found struct {
	Finding

	message func() string
}

// finder collects the findings of one trace.
type finder struct {
	*calls

	found []found
	// taken marks the calls that are explained by a more special pattern.
	taken  []bool
	pauses map[pauseEnd]struct{}
	alike  []int // siblings ordered by what they ask for
}

// add takes a finding; the spans are in start order and stay the caller's.
func (f *finder) add(kind FindingKind, at int, spans []int, time int64, confidence float64, message func() string) {
	f.found = append(f.found, found{Finding{
		Kind: kind, At: at, Spans: slices.Clone(spans[:min(len(spans), MaxFindingSpans)]), SpanCount: len(spans),
		CriticalPathTime: time, Confidence: confidence,
	}, message})
}

// compare has no equals: no two findings of one kind begin with the same span.
func (f *finder) compare(a, b found) int {
	if c := cmp.Or(
		cmp.Compare(b.weight(), a.weight()),
		cmp.Compare(slices.Index(FindingKinds, a.Kind), slices.Index(FindingKinds, b.Kind)),
	); c != 0 {
		return c
	}
	return f.compareStart(a.Spans[0], b.Spans[0])
}

// siblings looks for the patterns among the calls below one span, for all spans.
func (f *finder) siblings() {
	var siblings []int
	for _, parent := range f.order {
		siblings = siblings[:0]
		for _, child := range f.tree.Children(parent) {
			if f.callee[child] != noCall {
				siblings = append(siblings, child)
			}
		}
		if len(siblings) < 2 {
			continue
		}
		f.eachAlike(siblings, func(alike []int) { f.retries(parent, alike) })
		f.eachAlike(siblings, func(alike []int) { f.nPlusOne(parent, alike) })
		f.serialCalls(parent, siblings)
		f.fanOut(parent, siblings)
	}
}

// eachAlike visits the calls that ask for the same thing, in start order, where there are several.
func (f *finder) eachAlike(siblings []int, visit func(alike []int)) {
	f.alike = append(f.alike[:0], siblings...)
	slices.SortStableFunc(f.alike, func(a, b int) int { return cmp.Compare(f.callee[a], f.callee[b]) })
	for from, at := 0, 0; at < len(f.alike); from = at {
		for at++; at < len(f.alike) && f.callee[f.alike[at]] == f.callee[f.alike[from]]; at++ {
		}
		if at-from > 1 {
			visit(f.alike[from:at])
		}
	}
}

// savedBeyondLargest is for how long the request waited for the spans, less the one for which it waited longest.
func (f *finder) savedBeyondLargest(spans []int) int64 {
	sum, largest := int64(0), int64(0)
	for _, i := range spans {
		sum, largest = sum+f.waited[i], max(largest, f.waited[i])
	}
	return sum - largest
}

func (c *calls) compareStart(a, b int) int {
	m, n := &c.tree.Nodes[a], &c.tree.Nodes[b]
	if d := cmp.Compare(m.Start, n.Start); d != 0 {
		return d
	}
	return compareIdentity(m, n)
}

// name is a span as a message speaks of it.
func (c *calls) name(i int) string {
	s := &c.result.Spans[i]
	return s.Service + " " + strconv.Quote(s.Operation)
}

// calleeName is what a call asks for.
func (c *calls) calleeName(i int) string {
	s := &c.result.Spans[i]
	switch answer := c.answer[i]; {
	case answer >= 0:
		return c.name(answer)
	case c.tree.Nodes[i].Kind() != clientKind:
		return strconv.Quote(s.Operation)
	case s.PeerService != "":
		return s.PeerService + " " + strconv.Quote(s.Operation)
	}
	return strconv.Quote(s.Operation)
}

// share is such as "180ms of 400ms".
func (c *calls) share(ns int64) string {
	return readable(ns) + " of " + readable(c.result.RootDuration)
}

// readable is a duration with three digits or so.
func readable(ns int64) string {
	d := time.Duration(ns)
	for _, unit := range [...]time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 100*unit {
			return d.Round(unit).String()
		}
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

func isCall(n, parent *tracetree.Node) bool {
	return n.Kind() == clientKind || n.Kind() == serverKind && parent.Kind() != clientKind
}
