package insights

import (
	"cmp"
	"fmt"
	"slices"
)

// Edge is how one service's calls of another are answered.
type Edge struct {
	Parent, Child string
	// Calls are those that spans of the child answer, Unanswered those that none does.
	Calls, Unanswered int64
	// Reason is what became of those, as far as that shows.
	Reason LossReason
}

// LossReason is why a service has no span for calls.
type LossReason string

// The reasons, as GET /traces/services has them.
const (
	LossUnknown LossReason = ""
	LossContext LossReason = "context_lost"
	LossSpans   LossReason = "spans_missing"
)

func (e *Edge) accuracy() float64 { return share(float64(e.Calls), float64(e.Calls+e.Unanswered)) }

const (
	// minUnanswered is how many calls without an answer are told, minInaccurate how large their share must be where nothing says what became of them.
	minUnanswered = 10
	minInaccurate = 0.05
	// lossKnown is the confidence where the spans themselves say what became of the calls, lossGuessed where not.
	lossKnown   = 0.9
	lossGuessed = 0.5
)

// ContextLosses tells of services that send no span for some of the calls that they get: traces end there, and what happened behind is missing from the
// answers.
func ContextLosses(now, before *Window) []Insight {
	byChild := make(map[string][]Edge)
	for _, e := range now.Edges {
		if e.Parent == e.Child || e.Unanswered < minUnanswered || e.Reason == LossUnknown && 1-e.accuracy() < minInaccurate {
			continue
		}
		byChild[e.Child] = append(byChild[e.Child], e)
	}
	children := make([]string, 0, len(byChild))
	for child := range byChild {
		children = append(children, child)
	}
	slices.Sort(children)
	found := make([]Insight, 0, len(children))
	for _, child := range children {
		found = append(found, contextLoss(child, byChild[child], now, before))
	}
	return found
}

func contextLoss(child string, edges []Edge, now, before *Window) Insight {
	slices.SortFunc(edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(b.Unanswered, a.Unanswered), cmp.Compare(a.Parent, b.Parent))
	})
	i := Insight{Kind: KindContextLoss, Urgency: UrgencyVisibility, Service: child, Confidence: lossKnown}
	var sum Edge
	reasons := make(map[LossReason]bool)
	for _, e := range edges {
		sum.Calls += e.Calls
		sum.Unanswered += e.Unanswered
		reasons[e.Reason] = true
		i.Others = append(i.Others, e.Parent)
		if len(i.Evidence) < 5 {
			f := Figure{"calls of " + e.Parent + " that it answers with a span", UnitShare, e.accuracy(), nil}
			if at := slices.IndexFunc(before.Edges, func(b Edge) bool {
				return b.Parent == e.Parent && b.Child == e.Child && b.Calls+b.Unanswered > 0
			}); at >= 0 {
				f.Before = new(before.Edges[at].accuracy())
			}
			i.Evidence = append(i.Evidence, f)
		}
	}
	slices.Sort(i.Others)
	i.Requests = min(sum.Unanswered, max(now.Traces, 0))
	lost := percent(1 - sum.accuracy())
	switch {
	case reasons[LossContext]:
		i.Title = fmt.Sprintf("%s loses the trace context of %s of the calls of %s and begins traces of its own", child, lost, names(i.Others))
		i.Advice = fmt.Sprintf("Look where requests enter %s without the traceparent header being read: a proxy that drops it, a thread or queue that does not pass "+
			"the context on, another propagator.", child)
	case reasons[LossSpans]:
		i.Title = fmt.Sprintf("%s has no span for %s of the calls of %s: it samples, or loses spans", child, lost, names(i.Others))
		i.Advice = fmt.Sprintf("Let %s decide with its caller (a parent-based sampler), and look whether its exporter drops spans.", child)
	default:
		i.Confidence = lossGuessed
		i.Title = fmt.Sprintf("%s has no span for %s of the calls of %s", child, lost, names(i.Others))
		i.Advice = fmt.Sprintf("%s loses the context of these calls, or its spans; what came of them does not show.", child)
	}
	i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 { return float64(unseenCalls(s, child)) })
	return i
}
