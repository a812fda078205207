package rootcause

import (
	"cmp"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// Suspect is a service, or a virtual peer, that is to blame.
type Suspect struct {
	Service string
	// Virtual says that it is a virtual peer.
	Virtual bool
	// Caller says that it is to blame as a caller: what goes wrong are its calls of several services, which answer others as ever.
	Caller bool
	// Score is how well it explains what is not as it was, 0 to 1; the suspects are ordered by it. The published rankings count as much together as
	// the explanation alone.
	Score float64
	// Confidence is how sure it is that this service, and no other, is to blame: its part of all scores, times how improbable the change is by
	// chance. 0 to 1.
	Confidence float64
	// Evidence is what changed in it or, where it is to blame as a caller, in what it calls: the strongest first.
	Evidence []Evidence
	// TraceRCA and MicroRank are its places in these rankings, from 1 on; 0 where it has none.
	TraceRCA, MicroRank int
}

// Suspects names who is to blame for what is worse in the incident than in the normal window, the first suspect first; nobody where nothing
// has changed in any service beyond chance and beyond what changed in all. Order of traces does not matter; each window counts with its first
// MaxTraces.
func Suspects(normal, incident []Trace) []Suspect {
	b := newBoth(normal, incident)
	evidence := b.evidence()
	suspects := b.blame(evidence)
	if len(suspects) == 0 {
		return nil
	}
	traceRCA, microRank := b.traceRCA(), b.microRank()
	sum := 0.0
	for i := range suspects {
		s := &suspects[i]
		sortEvidence(s.Evidence)
		s.TraceRCA, s.MicroRank = place(traceRCA, s.Service), place(microRank, s.Service)
		s.Score *= (2 + vote(s.TraceRCA) + vote(s.MicroRank)) / 4
		sum += s.Score
	}
	if sum == 0 {
		return nil
	}
	for i := range suspects {
		s := &suspects[i]
		s.Confidence = s.Score / sum * (1 - s.Evidence[0].Probability)
	}
	slices.SortStableFunc(suspects, func(x, y Suspect) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.Service, y.Service))
	})
	return slices.DeleteFunc(suspects, func(s Suspect) bool { return s.Confidence < minConfidence })
}

// maxSuspects is how many are looked for.
const maxSuspects = 20

// minConfidence is from which confidence on somebody is named.
const minConfidence = 0.05

// fact is a number of calls that are not as they were, for somebody to explain.
type fact struct {
	edge

	kind   EvidenceKind
	excess float64
	made   bool // a call of a service that another may have spoilt: neither its own time nor a call of a virtual peer
	proven bool // by the calls of this edge alone
}

// hypothesis blames a service for what is not as it was in calls of it, or in its calls of others.
type hypothesis struct {
	service int
	caller  bool
	score   float64
}

// blame finds the fewest services that explain all evidence, the best explanation first: each time the hypothesis whose calls have the most in
// common with those that are not as they were and that nobody explains yet.
func (b *both) blame(evidence []Evidence) []Suspect {
	facts := b.facts(evidence)
	all := 0.0
	for _, f := range facts {
		all += f.excess
	}
	calls := b.roles()
	var suspects []Suspect
	for len(facts) > 0 && len(suspects) < maxSuspects {
		best := b.best(facts, all, calls)
		s := Suspect{
			Service: b.services[best.service], Virtual: b.virtual[best.service], Caller: best.caller, Score: best.score,
		}
		for _, e := range evidence {
			explained := slices.ContainsFunc(facts, func(f fact) bool {
				return best.explains(f) && f.to == b.service[e.operation] && f.kind == e.Kind
			})
			if explained {
				s.Evidence = append(s.Evidence, e)
			}
		}
		facts = slices.DeleteFunc(facts, best.explains)
		if at := slices.IndexFunc(suspects, func(o Suspect) bool { return o.Service == s.Service }); at >= 0 {
			suspects[at].Evidence = append(suspects[at].Evidence, s.Evidence...)
			continue
		}
		if len(s.Evidence) > 0 {
			suspects = append(suspects, s)
		}
	}
	return suspects
}

// vote is what a place in a ranking is worth.
func vote(place int) float64 {
	if place == 0 {
		return 0
	}
	return 1 / float64(place)
}

func (h hypothesis) explains(f fact) bool {
	if h.caller {
		return f.from == h.service && f.made
	}
	return f.to == h.service
}

// facts spreads the evidence over the edges on which it shows. Own time shows in the service itself.
func (b *both) facts(evidence []Evidence) []fact {
	type change struct {
		service int
		kind    EvidenceKind
	}
	changed := make(map[change]float64)
	var own []int
	for _, e := range evidence {
		c := change{b.service[e.operation], e.Kind}
		if changed[c] == 0 && e.Kind == EvidenceSelfTime {
			own = append(own, c.service)
		}
		changed[c] += e.excess
	}
	var facts []fact
	for _, s := range own {
		facts = append(facts, fact{edge{s, s}, EvidenceSelfTime, changed[change{s, EvidenceSelfTime}], false, true})
	}
	edges := make([]edge, 0, len(b.incident.edges))
	for e := range b.incident.edges {
		edges = append(edges, e)
	}
	slices.SortFunc(edges, func(x, y edge) int { return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to)) })
	for _, e := range edges {
		after, before := b.incident.edges[e], b.normal.edges[e]
		if before == nil {
			before = new(edgeStats)
		}
		for _, f := range []struct {
			kind                    EvidenceKind
			was, is                 int64 // traces
			callsBefore, callsAfter int64
		}{
			{EvidenceWait, before.slowWait, after.slowWait, before.slowCalls, after.slowCalls},
			{EvidenceErrors, before.origins, after.origins, before.failCalls, after.failCalls},
		} {
			excess := float64(f.callsAfter) - float64(after.calls)*share(f.callsBefore, before.calls)
			if changed[change{e.to, f.kind}] == 0 || excess <= 0 {
				continue
			}
			proven := statistics.MoreOften(f.was, before.traces, f.is, after.traces)*float64(len(edges)) < maxProbability
			facts = append(facts, fact{e, f.kind, excess, e.from >= 0 && !b.virtual[e.to], proven})
		}
	}
	return facts
}

// best is the hypothesis with the highest score: how alike its calls and those that are not as they were are. Of equals that of who is called, then
// the first by name.
func (b *both) best(facts []fact, all float64, calls [2][]float64) hypothesis {
	excess := [2][]float64{make([]float64, len(b.services)), make([]float64, len(b.services))}
	callees, last := make([]int, len(b.services)), edge{-1, -1}
	for _, f := range facts { // they stand by caller and callee
		excess[0][f.to] += f.excess
		if !f.made {
			continue
		}
		excess[1][f.from] += f.excess
		if f.proven && f.edge != last {
			callees[f.from]++
			last = f.edge
		}
	}
	best := hypothesis{service: -1}
	for role := range excess {
		for s, e := range excess[role] {
			if e == 0 || role == 1 && callees[s] < 2 {
				continue
			}
			if score := jaccard(min(e, calls[role][s]), max(all, e), calls[role][s]); best.service < 0 || score > best.score {
				best = hypothesis{service: s, caller: role == 1, score: score}
			}
		}
	}
	return best
}

// roles counts, by service, the incident's calls of it, and its calls of other services that send spans.
func (b *both) roles() (calls [2][]float64) {
	calls = [2][]float64{make([]float64, len(b.services)), make([]float64, len(b.services))}
	for e, stats := range b.incident.edges {
		calls[0][e.to] += float64(stats.calls)
		if e.from >= 0 && e.from != e.to && !b.virtual[e.to] {
			calls[1][e.from] += float64(stats.calls)
		}
	}
	return calls
}
