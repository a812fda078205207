package rootcause

import (
	"encoding/binary"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// MicroRank ranks services by a spectrum of bad and good traces that a personalised PageRank weighs (Yu et al., "MicroRank: End-to-End Latency
// Issue Localization with Extended Spectrum Analysis in Microservice Environments", WWW 2021). A trace of the incident is bad if its request
// failed, or took longer than 95 % of the requests of its entry did in the normal window. A service counts by its best operation.
func MicroRank(normal, incident []Trace) []Score { return newBoth(normal, incident).microRank() }

const (
	damping   = 0.85 // d of the paper
	callShare = 0.01 // its α: how much calls between operations count
	rounds    = 25
)

func (b *both) microRank() []Score {
	bad, good := b.badTraces()
	if len(bad) == 0 || len(good) == 0 {
		return nil
	}
	badWeight, badIn := b.pageRank(bad, true)
	goodWeight, goodIn := b.pageRank(good, false)
	scores := make([]float64, len(b.services))
	for o, weight := range badWeight {
		ef, nf := weight*badIn[o], weight*(float64(len(bad))-badIn[o])
		ep := goodWeight[o] * goodIn[o]
		const nothing = 1e-7                       // of the authors' program, in place of a division by 0
		score := ef * ef / (max(ep, nothing) + nf) // D*2
		scores[b.service[o]] = max(scores[b.service[o]], score)
	}
	return ranking(b.services, scores)
}

// badTraces are the numbers of the incident's traces that are bad, and of those that are not.
func (b *both) badTraces() (bad, good []int) {
	durations := make(map[Operation][]int64)
	for i := range b.normal.traces {
		t := &b.normal.traces[i]
		durations[t.Entry] = append(durations[t.Entry], t.Duration)
	}
	limits := make(map[Operation]int64, len(durations))
	for entry, all := range durations {
		slices.Sort(all)
		limits[entry] = statistics.Quantile(all, 0.95)
	}
	for i := range b.incident.traces {
		t := &b.incident.traces[i]
		limit, known := limits[t.Entry]
		if t.Failed || known && t.Duration > limit {
			bad = append(bad, i)
		} else {
			good = append(good, i)
		}
	}
	return bad, good
}

// pageRank weighs the operations of some of the incident's traces, at most 1, and counts the traces with each.
//
//	s ← d·(P_sr·r + α·P_ss·s)    r ← d·P_rs·s + (1 − d)·v
//
// s: operations, r: traces, P: the chances to go from one to the other, v: which traces are preferred: rare kinds (the same operations are one
// kind), and among bad traces short ones.
func (b *both) pageRank(traces []int, bad bool) (weight, in []float64) {
	n := len(b.operations)
	weight, in = make([]float64, n), make([]float64, n)
	kinds := make(map[string]float64)
	names := make([]string, len(traces))
	sets := make([][]int, len(traces))
	children := make([]map[int]bool, n)
	for at, i := range traces {
		set := slices.Clone(b.incident.calls[i])
		slices.Sort(set)
		sets[at] = slices.Compact(set)
		var name []byte
		for _, o := range sets[at] {
			name = binary.AppendUvarint(name, uint64(o))
			in[o]++
		}
		names[at] = string(name)
		kinds[names[at]]++
		for k := range b.incident.traces[i].Calls {
			if caller := b.incident.traces[i].Calls[k].Caller; caller >= 0 {
				from := b.incident.calls[i][caller]
				if children[from] == nil {
					children[from] = make(map[int]bool)
				}
				children[from][b.incident.calls[i][k]] = true
			}
		}
	}
	calls := make([][]int, n)
	for o := range calls {
		for child := range children[o] {
			calls[o] = append(calls[o], child)
		}
		slices.Sort(calls[o])
	}
	prefer := make([]float64, len(traces))
	rare, short := 0.0, 0.0
	for at := range traces {
		rare += 1 / kinds[names[at]]
		short += 1 / float64(max(1, len(sets[at])))
	}
	for at := range traces {
		prefer[at] = 1 / kinds[names[at]] / rare
		if bad {
			prefer[at] = (prefer[at] + 1/float64(max(1, len(sets[at])))/short) / 2
		}
	}
	requests := make([]float64, len(traces))
	for o := range weight {
		weight[o] = 1 / float64(n+len(traces))
	}
	for at := range requests {
		requests[at] = 1 / float64(n+len(traces))
	}
	for range rounds {
		next, nextRequests := make([]float64, n), make([]float64, len(traces))
		for at, set := range sets {
			for _, o := range set {
				next[o] += damping * requests[at] / float64(len(set))
				nextRequests[at] += damping * weight[o] / in[o]
			}
			nextRequests[at] += (1 - damping) * prefer[at]
		}
		for o, to := range calls {
			for _, child := range to {
				next[child] += damping * callShare * weight[o] / float64(len(to))
			}
		}
		weight, requests = normalize(next), normalize(nextRequests)
	}
	return weight, in
}

// normalize divides by the largest.
func normalize(v []float64) []float64 {
	if len(v) == 0 {
		return v
	}
	if most := slices.Max(v); most > 0 {
		for i := range v {
			v[i] /= most
		}
	}
	return v
}
