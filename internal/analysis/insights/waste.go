package insights

import (
	"cmp"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

const (
	// minWasted is in how many sampled traces a pattern must be to be told, and minWastedShare how much of these requests it must cost.
	minWasted      = 5
	minWastedShare = 0.05
)

// waste is a place in which a pattern is found.
type waste struct{ At, Callee Operation }

// wasted is what it does in the sampled traces of a window.
type wasted struct {
	waste

	traces, found, spans int
	time, request        int64 // in sum: for it, and of the requests that have it
	sure                 float64
}

// wasteful tells the places in which a pattern costs time all along, or since now: those that of finds, told by tell.
func wasteful(
	now, before *Window, kind Kind, of func(*Pattern) (waste, bool), tell func(*Insight, *wasted),
) []Insight {
	is, was := wastes(now.Samples, of), wastes(before.Samples, of)
	places := make([]waste, 0, len(is))
	for place, w := range is {
		if w.traces >= minWasted && float64(w.time) >= minWastedShare*float64(w.request) {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b waste) int {
		return cmp.Or(
			cmp.Compare(a.At.Service, b.At.Service), cmp.Compare(a.At.Operation, b.At.Operation),
			cmp.Compare(a.Callee.Service, b.Callee.Service), cmp.Compare(a.Callee.Operation, b.Callee.Operation),
		)
	})
	found := make([]Insight, 0, len(places))
	for _, place := range places {
		w, old := is[place], was[place]
		if old == nil {
			old = new(wasted)
		}
		i := Insight{
			Kind: kind, Urgency: UrgencyImprovement, Service: place.At.Service, Operation: place.At.Operation,
			Requests: now.requests(w.traces), SavedTime: w.time / int64(w.traces), Confidence: w.sure / float64(w.found),
		}
		passing, passed := passes(now.Samples, place.At.Service), passes(before.Samples, place.At.Service)
		i.Evidence = []Figure{
			figure("requests through "+place.At.Service+" that have it", UnitShare, share(float64(w.traces), passing), share(float64(old.traces), passed)),
			figure("time that such a request could save", UnitNS, share(float64(w.time), float64(w.traces)), share(float64(old.time), float64(old.traces))),
			{"of the duration of such a request", UnitShare, share(float64(w.time), float64(w.request)), nil},
		}
		if passed > 0 && share(float64(w.traces), passing) >= minOftener*share(float64(old.traces), passed) &&
			statistics.MoreOften(int64(old.traces), int64(passed), int64(w.traces), int64(passing)) < maxChance {
			i.Urgency = UrgencyIncident
		}
		i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 {
			time := 0.0
			for k := range s.Patterns {
				if at, ok := of(&s.Patterns[k]); ok && at == place {
					time += 1 + float64(s.Patterns[k].Time)
				}
			}
			return time
		})
		tell(&i, w)
		found = append(found, i)
	}
	return found
}

func wastes(samples []Sample, of func(*Pattern) (waste, bool)) map[waste]*wasted {
	all := make(map[waste]*wasted)
	last := make(map[waste]int)
	for i := range samples {
		s := &samples[i]
		for k := range s.Patterns {
			p := &s.Patterns[k]
			place, ok := of(p)
			if !ok {
				continue
			}
			w := all[place]
			if w == nil {
				w = &wasted{waste: place}
				all[place] = w
			}
			if last[place] != i+1 {
				last[place] = i + 1
				w.traces++
				w.request += s.Trace.Duration
			}
			w.found++
			w.spans += p.Spans
			w.time += p.Time
			w.sure += p.Confidence
		}
	}
	return all
}

// passes counts the sampled requests that pass through a service.
func passes(samples []Sample, service string) (count float64) {
	for i := range samples {
		for k := range samples[i].Trace.Calls {
			if samples[i].Trace.Calls[k].Callee.Service == service {
				count++
				break
			}
		}
	}
	return count
}
