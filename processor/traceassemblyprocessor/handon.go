package traceassemblyprocessor

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/handback"
	"github.com/tracewright/tracewright/internal/journal"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// loggedTraces is the number of trace ids that a log line names.
	loggedTraces = 5
)

// handOn calls the next consumer. Calls wait here in a list that only the byte budget bounds, so that nobody before it
// waits for the next consumer.
//
// A call that is refused is repeated until it is taken. Each attempt decodes it anew, so that it begins with what the first one did,
// whatever consumers did to that or still do. The rule for what may stand behind trace_assembly follows from this: it must make
// the same of the same.
type handOn struct {
	next      consumer.Traces
	budget    *budget
	ledger    *ledger // nil without a journal
	telemetry *telemetry
	logger    *zap.Logger
	workers   atomic.Int32  // at work
	idle      chan struct{} // closed by the last worker
	// intending has a value in it while a worker takes a call and writes its intent: a release presumes those before it of its
	// trace, so no intent may be on the disk without them.
	intending chan struct{}

	mu       sync.Mutex // guards the fields below
	changed  sync.Cond  // calls or finished changed
	calls    []*call
	finished bool             // no call comes any more
	waiting  map[traceKey]int // releases in calls that are not taken yet
	lost     losses
}

// losses is what a shutdown could not hand on in time.
type losses struct{ calls, releases, spans int }

func newHandOn(p *assemblyProcessor, next consumer.Traces, workers int) *handOn {
	h := &handOn{
		next: next, budget: p.budget, ledger: p.ledger, telemetry: p.telemetry, logger: p.logger, waiting: make(map[traceKey]int),
		idle: make(chan struct{}), intending: make(chan struct{}, 1),
	}
	h.workers.Store(int32(workers))
	h.changed.L = &h.mu
	return h
}

func (h *handOn) push(c *call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	for _, one := range c.calls() {
		for _, key := range one.keys {
			h.waiting[key]++
		}
	}
	h.changed.Signal()
}

// finish says that no call comes any more.
func (h *handOn) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finished = true
	h.changed.Broadcast()
}

// pop waits for a call; nil means that none comes any more.
func (h *handOn) pop() *call {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.calls) == 0 && !h.finished {
		h.changed.Wait()
	}
	if len(h.calls) == 0 {
		return nil
	}
	c := h.calls[0]
	h.calls[0] = nil
	h.calls = h.calls[1:]
	return c
}

// holds says whether a release of the trace waits or is being handed on.
func (h *handOn) holds(key traceKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting[key] > 0
}

// done forgets a call.
func (h *handOn) done(c *call) {
	h.mu.Lock()
	for _, key := range c.keys {
		if h.waiting[key]--; h.waiting[key] == 0 {
			delete(h.waiting, key)
		}
	}
	h.mu.Unlock()
	h.budget.done(c.weight, int64(c.spans))
}

// work hands on calls until none comes any more. Once ctx ends, what is left is lost, or stays in the journal.
func (h *handOn) work(ctx context.Context) {
	decoder := callDecoder{again: handback.Usable()}
	for c := h.take(ctx); c != nil; c = h.take(ctx) {
		settled := true
		for _, one := range c.calls() {
			settled = h.deliver(ctx, one, &decoder) && settled
			h.done(one)
		}
		if settled && h.ledger != nil {
			h.ledger.done(c)
		}
	}
	if h.workers.Add(-1) == 0 {
		close(h.idle)
	}
}

// take waits for a call and writes its intent; nil means that none comes any more.
func (h *handOn) take(ctx context.Context) *call {
	h.intending <- struct{}{}
	defer func() { <-h.intending }()
	c := h.pop()
	if c != nil {
		h.intend(ctx, c)
	}
	return c
}

// deliver says whether the call is settled: taken, or refused for good.
func (h *handOn) deliver(ctx context.Context, c *call, decoder *callDecoder) bool {
	h.budget.carry(c.decoded, 0)
	defer h.budget.done(c.decoded, 0)
	for attempt := 0; ctx.Err() == nil; attempt++ {
		traces, err := decoder.decode(c)
		if err != nil { // not of bytes that intake let pass
			h.refuse(c, err)
			return true
		}
		offered, offer := handback.New(ctx, traces)
		err = h.next.ConsumeTraces(offered, traces)
		decoder.done(traces, err == nil && offer.Returned())
		if err == nil {
			h.telemetry.handedOn(c)
			return true
		}
		if permanent(err) {
			h.refuse(c, err)
			return true
		}
		h.telemetry.retried()
		if attempt == 0 {
			h.logger.Warn("the next consumer refuses a call; it is repeated until it is taken", zap.Error(err))
		}
		if !sleep(ctx, backoff(attempt)) {
			break
		}
	}
	h.lose(c)
	return false
}

// intendAttempts is how often the intent of a call is written at most.
const intendAttempts = 3

// intend writes the intent of a call, without which a crash from now on makes other calls of its spans, and counts them twice. On a
// disk that stays full the call is handed on all the same: what was taken can be removed from the journal, which makes room.
func (h *handOn) intend(ctx context.Context, c *call) {
	defer c.forget()
	if h.ledger == nil || c.intent != (journal.Position{}) {
		return
	}
	for attempt := range intendAttempts {
		err := h.ledger.intend(ctx, c)
		if err == nil || !sleep(ctx, backoff(attempt)) {
			return
		}
	}
}

// refuse drops a call that the next consumer will never take.
func (h *handOn) refuse(c *call, err error) {
	h.telemetry.dropped(c, droppedPermanent)
	ids := make([]string, 0, loggedTraces)
	for _, key := range c.keys[:min(len(c.keys), loggedTraces)] {
		ids = append(ids, key.id.String())
	}
	h.logger.Error("the next consumer refuses a call for good; it is dropped", zap.Int("traces", len(c.keys)),
		zap.Int("spans", c.spans), zap.Strings("first_trace_ids", ids), zap.Error(err))
}

// lose drops a call for which there was no time. In the journal it waits for the next start.
func (h *handOn) lose(c *call) {
	if h.ledger == nil {
		h.telemetry.dropped(c, droppedShutdown)
	} else {
		h.telemetry.kept(c)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost.calls++
	h.lost.releases += len(c.keys)
	h.lost.spans += c.spans
}

func (h *handOn) losses() losses {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// permanent says whether no repetition helps. Behind a fan-out several consumers answer at once: as long as one of them asks
// for the call again it is repeated. An error that one consumer wraps or joins is that consumer's one verdict.
func permanent(err error) bool {
	group, ok := err.(interface{ Errors() []error }) // what fan-outs return: multierr, not wrapped
	if !ok {
		return consumererror.IsPermanent(err)
	}
	for _, one := range group.Errors() {
		if !consumererror.IsPermanent(one) {
			return false
		}
	}
	return true
}

// backoff is how long to wait after an attempt: twice as long each time, at most maxBackoff, less up to half at random.
func backoff(attempt int) time.Duration {
	d := maxBackoff
	if attempt < 6 {
		d = min(minBackoff<<attempt, maxBackoff)
	}
	return d/2 + rand.N(d/2)
}

// sleep says whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
