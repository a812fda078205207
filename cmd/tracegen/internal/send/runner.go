package send

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// Segment is a plan that is played some times, each time with other ids and times.
type Segment struct {
	Plan *schedule.Plan
	// Times is how often; 0 until Options.Duration is over.
	Times int
}

// Options say how to send.
type Options struct {
	Seed uint64
	// Duration ends a segment without Times.
	Duration time.Duration
	// GiveUp is how long a request is repeated.
	GiveUp time.Duration
	// Tenants are the tenants' names; nil to send none.
	Tenants []string
}

// Cycle is one time that a plan was played.
type Cycle struct {
	Plan *schedule.Plan
	Mask wire.Mask
	// Origin is the Unix time in nanoseconds that the plan's times count from.
	Origin int64
	// Visits is how many of the plan's visits were sent, from the first on, and Traces how many traces they are. Of a run that was cut
	// short Traces are those that had begun.
	Visits, Traces int
}

// Result is what a run did. Spans that were repeated by --dup count each time, repeated requests once.
type Result struct {
	Cycles                 []Cycle
	Started                time.Time
	Elapsed                time.Duration // to the last answer
	Requests, Spans, Bytes int64
	Retries                int64
	// Rejected spans were refused by partial success; Failed ones are those of requests that were not taken.
	Rejected, Failed int64
	// Failure is the first error of a request that was not taken.
	Failure error
	// Lag is the longest time by which a request left after it was due, with a rate. Without one all are due at once.
	Lag time.Duration

	latencies *ddsketch.DDSketch // seconds from the first try of a request that was taken to its answer
}

// sketchAccuracy is the relative error of a quantile.
const sketchAccuracy = 0.01

// Latency is the time within which a share of the requests that were taken had their answer, repetitions included; 0 where none was.
func (r *Result) Latency(share float64) time.Duration {
	seconds, err := r.latencies.GetValueAtQuantile(share)
	if err != nil { // it is empty
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// Run plays the segments, one goroutine for each exporter, and returns when everything is answered. It ends early with
// the error of ctx, or with that of a request that could not be sent for as long as GiveUp: others would wait as long.
func Run(ctx context.Context, segments []Segment, exporters []Exporter, options Options) (*Result, error) {
	latencies, err := ddsketch.NewDefaultDDSketch(sketchAccuracy)
	if err != nil {
		return nil, err
	}
	r := &runner{
		segments: segments, options: options, jobs: make(chan job, len(exporters)),
		result: Result{Started: time.Now(), latencies: latencies},
	}
	ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	var workers sync.WaitGroup
	for _, exporter := range exporters {
		workers.Go(func() { r.work(ctx, exporter) })
	}
	err = r.dispatch(ctx)
	close(r.jobs)
	workers.Wait()
	if err == nil && ctx.Err() != nil { // the last requests gave up
		err = context.Cause(ctx)
	}
	r.result.Elapsed = time.Since(r.result.Started)
	if err != nil {
		r.countBegun(time.Now().UnixNano())
	}
	return &r.result, err
}

// countBegun leaves the traces out that a run that was cut short has not come to. A plan with a rate is handed out as a whole.
func (r *runner) countBegun(now int64) {
	for i := range r.result.Cycles {
		if cycle := &r.result.Cycles[i]; cycle.Plan.Period > 0 {
			cycle.Traces = 0
			for _, wave := range cycle.Plan.Waves {
				begun, _ := slices.BinarySearch(wave.Begins, now-cycle.Origin)
				cycle.Traces += begun
			}
		}
	}
}

// runner: one goroutine dispatches requests when they are due, the others send them. Where these cannot keep up, the
// jobs channel is full and everything leaves later, as with an SDK.
type runner struct {
	segments []Segment
	options  Options
	jobs     chan job
	waiting  jobHeap // of dispatch
	cancel   context.CancelCauseFunc

	mu     sync.Mutex // guards result but its cycles, which are dispatch's
	result Result
}

type job struct {
	request *schedule.Request
	mask    wire.Mask
	origin  int64
	due     time.Time
	paced   bool // due is a time of its own
}

func (r *runner) work(ctx context.Context, exporter Exporter) {
	for j := range r.jobs {
		tenant := ""
		if len(r.options.Tenants) > 0 {
			tenant = r.options.Tenants[j.request.Tenant]
		}
		_ = j.request.Send(j.mask, j.origin, func(body []byte) error {
			began := time.Now()
			lag := time.Duration(0)
			if j.paced {
				lag = began.Sub(j.due)
			}
			rejected, retries, err := export(ctx, exporter, tenant, body, r.options.GiveUp)
			r.count(&answer{
				spans: int64(j.request.Spans()), size: int64(len(body)), rejected: rejected, retries: retries, took: time.Since(began), lag: lag,
				err: err,
			})
			var gaveUp *RetryableError
			if errors.As(err, &gaveUp) {
				r.cancel(fmt.Errorf("gave up after %s: %w", r.options.GiveUp, err))
			}
			return err
		})
	}
}

// answer is how one request ended.
type answer struct {
	spans, size, rejected int64
	retries               int
	took, lag             time.Duration
	err                   error
}

func (r *runner) count(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Requests++
	r.result.Retries += int64(a.retries)
	r.result.Lag = max(r.result.Lag, a.lag)
	if a.err != nil {
		r.result.Failed += a.spans
		if r.result.Failure == nil {
			r.result.Failure = fmt.Errorf("send a request: %w", a.err)
		}
		return
	}
	r.result.Spans += a.spans
	r.result.Bytes += a.size
	r.result.Rejected += a.rejected
	_ = r.result.latencies.Add(a.took.Seconds()) // no time is beyond what the sketch takes
}

var errOver = errors.New("duration is over")

func (r *runner) dispatch(ctx context.Context) error {
	began := time.Now()
	origin := began
	number := 0
	for _, segment := range r.segments {
		for played := 0; segment.Times == 0 || played < segment.Times; played++ {
			err := r.play(ctx, segment, number, origin, began)
			if errors.Is(err, errOver) {
				break
			}
			if err != nil {
				return err
			}
			number++
			if origin = origin.Add(segment.Plan.Period); segment.Plan.Period == 0 {
				origin = time.Now()
			}
		}
	}
	return r.serve(ctx, time.Time{})
}

// play hands out the requests of one cycle as their waves begin.
func (r *runner) play(ctx context.Context, segment Segment, number int, origin, began time.Time) error {
	if err := r.serve(ctx, origin); err != nil {
		return err
	}
	plan := segment.Plan
	r.result.Cycles = append(r.result.Cycles, Cycle{Plan: plan, Mask: r.mask(number), Origin: origin.UnixNano()})
	cycle := &r.result.Cycles[len(r.result.Cycles)-1]
	for _, wave := range plan.Waves {
		if segment.Times == 0 && time.Since(began) >= r.options.Duration {
			return errOver
		}
		start := time.Now()
		if plan.Period > 0 {
			start = origin
		}
		for _, request := range wave.Requests {
			heap.Push(&r.waiting, job{request, cycle.Mask, cycle.Origin, start.Add(request.Delay), plan.Period > 0})
		}
		cycle.Visits += wave.Visits
		cycle.Traces += wave.Traces
		// What is due goes out before the next wave begins. What is delayed waits beside it, for as long as the longest delay: it is but a
		// reference to its request, and to wait for it would make all others late.
		if err := r.serve(ctx, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// serve hands out requests that are due until a time. The zero time stands for all of them.
func (r *runner) serve(ctx context.Context, until time.Time) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var next time.Time
		switch {
		case len(r.waiting) > 0 && (until.IsZero() || !r.waiting[0].due.After(until)):
			next = r.waiting[0].due
		case until.IsZero():
			return nil
		default:
			return wait(ctx, until)
		}
		if time.Until(next) > 0 {
			next = r.grid(next)
		}
		if err := wait(ctx, next); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r.jobs <- heap.Pop(&r.waiting).(job):
		}
	}
}

// pace is the distance of the moments at which requests leave: each waking of a sleeping process costs more than a request.
const pace = 20 * time.Millisecond

// grid is the first such moment that is not before due.
func (r *runner) grid(due time.Time) time.Time {
	return r.result.Started.Add((due.Sub(r.result.Started) + pace - 1).Truncate(pace))
}

func wait(ctx context.Context, until time.Time) error {
	remaining := time.Until(until)
	if remaining <= 0 {
		return nil
	}
	timer := time.NewTimer(remaining)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// mask is that of a cycle; the first changes nothing.
func (r *runner) mask(number int) wire.Mask {
	if number == 0 {
		return wire.Mask{}
	}
	rng := rand.New(rand.NewPCG(r.options.Seed^0x3a5c, uint64(number)))
	return wire.Mask{Trace: [2]uint64{rng.Uint64(), rng.Uint64()}, Span: rng.Uint64()}
}

// jobHeap orders jobs by when they are due.
type jobHeap []job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h jobHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *jobHeap) Push(x any)        { *h = append(*h, x.(job)) }
func (h *jobHeap) Pop() any {
	last := len(*h) - 1
	j := (*h)[last]
	*h = (*h)[:last]
	return j
}
