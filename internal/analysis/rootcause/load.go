package rootcause

import (
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// shifts are differences of logarithms of times.
type shifts struct{ own, wait float64 }

// commonShifts are by how much the logarithms of own times and of waits grew everywhere, of services (false) and of virtual peers (true): what became
// slower everywhere (more load, a slower host) is nobody's fault. Each service counts once, by the mean over its operations.
func (b *both) commonShifts() map[bool]shifts {
	own, wait := make([]statistics.Moments, len(b.services)), make([]statistics.Moments, len(b.services))
	for o := range b.operations {
		before, after := &b.normal.operations[o], &b.incident.operations[o]
		if before.own.N < minTraces || after.own.N < minTraces {
			continue
		}
		own[b.service[o]].Add(after.own.Mean - before.own.Mean)
		if before.waits() {
			wait[b.service[o]].Add(after.wait.Mean - before.wait.Mean)
		}
	}
	load := make(map[bool]shifts)
	for _, virtual := range []bool{false, true} {
		load[virtual] = shifts{b.common(own, virtual), b.common(wait, virtual)}
	}
	return load
}

// common is what at least half of the services, or of the virtual peers, have grown by; of less than five what all have. One or two say nothing of others.
func (b *both) common(grown []statistics.Moments, virtual bool) float64 {
	var all []float64
	for s, m := range grown {
		if m.N > 0 && b.virtual[s] == virtual {
			all = append(all, m.Mean)
		}
	}
	const few, some = 3, 5
	switch {
	case len(all) < few:
		return 0
	case len(all) < some:
		return max(0, slices.Min(all))
	}
	return max(0, statistics.Median(all))
}
