package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	// target is in how many of the faulty windows a culprit must be the first suspect, of ofFaulty.
	target, ofFaulty = 18, 20
)

// report counts the outcomes.
type report struct {
	outcomes                                              []outcome
	faulty, first, healthy, nobody                        int
	firstTraceRCA, firstMicroRank, firstSelf, firstErrors int
}

func newReport(outcomes []outcome) *report {
	r := &report{outcomes: outcomes}
	for i := range outcomes {
		o := &outcomes[i]
		if len(o.scenario.faults) == 0 {
			r.healthy++
			r.nobody += one(o.right())
			continue
		}
		r.faulty++
		r.first += one(o.right())
		r.firstTraceRCA += one(o.traceRCA == 1)
		r.firstMicroRank += one(o.microRank == 1)
		r.firstSelf += one(o.selfTime == 1)
		r.firstErrors += one(o.errors == 1)
	}
	return r
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// enough says whether so many of the faulty windows are right.
func (r *report) enough() bool { return r.first*ofFaulty >= target*r.faulty }

func (r *report) passed() bool {
	return r.enough() && r.nobody == r.healthy && r.first > r.firstSelf && r.first > r.firstErrors
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%-5s%-58s%-62s%5s%6s%6s%6s%7s\n", "", "fault", "suspects (confidence)", "place", "TRCA", "MRank", "self", "errors")
	for i := range r.outcomes {
		o := &r.outcomes[i]
		verdict := "ok"
		if !o.right() {
			verdict = "MISS"
		}
		var named []string
		for _, s := range o.suspects[:min(3, len(o.suspects))] {
			role := ""
			if s.Caller {
				role = " as caller"
			}
			named = append(named, fmt.Sprintf("%s%s (%.2f)", s.Service, role, s.Confidence))
		}
		if len(named) == 0 {
			named = []string{"nobody"}
		}
		fmt.Fprintf(w, "%-5s%-58s%-62s%5s%6s%6s%6s%7s\n", verdict, o.scenario.String(), strings.Join(named, ", "),
			ordinal(o.place), ordinal(o.traceRCA), ordinal(o.microRank), ordinal(o.selfTime), ordinal(o.errors))
	}
	line := func(name, figure, target string, ok bool) {
		verdict := "PASS"
		if !ok {
			verdict = "FAIL"
		}
		fmt.Fprintf(w, "%-60s%12s   %-22s%s\n", name, figure, target, verdict)
	}
	of := func(n, all int) string { return fmt.Sprintf("%d of %d", n, all) }
	line("faulty windows with the injected service first", of(r.first, r.faulty), fmt.Sprintf("at least %d of %d", target, ofFaulty), r.enough())
	line("windows without a fault in which nobody is named", of(r.nobody, r.healthy), "all", r.nobody == r.healthy)
	line("  the largest self time first, naively", of(r.firstSelf, r.faulty), "fewer than ours", r.first > r.firstSelf)
	line("  the most errors first, naively", of(r.firstErrors, r.faulty), "fewer than ours", r.first > r.firstErrors)
	fmt.Fprintf(w, "%-60s%12s\n%-60s%12s\n", "  TraceRCA alone, as published", of(r.firstTraceRCA, r.faulty), "  MicroRank alone, as published", of(r.firstMicroRank, r.faulty))
}

func ordinal(place int) string {
	if place == 0 {
		return "-"
	}
	return fmt.Sprint(place)
}
