package insights

import (
	"fmt"

	"github.com/tracewright/tracewright/internal/analysis"
)

// SerialCalls tells which operations make calls one after the other that could run side by side, if none needs another's answer.
func SerialCalls(now, before *Window) []Insight {
	return wasteful(now, before, KindSerialCalls, func(p *Pattern) (waste, bool) {
		return waste{At: p.At}, p.Kind == analysis.FindingSerialCalls
	}, func(i *Insight, w *wasted) {
		calls := share(float64(w.spans), float64(w.found))
		i.Title = fmt.Sprintf("%s makes %.0f calls one after the other: side by side they would save %s of a request", w.At, calls, duration(float64(i.SavedTime)))
		i.Advice = "Find which of the calls need no other's answer, and make those at the same time. No span says which do."
		i.Evidence = append(i.Evidence, Figure{"calls one after the other", UnitCount, calls, nil})
	})
}
