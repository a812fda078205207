package traceassemblyprocessor

import (
	"time"

	"github.com/tracewright/tracewright/internal/journal"
)

// call is one ConsumeTraces call to the next consumer: whole releases, of every trace one at most. Until it is handed on it is bytes.
type call struct {
	keys       []traceKey // of the releases
	spans      int
	weight     int64
	decoded    int64            // what it takes more while it is handed on
	releasedAt int64            // nanoseconds since 1970
	arrived    segmentCounts    // spans in the journal
	releases   []*release       // with a journal, until the intent is written
	intent     journal.Position // zero until it is written
	// rest are the calls of the further parts of a cut. What is written on a part presumes all others: they have one intent, and
	// one mark when all are taken.
	rest      []*call
	resources []callResource
	scopes    int
	raw       []callSpan    // release by release
	patched   []patchedSpan // in the order of raw
}

// callResource are the spans of a resource; callScope those of one of its scopes.
type callResource struct {
	from   *resource
	scopes []callScope
}

type callScope struct {
	from   *origin
	number int // among the call's
	spans  int
}

// callSpan is the bytes of a span, and where it stands: its scope's number, and its place among the scope's spans.
type callSpan struct {
	bytes     string
	scope, at int32
}

// patchedSpan is one on which something is to be written.
type patchedSpan struct {
	at       int // in raw
	patch    patches
	conflict bool
}

// scopePlace is where a call has a scope.
type scopePlace struct{ resource, scope int }

// calls are the call and the rest.
func (c *call) calls() []*call { return append([]*call{c}, c.rest...) }

// allArrived counts the spans of all its calls.
func (c *call) allArrived() segmentCounts {
	var all segmentCounts
	for _, one := range c.calls() {
		for _, counted := range one.arrived {
			all.add(counted.segment, counted.spans)
		}
	}
	return all
}

// delivery is what a shard sends to the callBuilder.
type delivery struct {
	releases []*release
	question *question
}

// callBuilder moves releases into calls. Everything here belongs to the goroutine of run. Calls are shared by all shards,
// because few large calls cost the stores less than many small ones.
type callBuilder struct {
	cfg       *Config
	budget    *budget
	telemetry *telemetry
	now       func() time.Duration
	in        chan delivery
	out       *handOn
	journaled bool // there is a journal

	open      *call  // nil while there is none
	cut       *call  // the parts of a cut so far
	size      int64  // of the releases in open, see measure
	stays     []stay // of the releases in open
	traces    map[traceKey]struct{}
	resources map[resourceKey]int // places in open
	scopes    map[originKey]scopePlace
	marked    []*heldOrigin // those that know where the open call has their spans
}

func newCallBuilder(p *assemblyProcessor, out *handOn) *callBuilder {
	return &callBuilder{
		cfg:       p.cfg,
		budget:    p.budget,
		telemetry: p.telemetry,
		now:       p.now,
		in:        make(chan delivery, intakeQueue),
		out:       out,
		journaled: p.ledger != nil,
		traces:    make(map[traceKey]struct{}),
		resources: make(map[resourceKey]int),
		scopes:    make(map[originKey]scopePlace),
	}
}

// run works until in is closed, then closes the last call.
func (b *callBuilder) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case d, ok := <-b.in:
			if !ok {
				b.close()
				b.out.finish()
				return
			}
			for _, r := range d.releases {
				if b.add(r) {
					timer.Reset(b.cfg.ReleaseBatch.MaxDelay)
				}
			}
			if d.question != nil {
				b.answer(d.question)
			}
		case <-timer.C:
			b.close()
		}
	}
}

// add puts a release into the open call, and says whether it is the first one there. It closes the call before where the two
// do not belong together, and after where the call is full.
func (b *callBuilder) add(r *release) (first bool) {
	if r.more || b.cut != nil {
		b.addPart(r)
		return false
	}
	if b.open != nil {
		_, again := b.traces[r.key]
		if again || b.open.spans+len(r.spans) > b.cfg.ReleaseBatch.MaxSpans || b.size+r.size > b.cfg.MaxTraceBytes {
			b.close()
		}
	}
	first = b.open == nil
	b.put(r)
	if b.open.spans >= b.cfg.ReleaseBatch.MaxSpans {
		b.close()
	}
	return first
}

// addPart adds a part of a cut, which stands in a call of its own.
func (b *callBuilder) addPart(r *release) {
	b.close()
	b.put(r)
	if b.cut == nil {
		b.cut = b.seal(time.Now().UnixNano())
	} else {
		b.cut.rest = append(b.cut.rest, b.seal(b.cut.releasedAt))
	}
	if !r.more {
		b.out.push(b.cut)
		b.cut = nil
	}
}

// put puts a release into the open call, which is a new one where there is none.
func (b *callBuilder) put(r *release) {
	if b.open == nil {
		b.open = &call{}
	}
	b.traces[r.key] = struct{}{}
	b.stays = append(b.stays, r.stay)
	b.open.keys = append(b.open.keys, r.key)
	b.open.spans += len(r.spans)
	b.open.weight += r.weight
	b.size += r.size
	b.move(&r.contents)
	if b.journaled {
		b.open.releases = append(b.open.releases, r)
	} else {
		r.recycle()
	}
}

func (b *callBuilder) move(c *contents) {
	var (
		origin *heldOrigin
		target *callScope
	)
	for i := range c.spans {
		h := &c.spans[i]
		if o := c.origin(h); o != origin {
			origin = o
			at := b.place(origin)
			target = &b.open.resources[at.resource].scopes[at.scope]
		}
		if h.patch != 0 || h.conflict {
			b.open.patched = append(b.open.patched, patchedSpan{len(b.open.raw), c.patched(h), h.conflict})
			b.open.decoded += patchedOverhead
		}
		b.open.raw = append(b.open.raw, callSpan{c.raw(h), int32(target.number), int32(target.spans)})
		target.spans++
		b.open.decoded += int64(h.decoded)
		if b.journaled {
			b.open.arrived.add(h.ref.record.Segment, 1)
		}
	}
}

// place is where the open call has the spans of an origin.
func (b *callBuilder) place(o *heldOrigin) scopePlace {
	if o.inCall {
		return o.place
	}
	place, ok := b.scopes[o.key]
	if !ok {
		place.resource = b.resourcePlace(o.resource)
		r := &b.open.resources[place.resource]
		place.scope = len(r.scopes)
		r.scopes = append(r.scopes, callScope{from: o.origin, number: b.open.scopes})
		b.open.scopes++
		b.hold(o.weight)
		b.scopes[o.key] = place
	}
	o.inCall, o.place = true, place
	b.marked = append(b.marked, o)
	return place
}

func (b *callBuilder) resourcePlace(r *resource) int {
	at, ok := b.resources[r.key]
	if !ok {
		at = len(b.open.resources)
		b.open.resources = append(b.open.resources, callResource{from: r})
		b.hold(r.weight)
		b.resources[r.key] = at
	}
	return at
}

// hold counts what the open call has beside its spans, as long as it is held.
func (b *callBuilder) hold(weight int64) {
	b.open.weight += weight
	b.budget.held.Add(weight)
}

// recycle gives back the memory of a release that nobody needs any more.
func (r *release) recycle() {
	if !r.part {
		recycleContents(r.contents)
	}
}

// forget drops what only the intent needed.
func (c *call) forget() {
	for _, one := range c.calls() {
		for _, r := range one.releases {
			r.recycle()
		}
		one.releases = nil
	}
}

// close stamps the open call and puts it into the list.
func (b *callBuilder) close() {
	if b.open != nil {
		b.out.push(b.seal(time.Now().UnixNano()))
	}
}

// seal stamps the open call and returns it. There is none then.
func (b *callBuilder) seal(releasedAt int64) *call {
	c := b.open
	c.releasedAt = releasedAt
	now := b.now()
	for _, s := range b.stays {
		b.telemetry.released(now-s.last, now-s.first)
	}
	b.open, b.size, b.stays = nil, 0, b.stays[:0]
	clear(b.traces)
	clear(b.resources)
	clear(b.scopes)
	for i, o := range b.marked {
		o.inCall = false
		b.marked[i] = nil
	}
	b.marked = b.marked[:0]
	return c
}
