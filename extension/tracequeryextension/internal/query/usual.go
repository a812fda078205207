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
	// maxUsual bounds what is remembered.
	maxUsual = 256
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

// usual knows what the operations of services take themselves. The zero value is ready.
type usual struct {
	mu   sync.Mutex // guards sums
	sums map[usualKey]map[operationKind]usualSum
}

// usualKey names the operations of a service in a group of minutes before one.
type usualKey struct {
	tenant, service string
	minute          int64 // Unix
	group           int
}

type operationKind struct {
	operation string
	kind      tracestore.SpanKind
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
	of := operationKind{span.Operation, strings.ToLower(trace.Analysis.Tree.Nodes[i].Kind().String())}
	at := usualKey{tenant: tenant, service: span.Service, minute: time.Unix(0, trace.Release.ReleasedAt).Truncate(time.Minute).Unix()}
	var total usualSum
	for at.group = range usualMinutes {
		sums, err := s.usual.of(ctx, reader, at)
		if err != nil {
			return 0 // the trace is answered without
		}
		total.calls += sums[of].calls
		total.selfTime += sums[of].selfTime
		if total.calls >= minUsualCalls {
			return total.selfTime / total.calls
		}
	}
	return 0
}

// of reads what is not remembered.
func (u *usual) of(ctx context.Context, reader tracestore.Reader, at usualKey) (map[operationKind]usualSum, error) {
	u.mu.Lock()
	sums, known := u.sums[at]
	u.mu.Unlock()
	if known {
		return sums, nil
	}
	sums = make(map[operationKind]usualSum)
	for _, before := range usualMinutes[at.group] {
		start := time.Unix(at.minute-60*before, 0)
		query := tracestore.AggregateQuery{Start: start, End: start.Add(time.Minute), Service: at.service}
		for o, err := range reader.Operations(ctx, at.tenant, &query) {
			if err != nil {
				return nil, err
			}
			of := operationKind{o.Operation.Operation, o.Kind}
			sum := sums[of]
			sums[of] = usualSum{sum.calls + o.Calls, sum.selfTime + o.SelfTime}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.sums) >= maxUsual || u.sums == nil {
		u.sums = make(map[usualKey]map[operationKind]usualSum)
	}
	u.sums[at] = sums
	return sums, nil
}
