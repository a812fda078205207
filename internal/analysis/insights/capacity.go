package insights

import (
	"fmt"

	"github.com/tracewright/tracewright/internal/analysis/capacity"
)

// Load is what an operation of a service did in parts of the window in which its load was as good as constant.
type Load struct {
	Operation

	Minutes []capacity.Minute
}

const (
	// minUtilisation is from which share of its limit on an operation is told, nearLimit from which on it is urgent.
	minUtilisation = 0.5
	nearLimit      = 0.85
)

// CapacityLimits tells which operations become slower the more they are called, and how far they are from their limit.
func CapacityLimits(now, _ *Window) (found []Insight) {
	for i := range now.Loads {
		load := &now.Loads[i]
		limit, ok := capacity.FindLimit(load.Minutes)
		if !ok || limit.Utilisation < minUtilisation {
			continue
		}
		calls, time := 0.0, 0.0
		for _, m := range load.Minutes {
			if m.Rate > 0 && m.Latency > 0 {
				calls += m.Rate
				time += m.Rate * m.Latency
			}
		}
		mean := share(time, calls)
		insight := Insight{
			Kind: KindCapacityLimit, Urgency: UrgencyImprovement, Service: load.Service, Operation: load.Operation.Operation, Confidence: limit.Fit,
			Title: fmt.Sprintf("%s saturates at about %s calls a second; it had up to %s, %s of that", load.Operation, rate(limit.Rate), rate(limit.Busiest),
				percent(limit.Utilisation)),
			Advice: fmt.Sprintf("Add instances of %s, or find what its calls queue for, before the load grows by %s.", load.Service,
				percent(share(limit.Rate-limit.Busiest, limit.Busiest))),
			SavedTime: int64(max(0, mean-limit.Unloaded)),
			Requests:  now.passing(load.Operation),
			Evidence: []Figure{
				{"calls a second at which it has no end", UnitPerSecond, limit.Rate, nil},
				{"at least, with 95 % confidence", UnitPerSecond, limit.Low, nil},
				{"at most, with 95 % confidence", UnitPerSecond, limit.High, nil},
				{"the highest rate seen", UnitPerSecond, limit.Busiest, nil},
				figure("own work of a call, and without load", UnitNS, mean, limit.Unloaded),
				{"share of the variation that the model explains", UnitShare, limit.Fit, nil},
			},
		}
		if limit.Utilisation >= nearLimit {
			insight.Urgency = UrgencyIncident
		}
		found = append(found, insight)
	}
	return found
}

// passing is in how many requests an operation took part.
func (w *Window) passing(o Operation) (traces int64) {
	for _, p := range w.Parts {
		if p.Operation == o {
			traces += p.Traces
		}
	}
	return traces
}
