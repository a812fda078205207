package schedule

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// WaveVisits is the number of visits in a wave without a rate: their spans leave together, because there is no time in
// which an instance could wait for its tick.
const WaveVisits = 1000

// batchSpans is the most that an instance sends in one request, as OpenTelemetry's SDKs do.
const batchSpans = 512

// Plan is a number of visits, ready to be sent.
type Plan struct {
	// First is the number of the first visit, Visits how many there are.
	First, Visits int
	// Waves are sent one after the other. With a rate there is one.
	Waves []Wave
	// Period is the time that the visits take, with a rate.
	Period time.Duration
	// Spans and Bytes are sums over the requests, duplicates included.
	Spans, Bytes int64
}

// Wave is a group of requests.
type Wave struct {
	// Visits is the number of visits whose spans it holds, Traces that of their traces.
	Visits, Traces int
	Requests       []*Request
	// Begins are when the traces begin, nanoseconds from the plan's origin, in order; only with a rate.
	Begins []int64
}

// Request is one request of an instance.
type Request struct {
	// Tenant is the number of its tenant.
	Tenant int
	// Delay is the time from the start of its wave.
	Delay time.Duration

	mu      sync.Mutex // guards payload, which is written for each sending
	payload *wire.Payload
}

// Spans is the number of spans in the request.
func (r *Request) Spans() int { return r.payload.Spans }

// Send hands the request's bytes to export, with ids and times moved (wire.Payload.Move). The bytes are export's until
// it returns; a second Send waits for that.
func (r *Request) Send(mask wire.Mask, origin int64, export func(body []byte) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payload.Move(mask, origin)
	return export(r.payload.Bytes())
}

// Build encodes count visits from first on.
func Build(s *shop.Shop, options *Options, first, count int) *Plan {
	plan, _ := BuildContext(context.Background(), s, options, first, count) // its only error is the context's
	return plan
}

// BuildContext is Build until the context is over.
func BuildContext(ctx context.Context, s *shop.Shop, options *Options, first, count int) (*Plan, error) {
	b := &builder{
		shop: s, options: options, plan: &Plan{First: first, Visits: count}, open: map[batchKey]*batch{},
		rng: rand.New(rand.NewPCG(options.Seed^0x0de1a7, uint64(first))),
	}
	wave := Wave{}
	for i := range count {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		v := s.Visit(first + i)
		b.add(v, &wave)
		wave.Visits++
		wave.Traces += len(v.Traces)
		if options.Rate > 0 {
			start := options.Start(v, first, count)
			for k := range v.Traces {
				wave.Begins = append(wave.Begins, start+v.Traces[k].Start)
			}
		}
		if wave.Visits%WaveVisits == 0 {
			if options.Rate > 0 {
				// No later visit has a span for a request that leaves before it begins.
				b.close(&wave, time.Duration(options.Start(v, first, count)))
			} else {
				b.finish(&wave)
				wave = Wave{}
			}
		}
	}
	if wave.Visits > 0 {
		b.finish(&wave)
	}
	if options.Rate > 0 {
		b.plan.Period = time.Duration(float64(count) / options.Rate * float64(time.Second))
	}
	return b.plan, nil
}

// batchKey names a request under way: of an instance, at a tick.
type batchKey struct {
	tenant, instance int
	kind             batchKind
	tick             int64
}

type batchKind uint8

const (
	regular batchKind = iota
	late
	duplicate
)

// batch is a request under way. Places in it are reserved for all spans of a visit before one of them is encoded, because
// a late span's time depends on when the others leave.
type batch struct {
	spans    *wire.Batch
	reserved int
	tenant   int
	delay    time.Duration
}

type builder struct {
	shop    *shop.Shop
	options *Options
	plan    *Plan
	rng     *rand.Rand
	open    map[batchKey]*batch
	// order lists all batches that are not closed yet as they were opened, so that nothing depends on a map's order.
	order []keyedBatch
}

type keyedBatch struct {
	key batchKey
	*batch
}

func (b *builder) add(v *shop.Visit, wave *Wave) {
	start := b.options.Start(v, b.plan.First, b.plan.Visits)
	places, duplicates := b.place(v, start)
	b.shop.Encode(v, start, func(i int, scope wire.Scope, span *wire.Span) {
		places[i].spans.Add(scope, span)
		if duplicates[i] != nil {
			duplicates[i].spans.Add(scope, span)
		}
	})
	b.order = slices.DeleteFunc(b.order, func(k keyedBatch) bool {
		full := k.reserved >= batchSpans
		if full {
			b.emit(wave, k.batch)
		}
		return full
	})
}

// place decides in which requests the spans of a visit leave.
func (b *builder) place(v *shop.Visit, start int64) (places, duplicates []*batch) {
	o := b.options
	rng := o.random(v.Index)
	rng.Uint64() // Start's
	places, duplicates = make([]*batch, len(v.Spans)), make([]*batch, len(v.Spans))
	// The rest of the visit has left at rest: not before it is over, be all of its spans late. Without a rate it is over before the origin.
	rest := max(0, time.Duration(start+v.End))
	for i := range v.Spans {
		if o.Late.Share > 0 && rng.Float64() < o.Late.Share {
			continue
		}
		places[i] = b.regular(v, &v.Spans[i], start)
		rest = max(rest, places[i].delay)
	}
	for i := range v.Spans {
		if places[i] == nil {
			places[i] = b.late(v, &v.Spans[i], rest, rng)
		}
		if o.Duplicates > 0 && rng.Float64() < o.Duplicates {
			duplicates[i] = b.duplicate(v, &v.Spans[i], places[i].delay, rng)
		}
	}
	return places, duplicates
}

// regular is the request at the next tick of the instance after the span's end.
func (b *builder) regular(v *shop.Visit, span *shop.Span, start int64) *batch {
	o := b.options
	key := batchKey{tenant: v.Tenant, instance: b.shop.Instance(span)}
	behind := o.Behind[span.Service]
	if o.Rate <= 0 {
		return b.reserve(key, behind)
	}
	delay := o.BatchDelay
	phase := time.Duration(key.instance) * delay / time.Duration(b.shop.InstanceCount())
	end := time.Duration(start + span.End)
	key.tick = int64((end - phase + delay - 1) / delay)
	return b.reserve(key, phase+time.Duration(key.tick)*delay+behind)
}

// duplicateGrain and a Late's grain are the ticks at which an instance sends duplicates and late spans, so that not each
// of them makes a request.
const duplicateGrain = 500 * time.Millisecond

func (l *Late) grain() time.Duration {
	return min(max((l.Max-l.Min)/10, time.Millisecond), time.Second)
}

func (b *builder) late(v *shop.Visit, span *shop.Span, rest time.Duration, rng *rand.Rand) *batch {
	l := &b.options.Late
	grain := l.grain()
	at := rest + l.Min + time.Duration(rng.Float64()*float64(max(l.Max-l.Min-grain, 0)))
	tick := int64((at + grain - 1) / grain)
	return b.reserve(batchKey{v.Tenant, b.shop.Instance(span), late, tick}, time.Duration(tick)*grain)
}

func (b *builder) duplicate(v *shop.Visit, span *shop.Span, original time.Duration, rng *rand.Rand) *batch {
	at := original + time.Duration(rng.Float64()*float64(DuplicateDelay-duplicateGrain))
	tick := int64((at + duplicateGrain - 1) / duplicateGrain)
	return b.reserve(batchKey{v.Tenant, b.shop.Instance(span), duplicate, tick}, time.Duration(tick)*duplicateGrain)
}

// reserve takes a place in the batch; a new one leaves at delay.
func (b *builder) reserve(key batchKey, delay time.Duration) *batch {
	open := b.open[key]
	if open == nil || open.reserved >= batchSpans {
		if key.kind == regular {
			delay += time.Duration(b.rng.Float64() * float64(b.options.BatchDelay) * b.options.Jitter)
			delay += time.Duration(b.rng.Float64() * float64(b.options.Shuffle))
		}
		open = &batch{spans: wire.NewBatch(b.shop.Resource(key.instance), shop.SchemaURL), tenant: key.tenant, delay: delay}
		b.open[key] = open
		b.order = append(b.order, keyedBatch{key, open})
	}
	open.reserved++
	return open
}

func (b *builder) emit(wave *Wave, done *batch) {
	payload := done.spans.Payload()
	done.spans = nil
	wave.Requests = append(wave.Requests, &Request{Tenant: done.tenant, Delay: done.delay, payload: payload})
	b.plan.Spans += int64(payload.Spans)
	b.plan.Bytes += int64(payload.Len())
}

// close encodes the batches that leave before a time.
func (b *builder) close(wave *Wave, before time.Duration) {
	b.order = slices.DeleteFunc(b.order, func(k keyedBatch) bool {
		if k.delay >= before {
			return false
		}
		b.emit(wave, k.batch)
		if b.open[k.key] == k.batch {
			delete(b.open, k.key)
		}
		return true
	})
}

// finish ends a wave. Its requests are in the order in which they leave; those of one moment in any order.
func (b *builder) finish(wave *Wave) {
	for _, k := range b.order {
		b.emit(wave, k.batch)
	}
	b.order = b.order[:0]
	clear(b.open)
	b.rng.Shuffle(len(wave.Requests), func(i, k int) {
		wave.Requests[i], wave.Requests[k] = wave.Requests[k], wave.Requests[i]
	})
	slices.Sort(wave.Begins)
	slices.SortStableFunc(wave.Requests, func(x, y *Request) int { return cmp.Compare(x.Delay, y.Delay) })
	b.plan.Waves = append(b.plan.Waves, *wave)
}
