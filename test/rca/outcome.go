package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/tracewright/tracewright/internal/analysis/rootcause"
)

// outcome is what was said of a scenario.
type outcome struct {
	scenario scenario
	suspects []rootcause.Suspect
	// Places of the first culprit, from 1 on, 0 for none: among the suspects, in the published rankings, and in the naive ones.
	place, traceRCA, microRank, selfTime, errors int
}

// right says whether a culprit is the first suspect, or nobody is where there is none.
func (o *outcome) right() bool {
	if len(o.scenario.faults) == 0 {
		return len(o.suspects) == 0
	}
	return o.place == 1
}

// evaluate works on scenarios side by side.
func evaluate(ctx context.Context, scenarios []scenario) ([]outcome, error) {
	outcomes := make([]outcome, len(scenarios))
	failures := make([]error, len(scenarios))
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range scenarios {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if failures[i] = ctx.Err(); failures[i] != nil {
				return
			}
			normal, incident, err := scenarios[i].windows()
			if err != nil {
				failures[i] = fmt.Errorf("%s: %w", scenarios[i].String(), err)
				return
			}
			outcomes[i] = judge(scenarios[i], normal, incident)
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

func judge(s scenario, normal, incident *window) outcome {
	o := outcome{scenario: s, suspects: rootcause.Suspects(normal.traces, incident.traces)}
	named := make([]string, len(o.suspects))
	for i := range o.suspects {
		named[i] = o.suspects[i].Service
	}
	o.place = s.place(named)
	o.traceRCA = s.place(services(rootcause.TraceRCA(normal.traces, incident.traces)))
	o.microRank = s.place(services(rootcause.MicroRank(normal.traces, incident.traces)))
	o.selfTime, o.errors = s.place(most(incident.selfTime)), s.place(most(incident.errors))
	return o
}

func services(scores []rootcause.Score) []string {
	names := make([]string, len(scores))
	for i := range scores {
		names[i] = scores[i].Service
	}
	return names
}

// place is that of the first culprit in a ranking, 0 if none is in it.
func (s *scenario) place(ranked []string) int {
	return slices.IndexFunc(ranked, func(name string) bool { return slices.Contains(s.culprits(), name) }) + 1
}
