package traceassemblyprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
)

// call is one ConsumeTraces call to the next consumer: whole releases, of every trace one at most. Its resources and scopes are
// filled in when it is handed on: a copy in each of the calls that wait could take many times what was sent.
type call struct {
	traces     ptrace.Traces
	keys       []traceKey // of the releases
	spans      int
	weight     int64
	releasedAt int64            // nanoseconds since 1970
	arrived    segmentCounts    // spans in the journal
	releases   []*release       // with a journal, until the intent is written
	intent     journal.Position // zero until it is written
	// rest are the calls of the further parts of a cut. What is written on a part presumes all others: they have one intent, and
	// one mark when all are taken.
	rest      []*call
	resources []emptyResource // until fill
	scopes    []emptyScope    // until fill
}

// emptyResource and emptyScope are what a call is to be filled with. Other calls and the shards read the same.
type emptyResource struct {
	in   ptrace.ResourceSpans
	from *resource
}

type emptyScope struct {
	in   ptrace.ScopeSpans
	from *origin
}

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

// fill copies resources and scopes into the call.
func (c *call) fill() {
	for _, r := range c.resources {
		attrs := r.in.Resource().Attributes()
		attrs.EnsureCapacity(r.from.content.Attributes().Len() + 2)
		r.from.content.CopyTo(r.in.Resource())
		if r.from.key.tenant != "" {
			attrs.PutStr(conventions.AttrTenant, r.from.key.tenant)
		}
		attrs.PutInt(conventions.AttrReleasedAt, c.releasedAt)
	}
	for _, s := range c.scopes {
		s.from.scope.CopyTo(s.in.Scope())
	}
	c.resources, c.scopes = nil, nil
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

	open      *call // nil while there is none
	cut       *call // the parts of a cut so far
	size      int64 // of the releases in open, see measure
	lasts     []time.Duration
	traces    map[traceKey]struct{}
	resources map[resourceKey]ptrace.ResourceSpans
	scopes    map[originKey]ptrace.SpanSlice
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
		resources: make(map[resourceKey]ptrace.ResourceSpans),
		scopes:    make(map[originKey]ptrace.SpanSlice),
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
		b.open = &call{traces: ptrace.NewTraces()}
	}
	b.traces[r.key] = struct{}{}
	b.lasts = append(b.lasts, r.last)
	b.open.keys = append(b.open.keys, r.key)
	b.open.spans += len(r.spans)
	b.open.weight += r.weight
	b.size += r.size
	b.move(r.spans)
	if b.journaled {
		b.open.releases = append(b.open.releases, r)
	} else {
		recycleSpans(r.spans)
	}
}

func (b *callBuilder) move(spans []heldSpan) {
	var (
		origin *heldOrigin
		target ptrace.SpanSlice
	)
	for i := range spans {
		h := &spans[i]
		if h.origin != origin {
			origin = h.origin
			target = b.target(origin)
		}
		appendSpan(target, h.span)
		if b.journaled {
			b.open.arrived.add(h.ref.record.Segment, 1)
		}
	}
}

// target is where the open call has the spans of an origin.
func (b *callBuilder) target(o *heldOrigin) ptrace.SpanSlice {
	if o.inCall {
		return o.target
	}
	target, ok := b.scopes[o.key]
	if !ok {
		ss := b.resourceSpans(o.resource).ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(o.schemaURL)
		b.open.scopes = append(b.open.scopes, emptyScope{ss, o.origin})
		b.hold(o.weight)
		target = ss.Spans()
		b.scopes[o.key] = target
	}
	o.inCall, o.target = true, target
	b.marked = append(b.marked, o)
	return target
}

func (b *callBuilder) resourceSpans(r *resource) ptrace.ResourceSpans {
	rs, ok := b.resources[r.key]
	if !ok {
		rs = b.open.traces.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(r.schemaURL)
		b.open.resources = append(b.open.resources, emptyResource{rs, r})
		b.hold(r.weight)
		b.resources[r.key] = rs
	}
	return rs
}

// hold counts what the open call has beside its spans, as long as it is held.
func (b *callBuilder) hold(weight int64) {
	b.open.weight += weight
	b.budget.held.Add(weight)
}

// forget drops what only the intent needed.
func (c *call) forget() {
	for _, one := range c.calls() {
		for _, r := range one.releases {
			recycleSpans(r.spans)
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
	for _, last := range b.lasts {
		b.telemetry.releaseDelay(now - last)
	}
	b.open, b.size, b.lasts = nil, 0, b.lasts[:0]
	clear(b.traces)
	clear(b.resources)
	clear(b.scopes)
	for i, o := range b.marked {
		o.inCall, o.target = false, ptrace.SpanSlice{} // or it would keep the whole call in memory
		b.marked[i] = nil
	}
	b.marked = b.marked[:0]
	return c
}
