package rootcause

import (
	"cmp"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// EvidenceKind says what has changed in a service.
type EvidenceKind string

// The kinds of evidence.
const (
	// EvidenceSelfTime: it works longer itself.
	EvidenceSelfTime EvidenceKind = "self_time"
	// EvidenceWait: its callers wait longer beyond that: network, queue, pauses before it is asked again.
	EvidenceWait EvidenceKind = "wait"
	// EvidenceErrors: failures begin with it more often.
	EvidenceErrors EvidenceKind = "errors"
)

// Evidence is one operation of a service that is not as it was. Before and After are the typical time in nanoseconds (the geometric mean over
// traces) or the share of traces with a failure that began there.
type Evidence struct {
	Kind          EvidenceKind
	Operation     string
	Before, After float64
	// Probability is that of such a change of the service, or a larger one, by chance anywhere among all that was compared.
	Probability float64

	operation int
	excess    float64 // calls of the incident that are not as they were
}

const (
	// minTraces is in how many traces of each window an operation must take part for its times to be compared.
	minTraces = 20
	// maxProbability is how probable a change may be by chance to count as evidence.
	maxProbability = 1e-3
	// maxPart is how probable the change of one operation may be by chance to be among the evidence against its service.
	maxPart = 0.05
	// minSlower is by which factor a typical time must have grown, beyond what all have, and minShare by how much a share.
	minSlower = 1.2
	minShare  = 0.01
)

// evidence tells what is worse in the incident than in the normal window, beyond what became worse everywhere, by operation. Whether it is, is decided for
// all operations of a service together: by the least probable of them, and by all of them (Fisher's method), whichever is less probable.
func (b *both) evidence() []Evidence {
	type change struct {
		service int
		kind    EvidenceKind
	}
	groups := make(map[change][]Evidence)
	var order []change
	add := func(e Evidence) {
		c := change{b.service[e.operation], e.Kind}
		if groups[c] == nil {
			order = append(order, c)
		}
		groups[c] = append(groups[c], e)
	}
	for o := range b.operations {
		before, after := &b.normal.operations[o], &b.incident.operations[o]
		if before.traces == 0 || after.traces == 0 {
			continue
		}
		add(b.errors(o))
		if before.own.N < minTraces || after.own.N < minTraces {
			continue
		}
		load := b.load[b.virtual[b.service[o]]]
		add(b.slower(o, EvidenceSelfTime, &before.own, &after.own, load.own, before.slow, after.slow))
		if before.waits() {
			add(b.slower(o, EvidenceWait, &before.wait, &after.wait, load.wait, before.slowWait, after.slowWait))
		}
	}
	var found []Evidence
	for _, c := range order {
		group := groups[c]
		probabilities := make([]float64, len(group))
		for i, e := range group {
			probabilities[i] = e.Probability
		}
		p := 2 * min(slices.Min(probabilities)*float64(len(group)), statistics.Together(probabilities))
		if p *= float64(len(order)); p >= maxProbability {
			continue
		}
		for _, e := range group {
			if e.Probability < maxPart && e.excess > 0 {
				e.Probability = p
				found = append(found, e)
			}
		}
	}
	return found
}

func (b *both) errors(o int) Evidence {
	before, after := &b.normal.operations[o], &b.incident.operations[o]
	e := Evidence{
		Kind: EvidenceErrors, Operation: b.operations[o].Operation, operation: o,
		Before: share(before.origins, before.traces), After: share(after.origins, after.traces),
		Probability: 1,
	}
	if e.After-e.Before >= minShare {
		e.Probability = statistics.MoreOften(before.origins, before.traces, after.origins, after.traces)
		e.excess = float64(after.originCalls) - float64(after.calls)*share(before.originCalls, before.calls)
	}
	return e
}

// slower compares times in two ways: all of them, and how many are abnormal. The second finds what befalls a small part of the calls.
func (b *both) slower(o int, kind EvidenceKind, before, after *statistics.Moments, load float64, slowBefore, slowAfter int64) Evidence {
	e := Evidence{
		Kind: kind, Operation: b.operations[o].Operation, operation: o,
		Before: math.Exp(before.Mean), After: math.Exp(after.Mean), Probability: 1,
	}
	calls := float64(b.incident.operations[o].calls)
	shift := after.Mean - before.Mean - load
	if shift >= math.Log(minSlower) {
		e.Probability = statistics.Above(statistics.MeanDistance(before, after, load))
		// As many calls must at least have changed for the two distributions to lie this far apart.
		distance := shift / max(1e-9, math.Sqrt((before.Variance()+after.Variance())/2))
		e.excess = calls * (1 - 2*statistics.Above(distance/2))
	}
	if was, is := share(slowBefore, before.N), share(slowAfter, after.N); is-was >= minShare && shift > 0 {
		e.Probability = min(e.Probability, statistics.MoreOften(slowBefore, before.N, slowAfter, after.N))
		e.excess = max(e.excess, calls*(is-was))
	}
	e.Probability = min(1, 2*e.Probability) // of two ways
	return e
}

func share(part, all int64) float64 {
	if all <= 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// sortEvidence puts the strongest first: the least probable by chance, of equals the most calls.
func sortEvidence(e []Evidence) {
	slices.SortFunc(e, func(a, b Evidence) int {
		return cmp.Or(
			cmp.Compare(a.Probability, b.Probability), cmp.Compare(b.excess, a.excess),
			cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Kind, b.Kind),
		)
	})
}
