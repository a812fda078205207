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
	// usualSettled is for how long a minute has to be over before it is remembered: until then more is written to it. usualTime is for how long
	// any is: a storage that was away gets later what belongs to a minute.
	usualSettled = 2 * time.Minute
	usualTime    = 5 * time.Minute
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
	sums   map[usualKey]usualSums
	series int       // in all of sums
	begun  time.Time // when nothing was in sums
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

func (s *usualSum) add(other usualSum) {
	s.calls += other.calls
	s.selfTime += other.selfTime
}

// usualSums are those of a minute.
type usualSums map[operationKind]usualSum

func (s usualSums) add(of operationKind, sum usualSum) {
	sum.add(s[of])
	s[of] = sum
}

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
		keys := make([]usualKey, len(minutes))
		for i, before := range minutes {
			keys[i] = usualKey{tenant, released - 60*before}
		}
		sum, err := s.usual.of(ctx, reader, keys, of)
		if err != nil {
			return 0 // the trace is answered without
		}
		total.add(sum)
		if total.calls >= minUsualCalls {
			return total.selfTime / total.calls
		}
	}
	return 0
}

// of is what the operation took in some minutes of a tenant. Those that are not remembered are read.
func (u *usual) of(ctx context.Context, reader tracestore.Reader, minutes []usualKey, of operationKind) (total usualSum, err error) {
	var unknown []usualKey
	u.mu.Lock()
	if time.Since(u.begun) > usualTime {
		u.forgetLocked()
	}
	for _, at := range minutes {
		if sums, known := u.sums[at]; known {
			total.add(sums[of])
		} else {
			unknown = append(unknown, at)
		}
	}
	u.mu.Unlock()
	if len(unknown) == 0 {
		return total, nil
	}
	read, err := readUsual(ctx, reader, unknown)
	for at, sums := range read {
		total.add(sums[of])
		u.put(at, sums)
	}
	return total, err
}

// readUsual reads some minutes of a tenant, together where the storage can. Where it fails it answers those that it has read.
func readUsual(ctx context.Context, reader tracestore.Reader, minutes []usualKey) (map[usualKey]usualSums, error) {
	read := make(map[usualKey]usualSums, len(minutes))
	if together, ok := reader.(tracestore.MinutesReader); ok {
		times := make([]time.Time, len(minutes))
		for i, at := range minutes {
			times[i] = time.Unix(at.minute, 0)
		}
		list, err := together.OperationMinutes(ctx, minutes[0].tenant, times)
		if err != nil {
			return nil, err
		}
		for _, at := range minutes {
			read[at] = make(usualSums)
		}
		for i := range list {
			o := &list[i]
			if sums := read[usualKey{minutes[0].tenant, o.Minute.Unix()}]; sums != nil {
				sums.add(operationKind{o.Operation, o.Kind}, usualSum{o.Calls, o.SelfTime})
			}
		}
		return read, nil
	}
	for _, at := range minutes {
		sums, start := make(usualSums), time.Unix(at.minute, 0)
		query := tracestore.AggregateQuery{Start: start, End: start.Add(time.Minute), NoDurations: true}
		for o, err := range reader.Operations(ctx, at.tenant, &query) {
			if err != nil {
				return read, err
			}
			sums.add(operationKind{o.Operation, o.Kind}, usualSum{o.Calls, o.SelfTime})
		}
		if err := ctx.Err(); err != nil {
			return read, err
		}
		read[at] = sums
	}
	return read, nil
}

func (u *usual) put(at usualKey, sums usualSums) {
	if time.Since(time.Unix(at.minute, 0)) < time.Minute+usualSettled {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.series >= maxUsualSeries || len(u.sums) >= maxUsualMinutes {
		u.forgetLocked()
	}
	if _, known := u.sums[at]; !known {
		u.series += len(sums)
	}
	u.sums[at] = sums
}

func (u *usual) forgetLocked() {
	u.sums, u.series, u.begun = make(map[usualKey]usualSums), 0, time.Now()
}
