package insights

import (
	"fmt"

	"github.com/tracewright/tracewright/internal/analysis"
)

// NPlusOne tells which operations ask for the same thing one by one, where one call could ask for all, or ask the same query again.
func NPlusOne(now, before *Window) []Insight {
	return wasteful(now, before, KindNPlusOne, func(p *Pattern) (waste, bool) {
		return waste{p.At, p.Callee}, p.Kind == analysis.FindingNPlusOne || p.Kind == analysis.FindingRepeatedQuery
	}, func(i *Insight, w *wasted) {
		calls := share(float64(w.spans), float64(w.found))
		i.Others = []string{w.Callee.Service}
		i.Title = fmt.Sprintf("%s asks %s %.0f times in a row where once could do: %s of a request", w.At, w.Callee, calls, duration(float64(i.SavedTime)))
		i.Advice = fmt.Sprintf("Let %s ask for all at once (a list, a join, a batch), or remember the answer.", w.At.Service)
		i.Evidence = append(i.Evidence, Figure{"calls in a row", UnitCount, calls, nil})
	})
}
