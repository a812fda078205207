package traceassemblyprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// ledger keeps what is held in two journals, so that a crash loses nothing that was acknowledged and repeats what was under way
// as it was:
//
//	arrivals  a record for each request: its tenant, and its spans as they came
//	calls     before a call is handed on its intent: the spans that it has, in their order, what assembly wrote on them, and
//	          what is remembered of their traces; after it was taken its mark; and which spans were dropped
//
// replay reads both after a start. A segment of arrivals is removed when all its spans were handed on or dropped as
// duplicates; one of calls, in order, when late_window (see also openWindow) has passed or calls take too much, all its intents are
// marked, and all arrivals are removed that their spans can have come with, be it for a second time: as long as a span is on disk, so is
// what says that it was handed on.
type ledger struct {
	arrivals  *journal.Log
	calls     *journal.Log
	maxBytes  int64 // of both, but for the calls of what is held already
	cfg       *Config
	logger    *zap.Logger
	telemetry *telemetry

	mu           sync.Mutex // guards the fields below; no I/O under it but in removeOpen
	live         map[uint32]int64
	appending    map[uint32]int // lowest segment that a record on its way can go to → number of such records
	replaying    map[uint32]struct{}
	unreadable   map[unreadable]struct{}
	intending    int           // intents on their way
	callSegments []callSegment // in order
	forgot       bool          // for the log: some were removed before their time
}

// unreadable names an old segment that was not read to its end.
type unreadable struct {
	log     *journal.Log
	segment uint32
}

// callSegment is what a segment of calls is kept for.
type callSegment struct {
	number uint32
	open   int       // intents without a mark
	until  time.Time // what its intents remember of traces has no use after; by the monotonic clock, the other one can be set back
	first  uint32    // segment of arrivals that they name
	last   uint32    // segment of arrivals that was there at until, or when room was needed; 0 before
}

const (
	arrivalSegmentBytes = 32 << 20
	callSegmentBytes    = 4 << 20
	// idleSegmentBytes is how large an open segment is at least that is removed because nothing in it is needed, as long as there is
	// room.
	idleSegmentBytes = 1 << 20
	// sweepInterval is how often is looked for what time has made useless.
	sweepInterval = 10 * time.Second
)

// spanRef names a span in the arrivals: the index counts all spans of its request.
type spanRef struct {
	record journal.Position
	index  uint32
}

func openLedger(cfg *Config, fs journal.FS, telemetry *telemetry, logger *zap.Logger) (*ledger, error) {
	j := cfg.Journal.Get()
	l := &ledger{
		maxBytes: j.MaxBytes, cfg: cfg, logger: logger, telemetry: telemetry,
		live: make(map[uint32]int64), appending: make(map[uint32]int), replaying: make(map[uint32]struct{}),
		unreadable: make(map[unreadable]struct{}),
	}
	open := func(name string, segmentBytes, maxBytes int64) (*journal.Log, error) {
		return journal.Open(journal.Options{
			FS: fs, Directory: filepath.Join(j.Directory, name), SegmentBytes: segmentBytes, MaxBytes: maxBytes, Sync: j.policy(),
			OnSync: telemetry.journalSynced, OnError: l.failed,
		})
	}
	var err error
	if l.arrivals, err = open("arrivals", min(arrivalSegmentBytes, max(j.MaxBytes/8, 1)), j.MaxBytes); err != nil {
		return nil, err
	}
	// Without a bound of its own: a call that cannot be written would be handed on twice after a crash.
	if l.calls, err = open("calls", min(callSegmentBytes, max(j.MaxBytes/8, 1)), 0); err != nil {
		return nil, errors.Join(err, l.arrivals.Close())
	}
	for _, s := range l.arrivals.Old() {
		l.replaying[s.Number] = struct{}{}
	}
	return l, nil
}

func (l *ledger) failed(err error) {
	l.telemetry.journalFailed()
	l.logger.Error("the journal cannot be written", zap.Error(err))
}

// arrivalVersion begins each record of arrivals.
const arrivalVersion = 1

// arrivalRecords recycles the memory of records.
var arrivalRecords = sync.Pool{New: func() any { return new([]byte) }}

// encodeArrival writes a request, which is as it came: replay takes it again as intake does. Compression costs about what it saves
// of writing, and leaves the disk a fifth of the bytes.
func encodeArrival(tenant, request string) (record *[]byte) {
	body := otlpwire.Bytes(request)
	record = arrivalRecords.Get().(*[]byte)
	head := codec.AppendString(append((*record)[:0], arrivalVersion), tenant)
	*record = slices.Grow(head, s2.MaxEncodedLen(len(body)))
	n := len(head)
	*record = (*record)[:n+len(s2.Encode((*record)[n:cap(*record)], body))]
	return record
}

var errRecord = errors.New("record is not of this version's format")

func decodeArrival(record []byte) (tenant, request string, err error) {
	r := codec.NewReader(record)
	version, name := r.Byte(), string(r.Bytes(r.Count(1)))
	if r.Failed() || version != arrivalVersion {
		return "", "", errRecord
	}
	body, err := s2.Decode(nil, r.Bytes(r.Len()))
	if err != nil {
		return "", "", err
	}
	return name, otlpwire.String(body), nil
}

// arrive makes a request durable. Its spans are live from then on.
func (l *ledger) arrive(ctx context.Context, tenant, request string, spans int64) (journal.Position, error) {
	if l.bytes() >= l.maxBytes {
		l.sweep() // calls can be needless with the time alone
		if taken := l.bytes(); taken >= l.maxBytes {
			return journal.Position{}, fmt.Errorf("write spans to the journal: %w: %d of %d bytes are taken", journal.ErrFull, taken, l.maxBytes)
		}
	}
	record := encodeArrival(tenant, request)
	l.mu.Lock()
	tail := l.arrivals.Tail()
	l.appending[tail]++
	l.mu.Unlock()
	at, err := l.arrivals.Append(ctx, *record)
	if err == nil { // otherwise it may still be read
		arrivalRecords.Put(record)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.appending[tail]--; l.appending[tail] == 0 {
		delete(l.appending, tail)
	}
	if err != nil {
		return at, fmt.Errorf("write spans to the journal: %w", err)
	}
	l.live[at.Segment] += spans
	return at, nil
}

// retain says that spans of an old segment are held again.
func (l *ledger) retain(segment uint32, spans int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[segment] += spans
}

// replayed says that all spans of an old segment that are still needed are held.
func (l *ledger) replayed(segment uint32) {
	l.mu.Lock()
	delete(l.replaying, segment)
	l.mu.Unlock()
	l.sweep()
}

// unread says that an old segment has more than could be read. It is set aside once what was read is needed no more.
func (l *ledger) unread(log *journal.Log, segment uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreadable[unreadable{log, segment}] = struct{}{}
}

// release says that spans are not needed any more.
func (l *ledger) release(counts segmentCounts) {
	if len(counts) == 0 {
		return
	}
	idle := false
	l.mu.Lock()
	for _, c := range counts {
		if l.live[c.segment] -= c.spans; l.live[c.segment] <= 0 {
			delete(l.live, c.segment)
			idle = true
		}
	}
	l.mu.Unlock()
	if idle {
		l.sweep()
	}
}

// drop says that spans are needed no more although no call has them: duplicates, and what no shard took. Otherwise they would be taken
// for new ones by a replay that comes when their traces are forgotten. Where that cannot be written, they are.
func (l *ledger) drop(spans []spanRef) {
	if len(spans) == 0 {
		return
	}
	if err := l.calls.Write(context.Background(), encodeDropped(spans)); err != nil {
		l.failed(err)
	}
	var counts segmentCounts
	for _, s := range spans {
		counts.add(s.record.Segment, 1)
	}
	l.mu.Lock()
	in := l.callSegmentLocked(l.calls.Tail()) // or the one behind it, which is not removed before it
	for _, c := range counts {
		in.first = min(in.first, c.segment)
	}
	l.mu.Unlock()
	l.release(counts)
}

// sweep removes the segments that nobody needs.
func (l *ledger) sweep() {
	l.mu.Lock()
	least := int64(idleSegmentBytes)
	if l.bytes() >= l.maxBytes { // what is left of calls may wait for the smallest segment
		least = 0
	}
	first := l.arrivals.Tail() // everything below has an end
	segments := l.arrivals.Segments()
	for segment := range l.appending {
		first = min(first, segment)
	}
	l.mu.Unlock()
	for _, s := range segments {
		l.mu.Lock()
		_, replaying := l.replaying[s.Number]
		needed := l.live[s.Number] > 0 || replaying
		open := s.Number >= first
		quiet := len(l.appending) == 0 && s.Bytes >= least
		l.mu.Unlock()
		if needed || open && !quiet {
			continue
		}
		if open {
			l.removeOpen(s.Number)
			continue
		}
		l.discard(l.arrivals, s.Number)
	}
	l.sweepCalls()
}

// removeOpen removes the segment that is written to, unless a record is on its way to it.
func (l *ledger) removeOpen(segment uint32) {
	l.mu.Lock()
	defer l.mu.Unlock() // keeps arrive out; there is no other writer
	if len(l.appending) > 0 || l.live[segment] > 0 {
		return
	}
	l.remove(l.arrivals, segment)
}

// run sweeps until stop is closed: the last calls of a load become useless when nobody calls any more.
func (l *ledger) run(stop <-chan struct{}) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.sweep()
		case <-stop:
			return
		}
	}
}

func (l *ledger) sweepCalls() {
	now := time.Now()
	arrivals, calls := l.arrivals.Segments(), l.calls.Segments()
	l.mu.Lock()
	tail := l.arrivals.Tail()
	surplus := l.calls.Bytes() - l.maxBytes/4*3 // the rest is for arrivals, which need less and are refused without
	forgets := false
	for i := range l.callSegments {
		s := &l.callSegments[i]
		if s.open > 0 { // it keeps those behind it
			surplus = 0
		}
		early := s.until.After(now)
		if s.last == 0 && (!early || surplus > 0) {
			s.last = tail
			forgets = forgets || early
		}
		if surplus > 0 {
			surplus -= bytesOf(calls, s.number)
		}
	}
	warn := forgets && !l.forgot
	l.forgot = l.forgot || forgets
	l.mu.Unlock()
	if warn {
		l.logger.Warn("the journal has no room to remember released traces for all of late_window; after a restart, spans of the oldest that "+
			"come late or again are taken for new ones", zap.Duration("late_window", l.cfg.LateWindow), zap.Int64("max_bytes", l.maxBytes))
	}
	for {
		l.mu.Lock()
		if len(l.callSegments) == 0 || !l.callSegments[0].useless(arrivals) {
			l.mu.Unlock()
			return
		}
		number := l.callSegments[0].number
		if number >= l.calls.Tail() { // it is written to
			if l.intending == 0 && bytesOf(calls, number) >= idleSegmentBytes {
				l.callSegments = l.callSegments[1:]
				l.remove(l.calls, number) // with the lock: it keeps intend out
			}
			l.mu.Unlock()
			return
		}
		l.callSegments = l.callSegments[1:]
		l.mu.Unlock()
		l.discard(l.calls, number)
	}
}

func bytesOf(segments []journal.SegmentInfo, number uint32) int64 {
	for _, s := range segments {
		if s.Number == number {
			return s.Bytes
		}
	}
	return 0
}

func (s *callSegment) useless(arrivals []journal.SegmentInfo) bool {
	return s.open == 0 && s.last > 0 && !slices.ContainsFunc(arrivals, func(there journal.SegmentInfo) bool {
		return there.Number >= s.first && there.Number <= s.last
	})
}

// discard removes a segment, or sets it aside where there is more in it than could be read.
func (l *ledger) discard(log *journal.Log, segment uint32) {
	l.mu.Lock()
	_, unread := l.unreadable[unreadable{log, segment}]
	l.mu.Unlock()
	if unread {
		l.setAside(log, segment)
	} else {
		l.remove(log, segment)
	}
}

func (l *ledger) remove(log *journal.Log, segment uint32) {
	if err := log.Remove(segment); err != nil && !errors.Is(err, journal.ErrClosed) {
		l.logger.Warn("a segment of the journal that is not needed any more cannot be removed", zap.Error(err))
	}
}

func (l *ledger) setAside(log *journal.Log, segment uint32) {
	if err := log.SetAside(segment); err != nil {
		l.logger.Warn("a segment of the journal that could not be read to its end cannot be set aside", zap.Error(err))
		return
	}
	l.logger.Error("a segment of the journal that could not be read to its end is set aside: to have it read again, "+
		"rename its file from .unreadable to .log while the process is stopped", zap.Uint32("segment", segment))
}

// intend makes a call's intent durable.
func (l *ledger) intend(ctx context.Context, c *call) error {
	window := l.cfg.LateWindow
	for _, r := range c.releases {
		if r.memory.open {
			window = l.cfg.openWindow()
		}
	}
	record := encodeIntent(c)
	l.mu.Lock()
	l.intending++
	l.mu.Unlock()
	at, err := l.calls.Append(ctx, record)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.intending--
	if err != nil {
		return fmt.Errorf("write a call to the journal: %w", err)
	}
	c.intent = at
	l.callSegmentLocked(at.Segment).add(time.Now().Add(window), c.allArrived())
	return nil
}

func (l *ledger) callSegmentLocked(number uint32) *callSegment {
	for i := len(l.callSegments) - 1; i >= 0; i-- {
		if l.callSegments[i].number == number {
			return &l.callSegments[i]
		}
	}
	// Workers may come out of order, but never far: what is behind was made by them a moment ago.
	at := len(l.callSegments)
	for at > 0 && l.callSegments[at-1].number > number {
		at--
	}
	l.callSegments = append(l.callSegments, callSegment{})
	copy(l.callSegments[at+1:], l.callSegments[at:])
	l.callSegments[at] = callSegment{number: number, first: math.MaxUint32}
	return &l.callSegments[at]
}

func (s *callSegment) add(until time.Time, arrived segmentCounts) {
	s.open++
	if until.After(s.until) {
		s.until, s.last = until, 0
	}
	for _, c := range arrived {
		s.first = min(s.first, c.segment)
	}
}

// keepCalls takes up a segment of before.
func (l *ledger) keepCalls(s callSegment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.callSegmentLocked(s.number) = s
}

// reopen says that the call of an intent is repeated.
func (l *ledger) reopen(intent journal.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.callSegmentLocked(intent.Segment).open++
}

// done says that a call was taken, or refused for good.
func (l *ledger) done(c *call) {
	if c.intent != (journal.Position{}) {
		// The context is not that of the workers: what was taken is said to be, also at the end of a shutdown.
		if err := l.calls.Write(context.Background(), encodeMark(c.intent)); err != nil {
			l.failed(err)
		}
		l.mu.Lock()
		l.callSegmentLocked(c.intent.Segment).open--
		l.mu.Unlock()
	}
	l.release(c.allArrived())
}

// bytes is what both journals take on disk.
func (l *ledger) bytes() int64 { return l.arrivals.Bytes() + l.calls.Bytes() }

// close removes what nobody needs and closes both.
func (l *ledger) close() error {
	l.mu.Lock() // workers that were abandoned may still be there
	idle := len(l.live) == 0 && len(l.replaying) == 0
	l.mu.Unlock()
	if idle {
		for _, s := range l.arrivals.Segments() {
			l.discard(l.arrivals, s.Number)
		}
		l.sweepCalls()
	}
	return errors.Join(l.arrivals.Close(), l.calls.Close())
}

// segmentCounts counts spans by the segment of arrivals that has them. There are few segments.
type segmentCounts []segmentCount

type segmentCount struct {
	segment uint32
	spans   int64
}

func (c *segmentCounts) add(segment uint32, spans int64) {
	for i := len(*c) - 1; i >= 0; i-- {
		if (*c)[i].segment == segment {
			(*c)[i].spans += spans
			return
		}
	}
	*c = append(*c, segmentCount{segment, spans})
}
