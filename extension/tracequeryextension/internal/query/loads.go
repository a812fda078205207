package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// readLoads says how busy services are, in the parts of the window and in the window before, and which operations come near a limit. until is the
// present: minutes after it had no time for calls.
func (r *performanceReader) readLoads(ctx context.Context, now, before *tracestore.AggregateQuery, until time.Time) error {
	of := func(service string) *ServiceLoad {
		if r.loads[service] == nil {
			r.loads[service] = &ServiceLoad{Service: service}
		}
		return r.loads[service]
	}
	course := newCourse(now, until)
	busy, part := make(map[string]int64), 0
	peaks := func() {
		for service, t := range busy {
			load := of(service)
			load.Peak = max(load.Peak, capacity.Concurrency(t, time.Duration(course.seconds(part)*float64(time.Second))))
		}
		clear(busy)
	}
	err := course.read(ctx, r.reader, r.tenant, func(at int, o *tracestore.OperationAggregate) {
		if at != part {
			peaks()
			part = at
		}
		busy[o.Service] += o.SelfTime
		of(o.Service).BusyTime += o.SelfTime
	})
	if err != nil {
		return err
	}
	if len(course.parts) > 0 {
		peaks()
	}
	for o, err := range r.reader.Operations(ctx, r.tenant, before) {
		if err != nil {
			return err
		}
		of(o.Service).Before += capacity.Concurrency(o.SelfTime, elapsed(before, until))
	}
	for _, load := range r.loads {
		load.Concurrency = capacity.Concurrency(load.BusyTime, elapsed(now, until))
		load.Peak = max(load.Peak, load.Concurrency)
	}
	for _, o := range course.operations() {
		if limit, ok := capacity.FindLimit(o.minutes); ok {
			r.limits = append(r.limits, OperationLimit{o.Operation, limit})
		}
	}
	slices.SortStableFunc(r.limits, func(a, b OperationLimit) int { return cmp.Compare(b.Utilisation, a.Utilisation) })
	r.limits = r.limits[:min(len(r.limits), maxLimits)]
	return nil
}

func (r *performanceReader) services() []ServiceLoad {
	services := make([]ServiceLoad, 0, len(r.loads))
	for _, load := range r.loads {
		services = append(services, *load)
	}
	slices.SortFunc(services, func(a, b ServiceLoad) int {
		return cmp.Or(cmp.Compare(b.Concurrency, a.Concurrency), cmp.Compare(a.Service, b.Service))
	})
	return services
}
