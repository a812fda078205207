package traceassemblyprocessor

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/journal"
)

// replay takes up after a start what the process before left in the journal:
//
//  1. It reads all of calls: which spans were handed on or dropped, which calls must be repeated, and the skeletons of the released
//     traces. Then new requests are let in: what they bring again is recognised.
//  2. It reads arrivals, segment by segment: spans of calls to repeat go to these, those of which nothing is to be done are skipped, all others
//     go to their shards, as if they came now, as fast as the byte budget has room. The calls are in memory whether there is room
//     or not: until all spans of one are found it cannot be handed on to make any. They are few, at most one for each worker of
//     each process that crashed. Until the end no skeleton is forgotten because late_window has passed: what came twice before the
//     stop must not be new after it. Nor for late_window from the start on: what senders repeat because the stop took the answer comes
//     now, however long that was.
//
// A call whose spans are all found is handed on as it was. Where some are lost to a damaged disk, the rest is handed on.
type replay struct {
	p       *assemblyProcessor
	builder *callBuilder

	intents map[journal.Position]*intent // without a mark
	order   []journal.Position           // of intents
	done    map[journal.Position]indexSet
	wanted  map[spanRef]wantedSpan
	now     time.Time // when it began
	counts  replayCounts
}

type wantedSpan struct {
	intent *intent
	at     journal.Position // of the intent
	span   *intendedSpan
}

// replayCounts is what the log says at the end.
type replayCounts struct {
	spans, calls, skeletons   int
	damaged, unreadable, lost int
}

// indexSet is a set of the spans of a request.
type indexSet []uint64

func (s indexSet) add(i uint32) indexSet {
	for int(i/64) >= len(s) {
		s = append(s, 0)
	}
	s[i/64] |= 1 << (i % 64)
	return s
}

func (s indexSet) has(i uint32) bool { return int(i/64) < len(s) && s[i/64]&(1<<(i%64)) != 0 }

func newReplay(p *assemblyProcessor) *replay {
	return &replay{
		p: p, builder: newCallBuilder(p, p.handOn), now: time.Now(),
		intents: make(map[journal.Position]*intent), done: make(map[journal.Position]indexSet), wanted: make(map[spanRef]wantedSpan),
	}
}

var errStopping = errors.New("the processor stops")

// run opens the gate as soon as new requests can be taken. It ends early when the processor stops.
func (r *replay) run(ctx context.Context) {
	if !r.readCalls(ctx) {
		return
	}
	r.p.gate.start()
	if !r.readArrivals(ctx) {
		return
	}
	r.tell(ctx, func(int) message { return message{replayed: true} })
	for _, at := range r.order {
		if in := r.intents[at]; in != nil {
			r.counts.lost += in.spans - in.found
			r.repeat(at, in)
		}
	}
	if c := r.counts; c != (replayCounts{}) {
		log := r.p.logger.Info
		if c.damaged+c.unreadable+c.lost > 0 {
			log = r.p.logger.Warn
		}
		log("what was held before the last stop is taken up from the journal", zap.Int("spans", c.spans), zap.Int("calls_repeated", c.calls),
			zap.Int("traces_remembered", c.skeletons), zap.Int("damaged_places", c.damaged), zap.Int("records_not_understood", c.unreadable),
			zap.Int("spans_lost_of_calls", c.lost), zap.Duration("took", time.Since(r.now)))
	}
}

func (r *replay) stopping() bool {
	select {
	case <-r.p.gate.stopping:
		return true
	default:
		return false
	}
}

// openPatience is how long replay waits for segments of arrivals that cannot be opened. They keep what was handed on from being removed from
// the disk as long as they are there, so it must not be for ever.
const openPatience = 10 * time.Minute

// read yields the records of a segment and counts what is damaged. The error is errStopping, or that of a segment that cannot be opened now: a
// process may have too many files open, say.
func (r *replay) read(log *journal.Log, segment uint32, yield func(journal.Position, []byte) error) error {
	report, err := log.Read(segment, func(at journal.Position, record []byte) error {
		if r.stopping() {
			return errStopping
		}
		return yield(at, record)
	})
	if errors.Is(err, errStopping) || errors.Is(err, journal.ErrUnopened) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		r.p.telemetry.journalFailed()
		r.giveUp(log, segment, err)
	}
	// A torn tail is what a crash leaves of records that nobody was answered for.
	r.counts.damaged += report.Corrupt
	return nil
}

// giveUp takes up what could be read of a segment.
func (r *replay) giveUp(log *journal.Log, segment uint32, err error) {
	r.p.ledger.unread(log, segment)
	r.p.logger.Error("a segment of the journal cannot be read to its end; what can be read is taken up", zap.Error(err))
}

// unopened tells of a segment that cannot be opened.
func (r *replay) unopened(err error, refused bool) {
	r.p.telemetry.journalFailed()
	r.p.logger.Error("a segment of the journal cannot be opened; it is tried again", zap.Bool("requests_are_refused_until_then", refused), zap.Error(err))
}

// pause waits before segments are tried to be opened once more, and says whether it slept to the end.
func (r *replay) pause(attempt int) bool {
	select {
	case <-time.After(backoff(attempt)):
		return true
	case <-r.p.gate.stopping:
		return false
	}
}

func (r *replay) readCalls(ctx context.Context) bool {
	for _, s := range r.p.ledger.calls.Old() {
		segment := callSegment{number: s.Number, first: math.MaxUint32}
		take := func(at journal.Position, record []byte) error {
			c, err := decodeCalls(record)
			switch {
			case err != nil:
				r.counts.unreadable++
			case c.intent == nil:
				r.settle(c.mark)
				for _, span := range c.dropped {
					r.finish(span)
					segment.first = min(segment.first, span.record.Segment)
				}
			default:
				segment.add(r.now.Add(r.window(c.intent)), c.intent.arrived())
				r.intents[at] = c.intent
				r.order = append(r.order, at)
				r.restore(ctx, c.intent)
			}
			return nil
		}
		// Until it can be opened nothing is taken: without it what was handed on would be handed on again.
		err := r.read(r.p.ledger.calls, s.Number, take)
		for attempt := 0; errors.Is(err, journal.ErrUnopened); attempt++ {
			if attempt == 0 {
				r.unopened(err, true)
			}
			if !r.pause(attempt) {
				return false
			}
			err = r.read(r.p.ledger.calls, s.Number, take)
		}
		if err != nil {
			return false
		}
		segment.open = 0 // until it is clear which are repeated
		r.p.ledger.keepCalls(segment)
	}
	r.decide()
	return true
}

// arrived is where the spans of the intent stand.
func (in *intent) arrived() segmentCounts {
	var counts segmentCounts
	for span := range in.each() {
		counts.add(span.ref.record.Segment, 1)
	}
	return counts
}

// each yields the spans of all releases.
func (in *intent) each() iter.Seq[*intendedSpan] {
	return func(yield func(*intendedSpan) bool) {
		for i := range in.releases {
			for j := range in.releases[i].spans {
				if !yield(&in.releases[i].spans[j]) {
					return
				}
			}
		}
	}
}

// settle takes note that a call was taken.
func (r *replay) settle(at journal.Position) {
	in := r.intents[at]
	if in == nil {
		return // its intent was damaged, or its segment removed
	}
	delete(r.intents, at)
	for span := range in.each() {
		r.finish(span.ref)
	}
}

// finish takes note that a span is needed no more.
func (r *replay) finish(span spanRef) { r.done[span.record] = r.done[span.record].add(span.index) }

// decide finds out which of the calls without a mark are to be repeated. A segment is removed only when all its spans were
// handed on: a call that names one which is gone was taken, and its mark did not reach the disk. The intent of one call can be there
// several times, where it was written though that was answered with an error: the last one counts.
func (r *replay) decide() {
	there := make(map[uint32]struct{})
	for _, s := range r.p.ledger.arrivals.Old() {
		there[s.Number] = struct{}{}
	}
	for _, at := range slices.Backward(r.order) {
		in := r.intents[at]
		switch {
		case in == nil:
		case r.knows(in):
			delete(r.intents, at)
		case in.lacks(there):
			r.settle(at)
		default:
			r.p.ledger.reopen(at)
			for span := range in.each() {
				r.wanted[span.ref] = wantedSpan{in, at, span}
			}
		}
	}
}

// knows says whether a span of the call was handed on, or is wanted by a later intent: a span is in one call only.
func (r *replay) knows(in *intent) bool {
	for span := range in.each() {
		if _, wanted := r.wanted[span.ref]; wanted || r.done[span.ref.record].has(span.ref.index) {
			return true
		}
	}
	return false
}

// lacks says whether a segment that the intent names is gone.
func (in *intent) lacks(there map[uint32]struct{}) bool {
	for span := range in.each() {
		if _, ok := there[span.ref.record.Segment]; !ok {
			return true
		}
	}
	return false
}

// window is how long a call is remembered.
func (r *replay) window(in *intent) time.Duration {
	if slices.ContainsFunc(in.releases, func(rel intendedRelease) bool { return rel.open }) {
		return r.p.cfg.openWindow()
	}
	return r.p.cfg.LateWindow
}

// restore gives the shards the skeletons.
func (r *replay) restore(ctx context.Context, in *intent) {
	shards := make([][]*intendedRelease, len(r.p.shards))
	for i := range in.releases {
		key := in.releases[i].key
		at := shardOf(key.id, tenantMix(key.tenant), len(shards))
		shards[at] = append(shards[at], &in.releases[i])
		r.counts.skeletons++
	}
	r.tell(ctx, func(shard int) message { return message{restored: shards[shard]} })
}

// tell sends each shard a message.
func (r *replay) tell(ctx context.Context, message func(shard int) message) {
	for i, s := range r.p.shards {
		select {
		case s.in <- message(i):
		case <-ctx.Done():
		}
	}
}

// readArrivals reads all segments that can be opened, and then waits for the others together.
func (r *replay) readArrivals(ctx context.Context) bool {
	arrivals := r.p.ledger.arrivals
	waiting, begun := arrivals.Old(), time.Now()
	for attempt := 0; ; attempt++ {
		last := time.Since(begun) > openPatience
		unopened := waiting[:0]
		for _, s := range waiting {
			err := r.read(arrivals, s.Number, func(at journal.Position, record []byte) error { return r.request(ctx, at, record) })
			switch {
			case err == nil:
			case !errors.Is(err, journal.ErrUnopened):
				return false
			case last:
				r.giveUp(arrivals, s.Number, err)
			default:
				if attempt == 0 {
					r.unopened(err, false)
				}
				unopened = append(unopened, s)
				continue
			}
			r.p.ledger.replayed(s.Number)
		}
		if waiting = unopened; len(waiting) == 0 {
			return true
		}
		if attempt == 0 {
			begun = time.Now()
		}
		if !r.pause(attempt) {
			return false
		}
	}
}

// request takes a request of before once more, but for the spans that were handed on.
func (r *replay) request(ctx context.Context, at journal.Position, record []byte) error {
	tenant, request, err := decodeArrival(record)
	if err != nil {
		r.counts.unreadable++
		return nil
	}
	in, err := r.p.read(request, tenant)
	if err != nil {
		r.counts.unreadable++
		return nil
	}
	defer in.recycle()
	found, weight := r.pick(in, at)
	r.p.budget.carry(weight, int64(len(found)))
	r.retain(at, int64(len(found)))
	for _, w := range found {
		if w.intent.found++; w.intent.found == w.intent.spans {
			r.repeat(w.at, w.intent)
		}
	}
	if in.spans == 0 {
		return nil
	}
	if err := r.reserve(ctx, in); err != nil {
		return err
	}
	in.arrived(at)
	r.retain(at, in.spans)
	for i, b := range in.batches {
		if b == nil {
			continue
		}
		in.batches[i] = nil
		if len(b.arrivals) == 0 {
			r.p.budget.grow(-b.shared)
			b.recycle()
			continue
		}
		select {
		case r.p.shards[i].in <- message{batch: b}:
		case <-ctx.Done():
			return errStopping
		}
	}
	return nil
}

// retain takes note of spans that are held again.
func (r *replay) retain(at journal.Position, spans int64) {
	if spans == 0 {
		return
	}
	r.p.ledger.retain(at.Segment, spans)
	r.p.telemetry.replayed(int(spans))
	r.counts.spans += int(spans)
}

// pick leaves in the batches what goes to the shards, and counts it in the intake. It gives the calls to repeat their spans, and answers
// what those are and weigh.
func (r *replay) pick(in *intake, at journal.Position) (found []wantedSpan, weight int64) {
	done := r.done[at]
	in.weight, in.spans = 0, 0
	held := make(map[*origin]*heldOrigin)
	for _, b := range in.batches {
		if b == nil {
			continue
		}
		kept := b.arrivals[:0]
		b.weight = 0
		for _, a := range b.arrivals {
			if done.has(a.held.ref.index) {
				continue
			}
			w, wanted := r.wanted[spanRef{at, a.held.ref.index}]
			if !wanted {
				kept = append(kept, a)
				b.weight += a.held.weight()
				in.spans++
				in.weight += a.held.weight()
				continue
			}
			weight += a.held.weight()
			if held[a.origin] == nil {
				held[a.origin] = &heldOrigin{origin: a.origin}
			}
			w.span.take(&a, held[a.origin], at)
			delete(r.wanted, spanRef{at, a.held.ref.index})
			found = append(found, w)
		}
		clear(b.arrivals[len(kept):])
		b.arrivals = kept
	}
	return found, weight
}

// take is given the span that was intended.
func (s *intendedSpan) take(a *arrival, o *heldOrigin, record journal.Position) {
	s.held = a.held
	s.held.ref.record, s.held.conflict = record, s.bones.conflict
	s.raw, s.origin = strings.Clone(a.raw), o
}

// reservePause is how long replay waits for room before it asks again.
const reservePause = 20 * time.Millisecond

// reserve waits until the budget has room.
func (r *replay) reserve(ctx context.Context, in *intake) error {
	for !r.p.budget.reserve(in.weight+in.shared, in.spans) {
		if r.stopping() || !sleep(ctx, reservePause) {
			return errStopping
		}
	}
	return nil
}

// repeat hands on a call as it was.
func (r *replay) repeat(at journal.Position, in *intent) {
	delete(r.intents, at)
	b := r.builder
	var first *call
	seal := func() {
		c := b.seal(in.releasedAt)
		if first == nil {
			first = c
		} else {
			first.rest = append(first.rest, c)
		}
	}
	now := r.p.now()
	for i := range in.releases {
		rel := &in.releases[i]
		if _, again := b.traces[rel.key]; again {
			seal()
		}
		out := &release{key: rel.key, stay: stay{now, now}} // when its spans came is not known any more
		for j := range rel.spans {
			if s := &rel.spans[j]; s.origin != nil {
				out.weight += s.held.weight()
				out.take(s)
			} else {
				delete(r.wanted, s.ref)
			}
		}
		if len(out.spans) > 0 {
			b.put(out)
		}
	}
	r.counts.calls++
	if b.open != nil {
		seal()
	}
	if first == nil { // nothing of it was found
		r.p.ledger.done(&call{intent: at})
		return
	}
	first.intent = at
	r.p.handOn.push(first)
}

// take adds a span that was found to what is handed on.
func (c *contents) take(s *intendedSpan) {
	h := s.held
	h.bytes.run, h.bytes.at = c.runOf(s.raw), 0
	h.origin, _ = c.originOf(s.origin)
	if len(s.patch) > 0 {
		*c.patch(&h) = s.patch
	}
	c.spans = append(c.spans, h)
}
