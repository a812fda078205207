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
	// Probability is that of such a difference, or a larger one, by chance anywhere among all that was compared.
	Probability float64

	operation int
	excess    float64 // calls of the incident that are not as they were
}

const (
	// minTraces is in how many traces of each window an operation must take part for its times to be compared.
	minTraces = 20
	// maxProbability is how probable a change may be by chance to count as evidence.
	maxProbability = 1e-3
	// minSlower is by which factor a typical time must have grown, beyond what all have, and minShare by how much a share.
	minSlower = 1.2
	minShare  = 0.01
)

// evidence tells what is worse in the incident than in the normal window, beyond what became worse everywhere, by operation.
func (b *both) evidence() []Evidence {
	load, tests := b.commonShifts()
	var found []Evidence
	keep := func(e Evidence) {
		if e.Probability = min(1, e.Probability*float64(tests)); e.Probability < maxProbability && e.excess > 0 {
			found = append(found, e)
		}
	}
	for o := range b.operations {
		keep(b.errors(o))
		before, after := &b.normal.operations[o], &b.incident.operations[o]
		if before.traces < minTraces || after.traces < minTraces {
			continue
		}
		own, wait := load[b.virtual[b.service[o]]][0], load[b.virtual[b.service[o]]][1]
		keep(b.slower(o, EvidenceSelfTime, &before.own, &after.own, own, before.slow, after.slow))
		keep(b.slower(o, EvidenceWait, &before.wait, &after.wait, wait, before.slowWait, after.slowWait))
	}
	return found
}

// commonShifts are by how much the logarithm of own times and of waits grew for half of all operations, of services and of virtual peers: what
// became slower everywhere (more load, a slower host) is nobody's fault. tests is the number of comparisons.
func (b *both) commonShifts() (load map[bool][2]float64, tests int) {
	own, wait := map[bool][]float64{}, map[bool][]float64{}
	for o := range b.operations {
		before, after := &b.normal.operations[o], &b.incident.operations[o]
		tests++
		if before.traces < minTraces || after.traces < minTraces {
			continue
		}
		tests += 4 // the typical and the abnormal, own times and waits
		virtual := b.virtual[b.service[o]]
		own[virtual] = append(own[virtual], after.own.Mean-before.own.Mean)
		if before.wait.Mean > logTime(0) {
			wait[virtual] = append(wait[virtual], after.wait.Mean-before.wait.Mean)
		}
	}
	load = make(map[bool][2]float64)
	for _, virtual := range []bool{false, true} {
		load[virtual] = [2]float64{max(0, statistics.Median(own[virtual])), max(0, statistics.Median(wait[virtual]))}
	}
	return load, tests
}

func (b *both) errors(o int) Evidence {
	before, after := &b.normal.operations[o], &b.incident.operations[o]
	e := Evidence{
		Kind: EvidenceErrors, Operation: b.operations[o].Operation, operation: o,
		Before: share(before.origins, before.traces), After: share(after.origins, after.traces),
		Probability: statistics.MoreOften(before.origins, before.traces, after.origins, after.traces),
	}
	if e.After-e.Before >= minShare {
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
