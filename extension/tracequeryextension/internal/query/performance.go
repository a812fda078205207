package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/analysis/latencyprofile"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// PerformanceQuery says of what the performance is wanted.
type PerformanceQuery struct {
	// Window's Service is not used.
	Window tracestore.AggregateQuery
	// Entry limits the answer to entries of this service and operation, each where not empty.
	Entry tracestore.Operation
	// Limit is the most entries to answer.
	Limit int
}

// Performance is what the latency of requests is made of in a window, and in the one of the same length before.
type Performance struct {
	// Previous is the window before, in whole minutes.
	Previous tracestore.AggregateQuery
	// Entries are those that requests waited for longest in all, of equals by name. More says that there are more.
	Entries []EntryPerformance
	More    bool
	// Services are by concurrency, the highest first, of equals by name.
	Services     []ServiceLoad
	Completeness tracestore.Completeness
}

// EntryPerformance is that of the requests of one entry.
type EntryPerformance struct {
	tracestore.Operation
	Now, Before EntryWindow
	Profile     latencyprofile.Profile
}

// EntryWindow is an entry in one window.
type EntryWindow struct {
	Traces, Errors int64
	Durations      tracestore.Durations
	whole          int64 // traces whose critical path is known
	rows           []latencyprofile.Row
}

// ServiceLoad is how busy a service is.
type ServiceLoad struct {
	Service string
	// Concurrency is how many calls it works on at a time, in the mean (Little's law), now and in the window before.
	Concurrency, Before float64
	// BusyTime is the sum of its self times now, nanoseconds.
	BusyTime int64
}

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
	windows := []*tracestore.AggregateQuery{&now, &p.Previous}
	entries := make(map[tracestore.Operation]*EntryPerformance)
	busy := make(map[string]*ServiceLoad)
	for i, w := range windows {
		if err := readEntries(ctx, reader, tenant, w, asked.Entry, func(o tracestore.Operation) *EntryWindow {
			e := entries[o]
			if e == nil {
				e = &EntryPerformance{Operation: o}
				entries[o] = e
			}
			if i == 0 {
				return &e.Now
			}
			return &e.Before
		}); err != nil {
			return nil, err
		}
		sums, err := busyTimes(ctx, reader, tenant, w)
		if err != nil {
			return nil, err
		}
		length := wholeMinutes(w)
		for service, t := range sums {
			load := busy[service]
			if load == nil {
				load = &ServiceLoad{Service: service}
				busy[service] = load
			}
			if i == 0 {
				load.BusyTime, load.Concurrency = t, capacity.Concurrency(t, length)
			} else {
				load.Before = capacity.Concurrency(t, length)
			}
		}
	}
	p.Entries, p.More = ranked(entries, asked.Limit)
	for _, load := range busy {
		p.Services = append(p.Services, *load)
	}
	slices.SortFunc(p.Services, func(a, b ServiceLoad) int {
		return cmp.Or(cmp.Compare(b.Concurrency, a.Concurrency), cmp.Compare(a.Service, b.Service))
	})
	if p.Completeness, err = reader.Completeness(ctx, tenant, &now); err != nil {
		return nil, err
	}
	return p, ctx.Err()
}

// ranked takes the latency of entries apart and sorts them by the time that their requests took now, in all.
func ranked(entries map[tracestore.Operation]*EntryPerformance, limit int) (sorted []EntryPerformance, more bool) {
	for _, e := range entries {
		e.Profile = latencyprofile.New(
			latencyprofile.Window{Traces: e.Now.whole, Rows: e.Now.rows}, latencyprofile.Window{Traces: e.Before.whole, Rows: e.Before.rows},
		)
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

// readEntries adds up the entries of a window into what of returns for each.
func readEntries(
	ctx context.Context, reader tracestore.AggregateReader, tenant string, window *tracestore.AggregateQuery, wanted tracestore.Operation,
	of func(tracestore.Operation) *EntryWindow,
) error {
	matches := func(o tracestore.Operation) bool {
		return (wanted.Service == "" || wanted.Service == o.Service) && (wanted.Operation == "" || wanted.Operation == o.Operation)
	}
	for entry, err := range reader.Entries(ctx, tenant, window) {
		if err != nil {
			return err
		}
		if !matches(entry.Operation) {
			continue
		}
		w := of(entry.Operation)
		w.Traces += entry.Traces
		w.Errors += entry.Errors
		w.whole += entry.Traces - entry.Outcomes[conventions.OutcomePart] - entry.Outcomes[conventions.OutcomeInterim]
		if w.Durations, err = mergeDurations(w.Durations, entry.Durations); err != nil {
			return err
		}
	}
	for row, err := range reader.EntryOperations(ctx, tenant, window) {
		if err != nil {
			return err
		}
		if matches(row.Entry) {
			w := of(row.Entry)
			w.rows = append(w.rows, latencyprofile.Row{
				Service: row.Service, Operation: row.Operation.Operation, Calls: row.Calls, PathTime: row.CriticalPathTime,
			})
		}
	}
	return nil
}

// busyTimes are the sums of self times by service.
func busyTimes(ctx context.Context, reader tracestore.AggregateReader, tenant string, window *tracestore.AggregateQuery) (map[string]int64, error) {
	sums := make(map[string]int64)
	for o, err := range reader.Operations(ctx, tenant, window) {
		if err != nil {
			return nil, err
		}
		sums[o.Service] += o.SelfTime
	}
	return sums, nil
}

// previous is the window of the same whole minutes before. A window whose like would lie before what times hold has one without time.
func previous(window tracestore.AggregateQuery) tracestore.AggregateQuery {
	length := wholeMinutes(&window)
	before := window
	before.End = window.Start.Truncate(time.Minute)
	before.Start = before.End.Add(-length)
	if earliest := time.Unix(0, 0); before.Start.Before(earliest) {
		before.Start = earliest
		before.End = earliest.Add(max(0, before.End.Sub(earliest)))
	}
	return before
}

// wholeMinutes is the length of the minutes that the window touches.
func wholeMinutes(window *tracestore.AggregateQuery) time.Duration {
	start, end := window.Minutes()
	return end.Sub(start)
}
