package query

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// minUsualCalls is how many calls say what is usual.
	minUsualCalls = 30
	// maxUsualMinutes and maxUsualSeries bound what is remembered: some MiB.
	maxUsualMinutes = 2000
	maxUsualSeries  = 50_000
	// usualTimeout bounds the reading: a trace is worth more than what is usual.
	usualTimeout = 250 * time.Millisecond
)

// usualMinutes are the minutes before a trace that say what is usual: every fifth of an hour, so that what has just begun to be slow is
// compared with what was before, and reading takes as long as for twelve minutes; and then, where these do not have
// enough calls, the last four. The minute of the trace itself is none of them.
var usualMinutes = [][]int64{
	{5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60},
	{1, 2, 3, 4},
}

// usual knows what the operations of services take themselves, minute by minute: traces that are looked at one after the other are mostly of the same
// hours. The zero value is ready.
type usual struct {
	mu     sync.Mutex // guards what follows
	sums   map[usualKey]map[operationKind]usualSum
	series int // in all of sums
}

// usualKey names a minute.
type usualKey struct {
	tenant string
	minute int64 // Unix
}

type operationKind struct {
	tracestore.Operation
	kind tracestore.SpanKind
}

type usualSum struct{ calls, selfTime int64 }

// usualSelfTime is what the bottleneck's operation takes itself, in the mean over the hour before the trace was released, in nanoseconds. It
// is 0 where that is not known.
func (s *Service) usualSelfTime(ctx context.Context, tenant string, trace *Trace) int64 {
	i := trace.Analysis.Bottleneck
	if i < 0 || trace.Release.ReleasedAt <= 0 {
		return 0
	}
	reader, err := s.Storage()
	if err != nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, usualTimeout)
	defer cancel()
	span := &trace.Analysis.Spans[i]
	of := operationKind{
		tracestore.Operation{Service: span.Service, Operation: span.Operation}, strings.ToLower(trace.Analysis.Tree.Nodes[i].Kind().String()),
	}
	released := time.Unix(0, trace.Release.ReleasedAt).Truncate(time.Minute).Unix()
	var total usualSum
	for _, minutes := range usualMinutes {
		for _, before := range minutes {
			sum, err := s.usual.of(ctx, reader, usualKey{tenant, released - 60*before}, of)
			if err != nil {
				return 0 // the trace is answered without
			}
			total.calls += sum.calls
			total.selfTime += sum.selfTime
		}
		if total.calls >= minUsualCalls {
			return total.selfTime / total.calls
		}
	}
	return 0
}

// of is what the operation took in a minute, which is read unless it is remembered.
func (u *usual) of(ctx context.Context, reader tracestore.Reader, at usualKey, of operationKind) (usualSum, error) {
	u.mu.Lock()
	sums, known := u.sums[at]
	u.mu.Unlock()
	if known {
		return sums[of], nil
	}
	sums = make(map[operationKind]usualSum)
	start := time.Unix(at.minute, 0)
	query := tracestore.AggregateQuery{Start: start, End: start.Add(time.Minute), NoDurations: true}
	for o, err := range reader.Operations(ctx, at.tenant, &query) {
		if err != nil {
			return usualSum{}, err
		}
		operation := operationKind{o.Operation, o.Kind}
		sum := sums[operation]
		sums[operation] = usualSum{sum.calls + o.Calls, sum.selfTime + o.SelfTime}
	}
	if err := ctx.Err(); err != nil {
		return usualSum{}, err
	}
	u.put(at, sums)
	return sums[of], nil
}

func (u *usual) put(at usualKey, sums map[operationKind]usualSum) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.series >= maxUsualSeries || len(u.sums) >= maxUsualMinutes || u.sums == nil {
		u.sums, u.series = make(map[usualKey]map[operationKind]usualSum), 0
	}
	if _, known := u.sums[at]; !known {
		u.series += len(sums)
	}
	u.sums[at] = sums
}
