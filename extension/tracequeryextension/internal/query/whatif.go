package query

import (
	"context"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/whatif"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// WhatIfQuery asks what requests would be if an operation were faster or slower.
type WhatIfQuery struct {
	tracestore.Operation
	// Factor multiplies its own time: 0.5 is twice as fast, 0 not there.
	Factor float64
	// SampleTime is for how long traces are read to time them anew, over all entries.
	SampleTime time.Duration
}

// WhatIf is what to expect.
type WhatIf struct {
	WhatIfQuery
	// Entries are those of the answer whose requests wait for the operation, in its order.
	Entries []EntryWhatIf
}

// EntryWhatIf is what to expect of the requests of one entry.
type EntryWhatIf struct {
	tracestore.Operation
	// AtMost is what the mean request could save at most, by what rollups know, nanoseconds; negative for what it would at least lose.
	AtMost float64
	// Expected is by traces that were timed anew; Sample says how many.
	Expected whatif.Expectation
	Sample   SampleInfo

	parts []windowPart
}

// parts are the window as its course has it.
func (e *EntryPerformance) parts(window *tracestore.AggregateQuery) (parts []windowPart) {
	for i, step := range steps(window) {
		parts = append(parts, windowPart{step.Start, step.End, e.Points[i].Traces})
	}
	return parts
}

// maxWhatIfEntries is for how many entries traces are timed anew.
const maxWhatIfEntries = 5

func (r *performanceReader) whatIf(
	ctx context.Context, window *tracestore.AggregateQuery, asked *WhatIfQuery, entries []EntryPerformance,
) (*WhatIf, error) {
	answer := &WhatIf{WhatIfQuery: *asked}
	for i := range entries {
		e, path := &entries[i], int64(0)
		for _, row := range e.Now.rows {
			if row.Service == asked.Service && row.Operation == asked.Operation.Operation {
				path += row.PathTime
			}
		}
		if path > 0 && len(answer.Entries) < maxWhatIfEntries {
			answer.Entries = append(answer.Entries, EntryWhatIf{
				Operation: e.Operation, AtMost: whatif.AtMost(path, e.Now.whole, asked.Factor), parts: e.parts(window),
			})
		}
	}
	for i := range answer.Entries {
		e := &answer.Entries[i]
		drawn := sampling{
			reader: r.reader, tenant: r.tenant, window: *window, where: inEnvironment(window.Environment), parts: e.parts,
			until: time.Now().Add(asked.SampleTime / time.Duration(len(answer.Entries))),
		}
		drawn.where.Trace.Entry = e.Operation
		var timings []whatif.Timing
		err := drawn.draw(ctx, func(n int) { timings = make([]whatif.Timing, n) }, func(place int, result *analysis.Result) {
			timings[place] = whatif.Timing{Before: result.RootDuration, After: result.WhatIf(asked.Service, asked.Operation.Operation, asked.Factor)}
		})
		if err != nil {
			return nil, err
		}
		e.Expected = whatif.Expect(slices.DeleteFunc(timings, func(t whatif.Timing) bool { return t == whatif.Timing{} })) // not read
		e.Sample = drawn.info
	}
	return answer, nil
}
