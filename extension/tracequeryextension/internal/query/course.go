package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// course is what operations that answer calls did in each part of a window.
type course struct {
	now   time.Time // until when there can have been calls
	parts []tracestore.AggregateQuery
	of    map[tracestore.Operation][]capacity.Minute
}

func newCourse(window *tracestore.AggregateQuery, now time.Time) *course {
	return &course{now: now, parts: steps(window), of: make(map[tracestore.Operation][]capacity.Minute)}
}

// read reads the operations of each part, and hands each to also, without durations.
func (c *course) read(
	ctx context.Context, reader tracestore.AggregateReader, tenant string, also func(part int, o *tracestore.OperationAggregate),
) error {
	for i := range c.parts {
		seconds := c.seconds(i)
		part := c.parts[i]
		part.NoDurations = true
		for o, err := range reader.Operations(ctx, tenant, &part) {
			if err != nil {
				return err
			}
			also(i, &o)
			if seconds <= 0 || o.Calls <= 0 || o.Kind != "server" && o.Kind != "consumer" {
				continue
			}
			c.of[o.Operation] = append(c.of[o.Operation], capacity.Minute{
				Rate: float64(o.Calls) / seconds, Latency: float64(o.SelfTime) / float64(o.Calls),
			})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// seconds is how long a part is; 0 for one of which most is still to come, whose rates mean nothing.
func (c *course) seconds(part int) float64 {
	whole, so := wholeMinutes(&c.parts[part]), elapsed(&c.parts[part], c.now)
	if so < whole/2 {
		return 0
	}
	return so.Seconds()
}

// operationCourse is one operation in the parts in which it was called.
type operationCourse struct {
	tracestore.Operation

	minutes []capacity.Minute
}

// operations are by name.
func (c *course) operations() []operationCourse {
	list := make([]operationCourse, 0, len(c.of))
	for o, minutes := range c.of {
		list = append(list, operationCourse{o, minutes})
	}
	slices.SortFunc(list, func(a, b operationCourse) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation))
	})
	return list
}
