package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/analysis/cost"
	"github.com/tracewright/tracewright/internal/analysis/efficiency"
	"github.com/tracewright/tracewright/internal/analysis/latencyprofile"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// PerformanceQuery says of what the performance is wanted.
type PerformanceQuery struct {
	// Window's Service is not used.
	Window tracestore.AggregateQuery
	// Now is until when there can have been calls.
	Now time.Time
	// Entry limits the answer to entries of this service and operation, each where not empty.
	Entry tracestore.Operation
	// Limit is the most entries to answer.
	Limit int
	// WhatIf is nil where nothing of the kind is asked.
	WhatIf *WhatIfQuery
}

// Performance is what the latency of requests is made of in a window, and in the one of the same length before.
type Performance struct {
	// Previous is the window before, in whole minutes.
	Previous tracestore.AggregateQuery
	// Entries are those that requests waited for longest in all, of equals by name. More says that there are more.
	Entries []EntryPerformance
	More    bool
	// Bottlenecks are the operations that all requests waited for longest, over the entries that are asked for.
	Bottlenecks []Bottleneck
	// Services are by concurrency, the highest first, of equals by name.
	Services []ServiceLoad
	// Limits are the operations that become slower with their load, the most utilised first.
	Limits []OperationLimit
	// Currency is that of costs, empty where no prices are known.
	Currency     string
	WhatIf       *WhatIf
	Completeness tracestore.Completeness
}

// EntryPerformance is that of the requests of one entry.
type EntryPerformance struct {
	tracestore.Operation
	Now, Before EntryWindow
	Profile     latencyprofile.Profile
	// Points are the course of the window.
	Points []EntryPoint
	// Bill is nil where no prices are known.
	Bill, BillBefore             *cost.Bill
	Efficiency, EfficiencyBefore efficiency.Efficiency
}

// EntryWindow is an entry in one window.
type EntryWindow struct {
	Traces, Errors int64
	Durations      tracestore.Durations

	whole int64 // traces whose critical path is known
	rows  []latencyprofile.Row
	busy  []cost.Row
	work  efficiency.Window
}

// Known says whether the critical path of any of its traces is known.
func (w *EntryWindow) Known() bool { return w.whole > 0 }

// EntryPoint is an entry in a part of the window.
type EntryPoint struct {
	Start          time.Time
	Traces, Errors int64
	Durations      tracestore.Durations
}

// Bottleneck is an operation that requests waited for.
type Bottleneck struct {
	tracestore.Operation
	// Time is for how long, in sum, nanoseconds; Before the same in the window before. Share is its part of what all requests took.
	Time, Before int64
	Share        float64
	// Entries counts those whose requests waited for it.
	Entries int
}

// ServiceLoad is how busy a service is.
type ServiceLoad struct {
	Service string
	// Concurrency is how many calls it works on at a time, in the mean (Little's law), now and in the window before; Peak is the highest of a part of the window.
	Concurrency, Before, Peak float64
	// BusyTime is the sum of its self times now, nanoseconds.
	BusyTime int64
}

// OperationLimit is where an operation saturates.
type OperationLimit struct {
	tracestore.Operation
	capacity.Limit
}

const (
	// maxBottlenecks is how many are told, maxLimits how many limits.
	maxBottlenecks = 20
	maxLimits      = 100
)

// Performance answers what the latency of requests is made of, and what changed. Errors: tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Performance(ctx context.Context, tenant string, asked *PerformanceQuery) (*Performance, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	p, err := s.readPerformance(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("read the performance: %w", err)
	}
	return p, nil
}

func (s *Service) readPerformance(ctx context.Context, tenant string, asked *PerformanceQuery) (*Performance, error) {
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	now := asked.Window
	now.Service = ""
	p := &Performance{Previous: previous(now)}
	r := performanceReader{
		reader: reader, tenant: tenant, wanted: asked.Entry,
		entries: make(map[tracestore.Operation]*EntryPerformance), loads: make(map[string]*ServiceLoad),
	}
	if err = r.readEntries(ctx, &now, func(e *EntryPerformance) *EntryWindow { return &e.Now }); err != nil {
		return nil, err
	}
	if err = r.readEntries(ctx, &p.Previous, func(e *EntryPerformance) *EntryWindow { return &e.Before }); err != nil {
		return nil, err
	}
	if err = r.readLoads(ctx, &now, &p.Previous, asked.Now); err != nil {
		return nil, err
	}
	p.Services, p.Limits = r.services(), r.limits
	p.Bottlenecks = r.bottlenecks()
	if len(s.Prices) > 0 {
		p.Currency = s.Currency
		r.addBills(s.Prices)
	}
	p.Entries, p.More = r.ranked(asked.Limit)
	if err := r.readCourse(ctx, &now, p.Entries); err != nil {
		return nil, err
	}
	if asked.WhatIf != nil {
		wanted := *asked.WhatIf
		wanted.SampleTime = min(wanted.SampleTime, s.Timeout/2)
		if p.WhatIf, err = r.whatIf(ctx, &now, &wanted, p.Entries); err != nil {
			return nil, err
		}
	}
	if p.Completeness, err = reader.Completeness(ctx, tenant, &now); err != nil {
		return nil, err
	}
	return p, ctx.Err()
}

// performanceReader puts together what rollups say.
type performanceReader struct {
	reader  tracestore.Reader
	tenant  string
	wanted  tracestore.Operation
	entries map[tracestore.Operation]*EntryPerformance
	loads   map[string]*ServiceLoad
	limits  []OperationLimit
}

func (r *performanceReader) wants(o tracestore.Operation) bool {
	return (r.wanted.Service == "" || r.wanted.Service == o.Service) && (r.wanted.Operation == "" || r.wanted.Operation == o.Operation)
}

func (r *performanceReader) entry(o tracestore.Operation) *EntryPerformance {
	e := r.entries[o]
	if e == nil {
		e = &EntryPerformance{Operation: o}
		r.entries[o] = e
	}
	return e
}

// readEntries adds up the entries of a window into what of takes of each.
func (r *performanceReader) readEntries(ctx context.Context, window *tracestore.AggregateQuery, of func(*EntryPerformance) *EntryWindow) error {
	for entry, err := range r.reader.Entries(ctx, r.tenant, window) {
		if err != nil {
			return err
		}
		if !r.wants(entry.Operation) {
			continue
		}
		w := of(r.entry(entry.Operation))
		w.Traces += entry.Traces
		w.Errors += entry.Errors
		w.whole += entry.Traces - entry.Outcomes[conventions.OutcomePart] - entry.Outcomes[conventions.OutcomeInterim]
		if w.Durations, err = mergeDurations(w.Durations, entry.Durations); err != nil {
			return err
		}
	}
	for row, err := range r.reader.EntryOperations(ctx, r.tenant, window) {
		if err != nil {
			return err
		}
		if r.wants(row.Entry) {
			of(r.entry(row.Entry)).add(&row)
		}
	}
	return nil
}

func (w *EntryWindow) add(row *tracestore.EntryOperationAggregate) {
	w.rows = append(w.rows, latencyprofile.Row{
		Service: row.Service, Operation: row.Operation.Operation, Calls: row.Calls, PathTime: row.CriticalPathTime,
	})
	w.busy = append(w.busy, cost.Row{Entry: cost.Entry(row.Entry), Service: row.Service, BusyTime: row.SelfTime})
	w.work.BusyTime += row.SelfTime
	w.work.PathTime += row.CriticalPathTime
	w.work.Calls += row.Calls
	w.work.FailedCalls += row.Errors
}

// ranked takes the latency of entries apart and sorts them by the time that their requests took now, in all.
func (r *performanceReader) ranked(limit int) (sorted []EntryPerformance, more bool) {
	for _, e := range r.entries {
		e.Profile = latencyprofile.New(
			latencyprofile.Window{Traces: e.Now.whole, Rows: e.Now.rows}, latencyprofile.Window{Traces: e.Before.whole, Rows: e.Before.rows},
		)
		e.Efficiency, e.EfficiencyBefore = e.Now.efficiency(), e.Before.efficiency()
		sorted = append(sorted, *e)
	}
	slices.SortFunc(sorted, func(a, b EntryPerformance) int {
		return cmp.Or(
			cmp.Compare(b.Profile.Now*float64(b.Now.whole), a.Profile.Now*float64(a.Now.whole)), cmp.Compare(b.Now.Traces, a.Now.Traces),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation),
		)
	})
	if len(sorted) > limit {
		return sorted[:limit], true
	}
	return sorted, false
}

func (w *EntryWindow) efficiency() efficiency.Efficiency {
	work := w.work
	work.Traces, work.Errors = w.Traces, w.Errors
	return efficiency.New(work)
}

// bottlenecks add up, over entries, what requests waited for.
func (r *performanceReader) bottlenecks() []Bottleneck {
	sums := make(map[tracestore.Operation]*Bottleneck)
	all := int64(0)
	of := func(row *latencyprofile.Row) *Bottleneck {
		o := tracestore.Operation{Service: row.Service, Operation: row.Operation}
		if sums[o] == nil {
			sums[o] = &Bottleneck{Operation: o}
		}
		return sums[o]
	}
	for _, e := range r.entries {
		for i := range e.Now.rows {
			row := &e.Now.rows[i]
			b := of(row)
			b.Time += row.PathTime
			all += row.PathTime
			if row.PathTime > 0 {
				b.Entries++
			}
		}
		for i := range e.Before.rows {
			of(&e.Before.rows[i]).Before += e.Before.rows[i].PathTime
		}
	}
	sorted := make([]Bottleneck, 0, len(sums))
	for _, b := range sums {
		if b.Time > 0 {
			b.Share = float64(b.Time) / float64(all)
			sorted = append(sorted, *b)
		}
	}
	slices.SortFunc(sorted, func(a, b Bottleneck) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation))
	})
	return sorted[:min(len(sorted), maxBottlenecks)]
}

// addBills says what the requests of entries cost.
func (r *performanceReader) addBills(prices cost.Prices) {
	for o, e := range r.entries {
		e.Bill, e.BillBefore = e.Now.bill(o, prices), e.Before.bill(o, prices)
	}
}

// bill is nil without traces.
func (w *EntryWindow) bill(entry tracestore.Operation, prices cost.Prices) *cost.Bill {
	if w.Traces <= 0 {
		return nil
	}
	bills := cost.Bills(w.busy, map[cost.Entry]int64{cost.Entry(entry): w.Traces}, prices)
	if len(bills) == 0 {
		return &cost.Bill{Entry: cost.Entry(entry), Traces: w.Traces}
	}
	return &bills[0]
}

// readCourse reads the course of the entries that are answered.
func (r *performanceReader) readCourse(ctx context.Context, window *tracestore.AggregateQuery, entries []EntryPerformance) error {
	at := make(map[tracestore.Operation]*EntryPerformance, len(entries))
	for i := range entries {
		at[entries[i].Operation] = &entries[i]
	}
	for _, part := range steps(window) {
		for i := range entries {
			entries[i].Points = append(entries[i].Points, EntryPoint{Start: part.Start})
		}
		for entry, err := range r.reader.Entries(ctx, r.tenant, &part) {
			if err != nil {
				return err
			}
			e := at[entry.Operation]
			if e == nil {
				continue
			}
			point := &e.Points[len(e.Points)-1]
			point.Traces += entry.Traces
			point.Errors += entry.Errors
			if point.Durations, err = mergeDurations(point.Durations, entry.Durations); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
