// Package blastradius says who suffers when a service fails, by the requests that really came.
package blastradius

import (
	"cmp"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/rootcause"
)

// Entry is an operation by which requests enter.
type Entry struct{ Service, Operation string }

// Row is in how many traces of an entry an operation of the service took part.
type Row struct {
	Entry  Entry
	Traces int64
}

// Reach is how much of an entry depends on the service. A trace can pass through several of its operations; rows do not say whether it does, so the share of
// traces that pass through the service lies between the largest of its operations and their sum.
type Reach struct {
	Entry           Entry
	Traces          int64 // of the entry
	AtLeast, AtMost float64
}

// Radius are the entries whose traces pass through a service, by AtLeast times the entry's traces, the most first, of equals by name. rows are those of the
// service alone; traces counts the requests of each entry.
func Radius(rows []Row, traces map[Entry]int64) []Reach {
	passed := make(map[Entry]Passed)
	for _, r := range rows {
		if r.Traces > 0 {
			p := passed[r.Entry]
			passed[r.Entry] = Passed{max(p.AtLeast, r.Traces), p.AtMost + r.Traces}
		}
	}
	return Reached(passed, traces)
}

// Passed are the bounds of how many traces of an entry pass through the service.
type Passed struct{ AtLeast, AtMost int64 }

// Reached is Radius for what is known of the whole service already.
func Reached(passed map[Entry]Passed, traces map[Entry]int64) []Reach {
	var reached []Reach
	for entry, p := range passed {
		if all := traces[entry]; all > 0 && p.AtLeast > 0 {
			reached = append(reached, Reach{
				entry, all, min(1, float64(p.AtLeast)/float64(all)), min(1, float64(max(p.AtLeast, p.AtMost))/float64(all)),
			})
		}
	}
	slices.SortFunc(reached, func(a, b Reach) int {
		return cmp.Or(
			cmp.Compare(b.AtLeast*float64(b.Traces), a.AtLeast*float64(a.Traces)),
			cmp.Compare(a.Entry.Service, b.Entry.Service), cmp.Compare(a.Entry.Operation, b.Entry.Operation),
		)
	})
	return reached
}

// Suffering is what a service's failures did to the requests of an entry.
type Suffering struct {
	Entry Entry
	// Traces passed through the service; in Failing a failure began there; Failed of these failed themselves.
	Traces, Failing, Failed int
	// Share is Failed of Failing: 0 where all failures are absorbed.
	Share float64
}

// Observe looks what became of requests in which a failure began in the service, by entry, the most failed first, of equals by name. At most
// rootcause.MaxTraces are looked at, the first ones.
func Observe(traces []rootcause.Trace, service string) []Suffering {
	found := make(map[Entry]*Suffering)
	for i := range traces[:min(len(traces), rootcause.MaxTraces)] {
		t := &traces[i]
		passes, failing := false, false
		for k := range t.Calls {
			if c := &t.Calls[k]; c.Callee.Service == service {
				passes = true
				failing = failing || c.Origin
			}
		}
		if !passes {
			continue
		}
		entry := Entry{t.Entry.Service, t.Entry.Operation}
		s := found[entry]
		if s == nil {
			s = &Suffering{Entry: entry}
			found[entry] = s
		}
		s.Traces++
		if failing {
			s.Failing++
			if t.Failed {
				s.Failed++
			}
		}
	}
	suffering := make([]Suffering, 0, len(found))
	for _, s := range found {
		if s.Failing > 0 {
			s.Share = float64(s.Failed) / float64(s.Failing)
		}
		suffering = append(suffering, *s)
	}
	slices.SortFunc(suffering, func(a, b Suffering) int {
		return cmp.Or(
			cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.Traces, a.Traces),
			cmp.Compare(a.Entry.Service, b.Entry.Service), cmp.Compare(a.Entry.Operation, b.Entry.Operation),
		)
	})
	return suffering
}
