package traceassemblyprocessor

import (
	"context"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/journal"
)

// replay takes up after a start what the process before left in the journal:
//
//  1. It reads all of calls: which spans were handed on, which calls must be repeated, and the skeletons of the released traces. Then
//     new requests are let in: what they bring again is recognised.
//  2. It reads arrivals, segment by segment: spans of calls to repeat go to these, those that were handed on are skipped, all others
//     go to their shards, as if they came now, as fast as the byte budget has room. Until the end no skeleton is forgotten because
//     late_window has passed: what came twice before the stop must not be new after it.
//
// A call whose spans are all found is handed on as it was. Where some are lost to a damaged disk, the rest is handed on.
type replay struct {
	p       *assemblyProcessor
	builder *callBuilder

	intents map[journal.Position]*intent // without a mark
	order   []journal.Position           // of intents
	done    map[journal.Position]indexSet
	wanted  map[spanRef]wantedSpan
	now     time.Time
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

// read yields the records of a segment and counts what is damaged.
func (r *replay) read(log *journal.Log, segment uint32, yield func(journal.Position, []byte) error) bool {
	report, err := log.Read(segment, func(at journal.Position, record []byte) error {
		if r.stopping() {
			return errStopping
		}
		return yield(at, record)
	})
	if errors.Is(err, errStopping) {
		return false
	}
	if err != nil {
		r.p.telemetry.journalFailed()
		r.p.logger.Error("a segment of the journal cannot be read to its end; what can be read is taken up", zap.Error(err))
	}
	// A torn tail is what a crash leaves of records that nobody was answered for.
	r.counts.damaged += report.Corrupt
	return true
}

func (r *replay) readCalls(ctx context.Context) bool {
	for _, s := range r.p.ledger.calls.Old() {
		segment := callSegment{number: s.Number, first: math.MaxUint32}
		if !r.read(r.p.ledger.calls, s.Number, func(at journal.Position, record []byte) error {
			c, err := decodeCalls(record)
			switch {
			case err != nil:
				r.counts.unreadable++
			case c.intent == nil:
				r.settle(c.mark)
			default:
				segment.add(c.intent.releasedAt, r.p.cfg.LateWindow, c.intent.arrived())
				r.intents[at] = c.intent
				r.order = append(r.order, at)
				r.restore(ctx, c.intent)
			}
			return nil
		}) {
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
	for i := range in.releases {
		for j := range in.releases[i].spans {
			counts.add(in.releases[i].spans[j].ref.record.Segment, 1)
		}
	}
	return counts
}

// settle takes note that a call was taken.
func (r *replay) settle(at journal.Position) {
	in := r.intents[at]
	if in == nil {
		return // its intent was damaged, or its segment removed
	}
	delete(r.intents, at)
	for i := range in.releases {
		for j := range in.releases[i].spans {
			ref := in.releases[i].spans[j].ref
			r.done[ref.record] = r.done[ref.record].add(ref.index)
		}
	}
}

// decide finds out which of the calls without a mark are to be repeated. A segment is removed only when all its spans were
// handed on: a call that names one which is gone was taken, and its mark did not reach the disk.
func (r *replay) decide() {
	there := make(map[uint32]struct{})
	for _, s := range r.p.ledger.arrivals.Old() {
		there[s.Number] = struct{}{}
	}
	for _, at := range r.order {
		in := r.intents[at]
		if in == nil {
			continue
		}
		for _, c := range in.arrived() {
			if _, ok := there[c.segment]; !ok {
				r.settle(at)
				break
			}
		}
		if r.intents[at] == nil {
			continue
		}
		r.p.ledger.reopen(at)
		for i := range in.releases {
			for j := range in.releases[i].spans {
				span := &in.releases[i].spans[j]
				r.wanted[span.ref] = wantedSpan{in, at, span}
			}
		}
	}
}

// restore gives the shards the skeletons.
func (r *replay) restore(ctx context.Context, in *intent) {
	released := time.Unix(0, in.releasedAt).Sub(r.p.epoch)
	shards := make([][]restoredRelease, len(r.p.shards))
	for i := range in.releases {
		key := in.releases[i].key
		at := shardOf(key.id, tenantMix(key.tenant), len(shards))
		shards[at] = append(shards[at], restoredRelease{&in.releases[i], released})
	}
	r.counts.skeletons += len(in.releases)
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

func (r *replay) readArrivals(ctx context.Context) bool {
	for _, s := range r.p.ledger.arrivals.Old() {
		if !r.read(r.p.ledger.arrivals, s.Number, func(at journal.Position, record []byte) error {
			return r.request(ctx, at, record)
		}) {
			return false
		}
		r.p.ledger.replayed(s.Number)
	}
	return true
}

// request takes a request of before once more, but for the spans that were handed on.
func (r *replay) request(ctx context.Context, at journal.Position, record []byte) error {
	tenant, td, err := decodeArrival(record)
	if err != nil {
		r.counts.unreadable++
		return nil
	}
	pref.RefTraces(td)
	var in intake
	in.split(r.p, td, tenant)
	in.journaled(at)
	found := r.pick(&in, at)
	defer in.recycle()
	if in.spans == 0 {
		return nil
	}
	if err := r.reserve(ctx, &in); err != nil {
		return err
	}
	r.p.ledger.retain(at.Segment, in.spans)
	r.p.telemetry.replayed(int(in.spans))
	r.counts.spans += int(in.spans)
	for _, w := range found {
		if w.intent.found++; w.intent.found == w.intent.spans {
			r.repeat(w.at, w.intent)
		}
	}
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

// pick leaves in the batches what goes to the shards, and gives the calls to repeat their spans. It counts both.
func (r *replay) pick(in *intake, at journal.Position) (found []wantedSpan) {
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
			if done.has(a.index) {
				continue
			}
			in.spans++
			in.weight += int64(a.weight)
			w, wanted := r.wanted[spanRef{at, a.index}]
			if !wanted {
				kept = append(kept, a)
				b.weight += int64(a.weight)
				continue
			}
			if held[a.origin] == nil {
				held[a.origin] = &heldOrigin{origin: a.origin}
			}
			w.span.take(&a, held[a.origin], at)
			delete(r.wanted, spanRef{at, a.index})
			found = append(found, w)
		}
		clear(b.arrivals[len(kept):])
		b.arrivals = kept
	}
	return found
}

// take is given the span that was intended.
func (s *intendedSpan) take(a *arrival, o *heldOrigin, record journal.Position) {
	s.held = heldSpan{
		span: a.span, origin: o, id: a.span.SpanID(), times: s.bones.times, kind: s.bones.spanKind(), size: a.size, weight: a.weight,
		ref: spanRef{record, a.index}, next: noSpan,
	}
	for i := range s.patch {
		s.patch[i].apply(a.span)
	}
	s.found = true
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
		c.releases = nil // its intent is written
		if first == nil {
			first = c
		} else {
			first.rest = append(first.rest, c)
		}
	}
	for i := range in.releases {
		rel := &in.releases[i]
		if _, again := b.traces[rel.key]; again {
			seal()
		}
		out := &release{key: rel.key, last: r.p.now()}
		for j := range rel.spans {
			if s := &rel.spans[j]; s.found {
				out.spans = append(out.spans, s.held)
				out.size += int64(s.held.size)
				out.weight += int64(s.held.weight)
			} else {
				delete(r.wanted, s.ref)
			}
		}
		if len(out.spans) > 0 {
			r.p.budget.release(out.weight)
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
