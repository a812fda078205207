package insights

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

const (
	// minRetried is in which share of the requests that make a call it must be tried again to be a storm, and minRetriedTraces in how many.
	minRetried       = 0.05
	minRetriedTraces = 5
	// maxChance is how probable it may be by chance that something became more frequent, and minOftener how many times as frequent it must be.
	maxChance  = 1e-3
	minOftener = 2
)

// retried is what retries of one service's calls of another did in a window.
type retried struct {
	calling int // sampled requests in which the caller calls the callee
	again   int // of these, with retries
	tries   int // beyond the first of each call
	time    int64
	sure    float64 // sum of confidences, by pattern
	of      int     // patterns
}

type pair struct{ caller, callee string }

// RetryStorms tells where calls are made again and again because they fail, which adds load where there is too much already. Storms of several callers
// are the callee's; one of a single caller on several callees is the caller's.
func RetryStorms(now, before *Window) []Insight {
	is, was := retriesOf(now.Samples), retriesOf(before.Samples)
	var storms []pair
	for p, r := range is {
		if r.again >= minRetriedTraces && float64(r.again) >= minRetried*float64(r.calling) {
			storms = append(storms, p)
		}
	}
	slices.SortFunc(storms, func(a, b pair) int { return cmp.Or(cmp.Compare(a.callee, b.callee), cmp.Compare(a.caller, b.caller)) })
	callers, callees := make(map[string][]string), make(map[string][]string)
	for _, p := range storms {
		callers[p.callee] = append(callers[p.callee], p.caller)
		callees[p.caller] = append(callees[p.caller], p.callee)
	}
	var found []Insight
	told := make(map[pair]bool)
	for _, p := range storms {
		if told[p] {
			continue
		}
		group, ofCaller := []pair{}, false
		if own := callees[p.caller]; len(own) > 1 && !slices.ContainsFunc(own, func(callee string) bool { return len(callers[callee]) > 1 }) {
			ofCaller = true
			for _, callee := range own {
				group = append(group, pair{p.caller, callee})
			}
		} else {
			for _, caller := range callers[p.callee] {
				group = append(group, pair{caller, p.callee})
			}
		}
		for _, g := range group {
			told[g] = true
		}
		found = append(found, storm(group, ofCaller, now, is, was))
	}
	return found
}

func retriesOf(samples []Sample) map[pair]*retried {
	all := make(map[pair]*retried)
	seen := make(map[pair]bool)
	for i := range samples {
		s := &samples[i]
		clear(seen)
		for k := range s.Trace.Calls {
			c := &s.Trace.Calls[k]
			if c.Caller < 0 {
				continue
			}
			p := pair{s.Trace.Calls[c.Caller].Callee.Service, c.Callee.Service}
			if p.caller == p.callee || seen[p] {
				continue
			}
			seen[p] = true
			if all[p] == nil {
				all[p] = new(retried)
			}
			all[p].calling++
		}
		clear(seen)
		for k := range s.Patterns {
			pattern := &s.Patterns[k]
			r := all[pair{pattern.At.Service, pattern.Callee.Service}]
			if pattern.Kind != analysis.FindingRetries || r == nil {
				continue
			}
			if p := (pair{pattern.At.Service, pattern.Callee.Service}); !seen[p] {
				seen[p] = true
				r.again++
			}
			r.tries += pattern.Spans - 1
			r.time += pattern.Time
			r.sure += pattern.Confidence
			r.of++
		}
	}
	return all
}

func storm(group []pair, ofCaller bool, now *Window, is, was map[pair]*retried) Insight {
	i := Insight{Kind: KindRetryStorm, Urgency: UrgencyImprovement}
	var sum, old retried
	for _, p := range group {
		other := p.caller
		if i.Service = p.callee; ofCaller {
			i.Service, other = p.caller, p.callee
		}
		i.Others = append(i.Others, other)
		sum.add(is[p])
		if was[p] != nil {
			old.add(was[p])
		}
		before := Figure{"requests in which " + p.caller + " calls " + p.callee + " again", UnitShare, share(float64(is[p].again), float64(is[p].calling)), nil}
		if r := was[p]; r != nil {
			before.Before = new(share(float64(r.again), float64(r.calling)))
		}
		i.Evidence = append(i.Evidence, before)
	}
	slices.SortStableFunc(i.Evidence, func(a, b Figure) int { return cmp.Compare(b.Now, a.Now) })
	slices.Sort(i.Others)
	often, usual := share(float64(sum.again), float64(sum.calling)), share(float64(old.again), float64(old.calling))
	if old.calling > 0 && often >= minOftener*usual &&
		statistics.MoreOften(int64(old.again), int64(old.calling), int64(sum.again), int64(sum.calling)) < maxChance {
		i.Urgency = UrgencyIncident
	}
	mine := func(s *Sample) float64 {
		time := 0.0
		for k := range s.Patterns {
			p := &s.Patterns[k]
			if p.Kind == analysis.FindingRetries && slices.Contains(group, pair{p.At.Service, p.Callee.Service}) {
				time += 1 + float64(p.Time)
			}
		}
		return time
	}
	traceIDs, concerned := shows(now.Samples, mine)
	i.TraceIDs, i.Requests = traceIDs, now.requests(concerned)
	i.SavedTime = int64(share(float64(sum.time), float64(concerned)))
	i.Confidence = share(sum.sure, float64(sum.of))
	i.Evidence = append(i.Evidence,
		Figure{"calls made beyond those that were needed, a request that calls", UnitFactor, share(float64(sum.tries), float64(sum.calling)), nil},
		Figure{"time lost by tries and pauses, a request with retries", UnitNS, float64(i.SavedTime), nil})
	before := ""
	if old.calling > 0 {
		before = ", " + percent(usual) + " before"
	}
	if ofCaller {
		i.Title = fmt.Sprintf("%s calls %s again and again: in %s of its requests%s", i.Service, names(i.Others), percent(often), before)
		i.Advice = fmt.Sprintf("Others call the same services without: look at %s's network, timeouts and connection pools. Bound its retries by a budget.", i.Service)
	} else {
		i.Title = fmt.Sprintf("%s is called again and again by %s: in %s of the requests in which they call it%s", i.Service, names(i.Others), percent(often), before)
		i.Advice = fmt.Sprintf("Find why %s refuses calls (GET /traces/errors?service=%s). Until then retries add load: bound them by a budget, and back off.",
			i.Service, i.Service)
	}
	return i
}

func (r *retried) add(from *retried) {
	r.calling += from.calling
	r.again += from.again
	r.tries += from.tries
	r.time += from.time
	r.sure += from.sure
	r.of += from.of
}
