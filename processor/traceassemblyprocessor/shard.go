package traceassemblyprocessor

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/tracewright/tracewright/internal/conventions"
)

// message is what a shard takes: the spans of a request, or a question.
type message struct {
	batch    *batch
	question *question
	learned  chan<- *knowledge  // has room for one
	restored []*intendedRelease // made before the start
	replayed bool               // the journal was read to its end
}

// shard owns the traces whose ids fall to it. Everything here belongs to the goroutine of run, but for the atomic numbers.
type shard struct {
	cfg       *Config
	budget    *budget
	ledger    *ledger // nil without a journal
	telemetry *telemetry
	now       func() time.Duration
	in        chan message
	out       chan<- delivery // to the callBuilder, which waits for nobody

	traces     map[traceKey]*trace
	expiry     expiryHeap
	oldest     traceList
	ready      traceList
	origins    *originTable
	symbols    *symbols[operation]
	operations conventions.Operations
	skeletons  *skeletons
	quiet      *quietPeriods
	learned    *learnedOperations
	lateLinger time.Duration

	touched       []*trace     // by the request being worked on
	found         []*trace     // by span of the request, nil where it has no open one
	due           []expiry     // being looked at
	read          int          // see fetch
	releases      []*release   // of this turn
	free          []*trace     // for new ones
	originsWeight int64        // of origins, as the budget knows it
	answered      []bool       // by spans being released, see recorder
	retracted     []retraction // by spans being released, for the journal
	turnCounts

	reportAt time.Duration

	openTraces        atomic.Int64
	entriesLearned    atomic.Int64
	operationsLearned atomic.Int64
}

// turnCounts are reported at the end of a turn.
type turnCounts struct {
	duplicates  int
	conflicting int
	orphans     int       // released without their parent
	outcomes    []int     // releases, as in conventions.Outcomes
	waited      int       // traces held for an expected child
	dropped     []spanRef // duplicates that are in the journal
}

const (
	// intakeQueue is the number of requests that wait for a shard. Their bytes are bounded by the budget.
	intakeQueue = 64
	// traceWeight is the memory of an open trace without its spans.
	traceWeight = 512
	// maxFreeTraces bounds what is kept for new traces.
	maxFreeTraces = 1024
)

func newShard(p *assemblyProcessor, out chan<- delivery, shards int) *shard {
	table := newSymbols[operation]()
	skeletons := newSkeletons(p.cfg.LateWindow, p.cfg.MemoryLimitBytes/skeletonShare/int64(shards), table)
	skeletons.pinned = p.ledger != nil
	collect := p.cfg.Linger
	if collect > 0 {
		collect = max(collect, lateLinger)
	}
	return &shard{
		lateLinger: collect,
		turnCounts: turnCounts{outcomes: make([]int, len(conventions.Outcomes))},
		cfg:        p.cfg,
		budget:     p.budget,
		ledger:     p.ledger,
		telemetry:  p.telemetry,
		now:        p.now,
		in:         make(chan message, intakeQueue),
		out:        out,
		traces:     make(map[traceKey]*trace),
		oldest:     traceList{which: byAge},
		ready:      traceList{which: byReadiness},
		origins:    newOriginTable(),
		symbols:    table,
		skeletons:  skeletons,
		quiet:      newQuietPeriods(p.cfg.Quiet),
		learned:    newLearnedOperations(maxLearnedOperations, p.cfg.Quiet.Max, table),
	}
}

// run works until in is closed, then releases what is left. Whatever arrives, every turn ends with what is due, so that
// ingest cannot starve expiry.
func (s *shard) run() {
	timer := time.NewTimer(s.cfg.MaxWait)
	defer timer.Stop()
	for {
		select {
		case m, ok := <-s.in:
			if !ok {
				s.finish()
				return
			}
			s.handle(m)
		case <-timer.C:
		}
		timer.Reset(s.turn())
	}
}

func (s *shard) handle(m message) {
	if m.batch != nil {
		s.accept(m.batch)
	}
	for _, r := range m.restored {
		s.restore(r)
	}
	if m.replayed {
		s.skeletons.pinned = false
	}
	if m.question != nil {
		t := s.traces[m.question.key]
		m.question.answer <- t != nil && len(t.spans) > 0
	}
	if m.learned != nil {
		m.learned <- s.knowledge()
	}
}

// turn does what is due and returns the time until something else may be.
func (s *shard) turn() time.Duration {
	now := s.now()
	s.expire(now)
	for s.budget.pressed() {
		t := s.ready.head
		if t == nil {
			t = s.oldest.head
		}
		if t == nil {
			break
		}
		s.close(t, now, conventions.OutcomeMemory)
	}
	s.skeletons.evict(now)
	s.report(now)
	s.flush()

	wait := s.cfg.MaxWait
	if len(s.expiry) > 0 {
		wait = min(wait, s.expiry[0].due-now)
	}
	return max(wait, 0)
}

// flush hands on what the turn released and counts what it did.
func (s *shard) flush() {
	s.countOrigins()
	s.telemetry.turn(s.turnCounts, s.skeletons.evicted)
	if s.ledger != nil {
		s.ledger.drop(s.dropped)
	}
	if cap(s.dropped) > maxRecycled {
		s.dropped = nil
	}
	clear(s.outcomes)
	s.turnCounts, s.skeletons.evicted = turnCounts{outcomes: s.outcomes, dropped: s.dropped[:0]}, 0
	s.openTraces.Store(int64(len(s.traces)))
	s.entriesLearned.Store(int64(len(s.quiet.entries)))
	s.operationsLearned.Store(int64(len(s.learned.byName)))
	if len(s.releases) > 0 {
		s.out <- delivery{releases: s.releases}
		s.releases = nil
	}
}

// reportInterval is how often the quiet periods are reported.
const reportInterval = time.Minute

func (s *shard) report(now time.Duration) {
	if now < s.reportAt {
		return
	}
	s.reportAt = now + reportInterval
	for entry := range s.quiet.entries {
		s.telemetry.quietPeriod(s.quiet.period(entry, now))
	}
}

// countOrigins tells the budget what the table of origins holds.
func (s *shard) countOrigins() {
	if grown := s.origins.weight - s.originsWeight; grown != 0 {
		s.budget.grow(grown)
		s.originsWeight = s.origins.weight
	}
}

func (s *shard) finish() {
	now := s.now()
	for s.oldest.head != nil {
		s.close(s.oldest.head, now, conventions.OutcomeShutdown)
	}
	s.flush()
}

// accept takes the spans of a request.
func (s *shard) accept(b *batch) {
	s.fetch(b)
	var (
		sent *origin     // the one of the span before
		o    *heldOrigin // its copy in the table
		t    *trace      // the one of the span before
	)
	var run run
	for i := range b.arrivals {
		if i == run.end {
			run = b.keep(i)
		}
		a := &b.arrivals[i]
		if a.origin != sent {
			if o != nil {
				s.origins.unref(o)
			}
			sent, o = a.origin, s.origins.intern(a.origin)
			o.holders++ // hold it until the next one, whatever becomes of the spans
		}
		if t == nil || t.key.id != a.trace || t.key.tenant != a.origin.key.resource.tenant {
			t = s.traceOf(s.found[i], traceKey{a.origin.key.resource.tenant, a.trace}, b.at)
		}
		s.take(t, a, o, b, &run)
	}
	clear(s.found)
	if o != nil {
		s.origins.unref(o)
	}
	for i, t := range s.touched {
		t.learnGap()
		t.request = requestState{}
		s.reschedule(t)
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	s.countOrigins()
	s.budget.grow(-b.shared)
	b.recycle()
}

// fetch finds the open traces of the spans, and brings them into the processor's cache. Of a hundred thousand open traces hardly any is
// there, and one after the other each span would wait for several places in memory; reading the same place of many traces in a row makes
// the processor wait for all of them at once.
func (s *shard) fetch(b *batch) {
	s.found = s.found[:0]
	for i := range b.arrivals {
		a := &b.arrivals[i]
		s.found = append(s.found, s.traces[traceKey{a.origin.key.resource.tenant, a.trace}])
	}
	read := 0
	for _, t := range s.found {
		if t != nil {
			read += len(t.spans) + t.awaited + int(t.life) + int(t.measure.size)
		}
	}
	for _, t := range s.found {
		if t == nil {
			continue
		}
		if n := len(t.spans); n < cap(t.spans) {
			read += int(t.spans[:n+1][n].next)
		}
		read += t.held.first() + t.measure.first() + t.contents.first()
	}
	s.read = read // so that reading is not for nothing
}

// traceOf is the open trace of the key, found before unless this request opened it. A new one is opened, or a late fragment where
// the trace was released before.
func (s *shard) traceOf(t *trace, key traceKey, at time.Duration) *trace {
	if t == nil {
		t = s.traces[key]
	}
	if t == nil {
		t = s.open(key, at)
	}
	if !t.request.touched {
		t.request = requestState{touched: true, lacked: !t.complete(), gap: at - t.last}
		s.touched = append(s.touched, t)
		t.last = max(t.last, at)
	}
	return t
}

func (s *shard) open(key traceKey, at time.Duration) *trace {
	t := s.newTrace()
	t.key, t.version, t.first, t.last, t.root, t.contents = key, 1, at, at, noSpan, newContents()
	if sk := s.skeletons.take(key, at); sk != nil {
		t.history, t.late, t.version = sk, true, int(sk.version)+1
		t.released, t.identities = s.skeletons.index(sk), sk.identities()
	}
	if !t.late && s.cfg.InterimInterval > 0 {
		t.interim = at + s.cfg.InterimInterval
	}
	s.traces[key] = t
	s.oldest.pushBack(t)
	s.budget.grow(traceWeight)
	return t
}

// take adds one span to its trace, or drops it as duplicate.
func (s *shard) take(t *trace, a *arrival, o *heldOrigin, b *batch, in *run) {
	at, h := b.at, &a.held
	h.ref.record, h.at = b.record, uint32(max(at-t.first, 0)/time.Millisecond)
	duplicate, conflicting, compared := t.seen(h)
	if compared > maxCompared {
		s.identify(t)
	}
	if duplicate {
		s.duplicates++
		s.budget.drop(h.weight(), 1)
		if s.ledger != nil {
			s.dropped = append(s.dropped, h.ref)
		}
		return
	}
	if conflicting {
		s.conflicting++
		h.conflict = true
	}
	if t.late {
		s.telemetry.late(t.history.released.age(at))
		s.learnLate(t, h, o.resource.service, at)
	}
	t.measure.add(h.bytes.size, o)
	if t.parts && len(t.spans) > 0 && t.measure.exceedsPart(s.cfg.MaxPartBytes) {
		s.cut(t, conventions.OutcomePart, s.cfg.MaxPartBytes)
		t.measure.add(h.bytes.size, o)
	}
	h.bytes.run, h.bytes.at = t.runOf(in.bytes), in.at(a)
	var added bool
	if h.origin, added = t.originOf(o); added {
		o.holders++
	}
	h.op = s.symbols.ref(operation{o.resource.service, s.operations.Named(a.name, h.kind, func() string { return routeOf(a.raw) })})
	if a.call != nil && !h.conflict {
		h.peer = s.skeletons.peer(h.op, a.call, o.resource.environment)
	}
	t.add(h, s.learned)
	if !t.parts && (t.measure.size > s.cfg.MaxTraceBytes || len(t.spans) > s.cfg.MaxTraceSpans) {
		t.parts = true
		s.cut(t, conventions.OutcomePart, s.cfg.MaxPartBytes)
	}
}

// run is a copy of the bytes of spans of one trace that stand next to each other in a request.
type run struct {
	bytes string
	begin int // of the bytes in the request
	end   int // of its arrivals
}

// at is where in the run the bytes of an arrival begin.
func (r *run) at(a *arrival) uint32 {
	if a.at == elsewhere {
		return 0
	}
	return uint32(a.at - r.begin)
}

// keep copies the bytes of an arrival, and of those behind it that are of the same trace and stand next to it. What a trace holds must
// not hold the requests that brought it: most of them is of traces that may be long gone.
func (b *batch) keep(first int) run {
	a := &b.arrivals[first]
	if a.at == elsewhere { // written for it alone
		return run{bytes: a.raw, end: first + 1}
	}
	begin, end, next := a.at, a.at+len(a.raw), first+1
	for ; next < len(b.arrivals); next++ {
		c := &b.arrivals[next]
		if c.at < end || c.at > end+maxBetween || c.at+len(c.raw) > begin+maxKept || c.trace != a.trace {
			break
		}
		end = c.at + len(c.raw)
	}
	return run{bytes: strings.Clone(b.request[begin:end]), begin: begin, end: next}
}

const (
	// maxBetween is what stands between two spans of one scope: a tag and a length.
	maxBetween = 6
	// maxKept is how many bytes are copied together at most: a part of a large trace must not hold all of it.
	maxKept = 4 << 10
)

// reschedule puts a trace that spans came for where it belongs.
func (s *shard) reschedule(t *trace) {
	if t.late && t.part == 0 && len(t.spans) == 0 { // nothing but duplicates came
		s.trim(t) // telling them may have taken memory
		s.skeletons.giveBack(t.history)
		s.forgetTrace(t)
		return
	}
	if t.late || t.complete() {
		s.ready.pushBack(t)
	} else {
		s.ready.remove(t)
	}
	if due := s.dueAt(t); t.due == 0 || due < t.due {
		s.expiry.push(t, due)
	}
}

// lateLinger is how long late spans are collected at least, unless linger is 0: they come in requests of several services, and
// nobody waits for them.
const lateLinger = time.Second

// deadline is when the trace is released if no span of it comes any more. As long as nobody asked how long it pays to wait for what
// it lacks, that is when somebody should.
func (s *shard) deadline(t *trace) time.Duration {
	end := t.first + s.cfg.MaxWait
	switch {
	case t.late:
		return min(end, t.first+s.lateLinger)
	case t.complete():
		return min(end, t.last+s.cfg.Linger)
	default:
		return min(end, t.last+s.quiet.period(s.entryOf(t), t.last), max(t.until, t.last+s.cfg.Linger))
	}
}

// askAgain is how soon, at first, a trace is looked at again that waits for long only because too little is known.
const askAgain = 500 * time.Millisecond

// dueAt is when the trace is looked at if no span of it comes any more.
func (s *shard) dueAt(t *trace) time.Duration {
	if t.interim > 0 {
		return min(s.deadline(t), t.interim)
	}
	return s.deadline(t)
}

// expire releases the traces whose deadline has passed.
func (s *shard) expire(now time.Duration) {
	for s.fetchDue(now) {
		for i := range s.due {
			if e := &s.due[i]; e.current() {
				s.expireOne(e.trace, now)
			}
		}
	}
	clear(s.due)
}

// maxFetched bounds how many traces that are due are brought into the processor's cache at once.
const maxFetched = 64

// fetchDue takes the next traces whose time has come off the heap, and brings them into the cache as fetch does. It says whether
// there were any.
func (s *shard) fetchDue(now time.Duration) bool {
	s.due = s.due[:0]
	for len(s.expiry) > 0 && s.expiry[0].due <= now && len(s.due) < maxFetched {
		s.due = append(s.due, s.expiry.pop())
	}
	read := 0
	for i := range s.due {
		read += int(s.due[i].trace.life) + len(s.due[i].trace.spans)
	}
	for i := range s.due {
		for j := range s.due[i].trace.spans {
			read += int(s.due[i].trace.spans[j].op)
		}
	}
	s.read = read
	return len(s.due) > 0
}

// expireOne releases a trace if its deadline has passed, or says when to look again.
func (s *shard) expireOne(t *trace, now time.Duration) {
	held := !t.late && !t.complete()
	if held {
		s.ask(t)
	}
	if s.deadline(t) > now {
		if t.interim > 0 && t.interim <= now {
			s.cutInterim(t, now)
		}
		due := s.dueAt(t)
		if held && (t.until == unknown || s.quiet.young(s.entryOf(t), t.last)) { // by then more may be known
			due = min(due, now+max(askAgain, (now-t.last)/4))
		}
		s.expiry.push(t, due)
		return
	}
	outcome := conventions.OutcomeQuiet
	switch {
	case (t.complete() || t.until > 0 && t.until <= now) && now >= t.last+s.cfg.Linger:
		outcome = conventions.OutcomeComplete
	case now >= t.first+s.cfg.MaxWait:
		outcome = conventions.OutcomeTimeout
	}
	s.close(t, now, outcome)
}

// ask finds out how long it pays to wait for what the trace lacks.
func (s *shard) ask(t *trace) {
	var expectedChild bool
	t.until, expectedChild = t.patience(s.learned)
	if expectedChild && !t.waited {
		t.waited = true
		s.waited++
	}
}

// entryOf is the entry operation as far as it is known: zero while no root has come.
func (s *shard) entryOf(t *trace) operation {
	switch {
	case t.root != noSpan:
		return s.symbols.at(t.spans[t.root].op)
	case t.history != nil && t.history.rooted:
		return s.skeletons.entryOf(t.history)
	default:
		return operation{}
	}
}

// forgetTrace takes a trace off every structure of the shard. It must not be used any more.
func (s *shard) forgetTrace(t *trace) {
	delete(s.traces, t.key)
	s.oldest.remove(t)
	s.ready.remove(t)
	s.budget.grow(-traceWeight)
	s.freeTrace(t)
}

// freeTrace keeps a trace, empty, for a new one.
func (s *shard) freeTrace(t *trace) {
	t.held.reset()
	t.measure.reset()
	*t = trace{held: t.held, measure: t.measure, life: t.life + 1}
	if len(s.free) < maxFreeTraces {
		s.free = append(s.free, t)
	}
}

// newTrace is a trace without content. Those that were used have lists with room.
func (s *shard) newTrace() *trace {
	last := len(s.free) - 1
	if last < 0 {
		return &trace{}
	}
	t := s.free[last]
	s.free = s.free[:last]
	return t
}
