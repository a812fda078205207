// Package blastradius says who suffers when a service fails, by the requests that really came.
package blastradius

import (
	"cmp"
	"slices"
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

// Failure is one kind of failure that began in the service, in requests of an entry: how often it did, and how many of the Read traces with it
// failed as a whole.
type Failure struct {
	Entry        Entry
	Count        int64
	Read, Failed int
}

// Suffering is what a service's failures did to the requests of an entry.
type Suffering struct {
	Entry Entry
	// Failures began in the service, Read traces with them were looked at.
	Failures int64
	Read     int
	// Share is the share of requests with such a failure that failed as a whole, in the mean over all failures of kinds of which a trace was read: 0
	// where whoever calls does without.
	Share float64
}

// Observe adds kinds of failures up by entry, the entries with the most failed requests first, of equals by name.
func Observe(failures []Failure) []Suffering {
	type sum struct {
		Suffering

		failed, known float64
	}
	found := make(map[Entry]*sum)
	for _, f := range failures {
		if f.Count <= 0 {
			continue
		}
		s := found[f.Entry]
		if s == nil {
			s = &sum{Suffering: Suffering{Entry: f.Entry}}
			found[f.Entry] = s
		}
		s.Failures += f.Count
		if f.Read > 0 {
			s.Read += f.Read
			s.known += float64(f.Count)
			s.failed += float64(f.Count) * float64(f.Failed) / float64(f.Read)
		}
	}
	suffering := make([]Suffering, 0, len(found))
	for _, s := range found {
		if s.known > 0 {
			s.Share = s.failed / s.known
		}
		suffering = append(suffering, s.Suffering)
	}
	slices.SortFunc(suffering, func(a, b Suffering) int {
		return cmp.Or(
			cmp.Compare(b.Share*float64(b.Failures), a.Share*float64(a.Failures)), cmp.Compare(b.Failures, a.Failures),
			cmp.Compare(a.Entry.Service, b.Entry.Service), cmp.Compare(a.Entry.Operation, b.Entry.Operation),
		)
	})
	return suffering
}
