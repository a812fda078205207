package insights

import (
	"fmt"
	"strings"

	"github.com/tracewright/tracewright/internal/analysis/journeys"
)

const (
	// maxRoutes is how many of the commonest journeys are compared, minJourneys how many must have taken one.
	maxRoutes   = 5
	minJourneys = 20
)

// SlowerJourneys tells where customers on the commonest journeys wait longer, give up or fail more often than before.
func SlowerJourneys(now, before *Window) (found []Insight) {
	is, was := journeys.Group(now.Journeys), journeys.Group(before.Journeys)
	told := make(map[journeys.Step]bool)
	for _, route := range journeys.Routes(is, maxRoutes) {
		if route.Count < minJourneys {
			break
		}
		after, earlier := journeys.Follow(is, route.Steps), journeys.Follow(was, route.Steps)
		worse := after.WorseThan(&earlier)
		if len(worse) == 0 || told[worse[0].Step] {
			continue
		}
		first := mostTelling(worse)
		told[first.Step] = true
		found = append(found, journeyInsight(&route, &after, worse, first, now))
	}
	return found
}

// mostTelling is the least probable by chance.
func mostTelling(worse []journeys.Worse) *journeys.Worse {
	first := &worse[0]
	for i := range worse {
		if worse[i].Probability < first.Probability {
			first = &worse[i]
		}
	}
	return first
}

func journeyInsight(route *journeys.Route, after *journeys.Funnel, worse []journeys.Worse, first *journeys.Worse, now *Window) Insight {
	i := Insight{
		Kind: KindSlowerJourney, Urgency: UrgencyIncident, Service: first.Service, Operation: first.Operation, Confidence: 1 - first.Probability,
		Entries: []Entry{{Operation{first.Service, first.Operation}, 1}}, Requests: now.EntryTraces[Operation{first.Service, first.Operation}],
		Advice: "GET /traces/performance says what the step's latency is made of, and what of it changed.",
	}
	steps := make([]string, 0, len(route.Steps))
	for _, s := range route.Steps {
		steps = append(steps, s.Operation)
	}
	way := strings.Join(steps, " → ")
	for _, w := range worse {
		name, unit := "", UnitNS
		switch w.What {
		case journeys.WorseDuration:
			name = "typical duration of " + w.Operation
			if w.Step == first.Step {
				i.SavedTime = int64(w.After - w.Before)
			}
		case journeys.WorseSince:
			name = "typical time until " + w.Operation + " from the step before"
		case journeys.WorseConversion:
			name, unit = "journeys that come to "+w.Operation+" from the step before", UnitShare
		case journeys.WorseErrors:
			name, unit = "requests that fail at "+w.Operation, UnitShare
			if w.Step == first.Step {
				i.SavedFailures = int64((w.After - w.Before) * float64(i.Requests))
			}
		}
		i.Evidence = append(i.Evidence, figure(name, unit, w.After, w.Before))
	}
	i.Evidence = append(i.Evidence, Figure{"journeys of this way that were followed", UnitCount, float64(after.Journeys), nil})
	switch first.What {
	case journeys.WorseDuration:
		i.Title = fmt.Sprintf("Customers on %s wait longer at %s: %s instead of %s", way, first.Operation, duration(first.After), duration(first.Before))
	case journeys.WorseSince:
		i.Title = fmt.Sprintf("Customers on %s take longer to come to %s: %s instead of %s", way, first.Operation, duration(first.After), duration(first.Before))
	case journeys.WorseConversion:
		i.Title = fmt.Sprintf("Fewer customers on %s come to %s: %s instead of %s of those at the step before", way, first.Operation,
			percent(first.After), percent(first.Before))
	case journeys.WorseErrors:
		i.Title = fmt.Sprintf("More customers on %s fail at %s: %s instead of %s", way, first.Operation, percent(first.After), percent(first.Before))
	}
	i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 {
		v := &s.Visit
		if v.Service != first.Service || v.Operation != first.Operation || first.What == journeys.WorseErrors && !v.Failed {
			return 0
		}
		return float64(v.Duration)
	})
	return i
}
