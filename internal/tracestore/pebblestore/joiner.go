package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// A trace of several releases has one row, made of all its spans together. It stands under a joined key, in the partition of the
// release that was stored first. Making it reads the trace's blocks, which is too slow for a writer: the writer marks the
// releases and notes that the trace's row is open (the open key); the joiner makes it a moment later. A search first waits
// for the rows that are open, and makes those for itself that are opened meanwhile.

// Up to these sizes the row of a trace is made of all its spans; above them it is merged of its releases' rows
// (tracerow.Row.Merge).
const (
	maxRecomputedSpans    = 10_000
	maxRecomputedReleases = 100
	maxRecomputedBytes    = 32 << 20 // as OTLP protobuf
)

// maxOpenJoins is how many rows may be open before writers wait for them.
const maxOpenJoins = 10_000

// joinPause is how long the joiner waits before it goes on with rows that were opened while it worked.
const joinPause = 20 * time.Millisecond

// openJoins are the traces whose row is open.
type openJoins struct {
	mu sync.Mutex // guards the fields below
	// traces has a number for each, which changes when another release comes.
	traces map[traceKey]uint64
	order  []traceKey // as they came
	number uint64
	fewer  chan struct{} // closed, and made anew, whenever a row is made

	news chan struct{}
}

func newOpenJoins() *openJoins {
	return &openJoins{traces: make(map[traceKey]uint64), fewer: make(chan struct{}), news: make(chan struct{}, 1)}
}

// add opens rows.
func (j *openJoins) add(keys []traceKey) {
	if len(keys) == 0 {
		return
	}
	j.mu.Lock()
	for _, key := range keys {
		j.number++
		if _, known := j.traces[key]; !known {
			j.order = append(j.order, key)
		}
		j.traces[key] = j.number
	}
	j.mu.Unlock()
	j.wake()
}

func (j *openJoins) wake() {
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// next takes the row that is open for longest. made or again must follow.
func (j *openJoins) next() (key traceKey, number uint64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.order) == 0 {
		return traceKey{}, 0, false
	}
	key = j.order[0]
	j.order = j.order[1:]
	return key, j.traces[key], true
}

// again leaves a row open.
func (j *openJoins) again(key traceKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.order = append(j.order, key)
}

// made closes a row, if it is still the one with the number.
func (j *openJoins) made(key traceKey, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.traces[key] != number {
		j.order = append(j.order, key)
		return
	}
	delete(j.traces, key)
	close(j.fewer)
	j.fewer = make(chan struct{})
}

// forget closes the row of a trace that was deleted.
func (j *openJoins) forget(key traceKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.traces, key)
	j.order = slices.DeleteFunc(j.order, func(k traceKey) bool { return k == key })
}

func (j *openJoins) current(key traceKey, number uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.traces[key] == number
}

func (j *openJoins) count() (int, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.traces), j.fewer
}

// wait holds a writer while too many rows are open. Its call is stored.
func (j *openJoins) wait(ctx context.Context, closing <-chan struct{}) error {
	for {
		n, fewer := j.count()
		if n < maxOpenJoins {
			return nil
		}
		select {
		case <-fewer:
		case <-closing:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loadJoins finds the rows that were open when the store was closed.
func (s *Store) loadJoins() error {
	lower, upper := openJoinSpan()
	var keys []traceKey
	err := scan(s.db, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		open, err := decodeOpenJoin(key)
		keys = append(keys, open)
		return err
	})
	s.joins.add(keys)
	return err
}

// join makes open rows until the store closes.
func (s *Store) join() {
	for {
		select {
		case <-s.joins.news:
		case <-s.ctx.Done():
			return
		}
		s.upkeepFailed("joining traces", s.finishJoins(s.ctx))
		if n, _ := s.joins.count(); n > 0 { // what came meanwhile, or could not be made
			select {
			case <-time.After(joinPause):
				s.joins.wake()
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// finishJoins makes the rows that are open now.
func (s *Store) finishJoins(ctx context.Context) error {
	if n, _ := s.joins.count(); n == 0 {
		return nil
	}
	select {
	case s.joining <- struct{}{}:
		defer func() { <-s.joining }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n, _ := s.joins.count()
	for range n { // those that come meanwhile are for the next time
		if err := ctx.Err(); err != nil {
			return err
		}
		key, number, ok := s.joins.next()
		if !ok {
			return nil
		}
		if err := s.joinTrace(ctx, key, number); err != nil {
			s.joins.again(key)
			return fmt.Errorf("join trace %s: %w", key.id, err)
		}
	}
	return nil
}

// joinTrace makes the row of a trace. s.joining is held.
func (s *Store) joinTrace(ctx context.Context, key traceKey, number uint64) error {
	days := s.partitions.of(key.tenant)
	row, first, err := s.joinedRow(days, key)
	if isCorrupt(err) {
		s.corrupt(key.id, err)
		return s.closeJoin(ctx, key, number, func(*pebble.Batch) error { return nil }) // the row that is there stays
	}
	if err != nil {
		return err
	}
	return s.closeJoin(ctx, key, number, func(batch *pebble.Batch) error {
		if err := s.deleteJoined(batch, days, key); err != nil || row == nil {
			return err
		}
		searchTime := tracestore.SearchTime(row.Start, first.releasedAt, s.options.Retention)
		if err := batch.Set(first.at.joinedKey(searchTime, key.id), appendRow(nil, row), nil); err != nil {
			return err
		}
		return batch.Set(first.at.joinKey(key.id), binary.BigEndian.AppendUint64(nil, uint64(searchTime)), nil)
	})
}

// closeJoin applies what make puts into a batch, and closes the open row with it; not if another release came meanwhile.
func (s *Store) closeJoin(ctx context.Context, key traceKey, number uint64, make func(batch *pebble.Batch) error) error {
	if err := s.lockWriter(ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	if s.joins.current(key, number) {
		batch := s.db.NewBatch()
		if err := errors.Join(make(batch), batch.Delete(openJoinKey(key.tenant, key.id), nil)); err != nil {
			return errors.Join(err, batch.Close())
		}
		if err := s.applyLater(batch); err != nil {
			return err
		}
	}
	s.joins.made(key, number)
	return nil
}

// deleteJoined removes the joined row of a trace, if it has one.
func (s *Store) deleteJoined(batch *pebble.Batch, days []*dayInMemory, key traceKey) error {
	hash := hashID(key.id)
	for _, d := range days {
		if !d.ids.mayHold(hash) {
			continue
		}
		_, err := get(s.db, d.joinKey(key.id), func(value []byte) error {
			searchTime, err := decodeTime(value)
			if err != nil {
				return err
			}
			return errors.Join(batch.Delete(d.joinedKey(searchTime, key.id), nil), batch.Delete(d.joinKey(key.id), nil))
		})
		if err != nil && !isCorrupt(err) {
			return err
		}
	}
	return nil
}

// readJoined reads the joined row of a trace; nil where it has none.
func (s *Store) readJoined(days []*dayInMemory, key traceKey) (row *tracerow.Row, err error) {
	hash := hashID(key.id)
	for _, d := range days {
		if !d.ids.mayHold(hash) {
			continue
		}
		_, err := get(s.db, d.joinKey(key.id), func(value []byte) error {
			searchTime, err := decodeTime(value)
			if err != nil {
				return err
			}
			_, err = get(s.db, d.joinedKey(searchTime, key.id), func(value []byte) error {
				decoded, err := decodeRow(key.id, value)
				row = &decoded
				return err
			})
			return err
		})
		if err != nil || row != nil {
			return row, err
		}
	}
	return nil, nil
}

// firstRelease is the release of a trace that was stored first.
type firstRelease struct {
	at         partition
	releasedAt int64
}

// joinedRow makes the row of all of a trace's releases; nil where there are none any more.
func (s *Store) joinedRow(days []*dayInMemory, key traceKey) (*tracerow.Row, firstRelease, error) {
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	return makeRow(snapshot, days, key)
}

// makeRow is joinedRow, of what a snapshot has.
func makeRow(snapshot pebble.Reader, days []*dayInMemory, key traceKey) (*tracerow.Row, firstRelease, error) {
	list, err := refs(snapshot, days, key.id, 0)
	if err != nil || len(list) == 0 {
		return nil, firstRelease{}, err
	}
	headers := make([]block.Header, len(list))
	spans, size := 0, 0
	for i, r := range list {
		headers[i], err = readHeader(snapshot, r, key)
		if err != nil {
			return nil, firstRelease{}, err
		}
		spans += headers[i].Spans
		size += headers[i].Size
	}
	at := 0
	for i, r := range list {
		if r.compareWritten(list[at]) < 0 {
			at = i
		}
	}
	first := firstRelease{list[at].at, headers[at].ReleasedAt}
	if spans <= maxRecomputedSpans && len(list) <= maxRecomputedReleases && size <= maxRecomputedBytes {
		releases := make([]ptrace.Traces, len(list))
		reader := bodyReader{reader: snapshot}
		defer reader.close()
		for i, r := range list {
			if releases[i], err = reader.traces(r); err != nil {
				return nil, firstRelease{}, err
			}
		}
		row := tracerow.FromTrace(releases)
		return &row, first, nil
	}
	// In the order of writing, as the row would have grown.
	byWriting := make([]int, len(list))
	for i := range byWriting {
		byWriting[i] = i
	}
	slices.SortFunc(byWriting, func(a, b int) int { return list[a].compareWritten(list[b]) })
	row := headers[byWriting[0]].Row
	for _, i := range byWriting[1:] {
		row.Merge(&headers[i].Row)
	}
	return &row, first, nil
}

// readHeader reads what a block says of one release.
func readHeader(reader pebble.Reader, r ref, key traceKey) (block.Header, error) {
	head, err := readHead(reader, r.at, r.sequence)
	if err != nil {
		return block.Header{}, err
	}
	headers, err := head.Headers()
	if err != nil {
		return block.Header{}, err
	}
	if int(r.number) >= len(headers) || !bytes.Equal(headers[r.number].Row.TraceID[:], key.id[:]) {
		return block.Header{}, fmt.Errorf("%w: block %d lacks release %d", errCorrupt, r.sequence, r.number)
	}
	return headers[r.number], nil
}

// bodyReader reads releases, and keeps the body it read last: releases of one trace often lie in one block.
type bodyReader struct {
	reader   pebble.Reader
	at       partition
	sequence uint64
	body     *block.Body
}

func (b *bodyReader) traces(r ref) (ptrace.Traces, error) {
	if b.body == nil || b.at != r.at || b.sequence != r.sequence {
		b.close()
		body, err := readBody(b.reader, r.at, r.sequence)
		if err != nil {
			return ptrace.Traces{}, err
		}
		b.body, b.at, b.sequence = body, r.at, r.sequence
	}
	if int(r.number) >= b.body.Len() {
		return ptrace.Traces{}, fmt.Errorf("%w: block %d lacks release %d", errCorrupt, r.sequence, r.number)
	}
	return b.body.Traces(int(r.number))
}

func (b *bodyReader) close() {
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
}

// keepChunk writes a full chunk of a partition's filter down, so that it is not made afresh at the next opening. The writer's lock
// is held.
func (s *Store) keepChunk(at partition, chunk *idChunk) {
	batch := s.db.NewBatchWithSize(len(chunk.lines)*64 + 256)
	err := batch.Set(at.sequenceKey(kindFilter, chunk.upTo), chunk.append(nil), nil)
	if err == nil {
		err = s.applyLater(batch)
	}
	if err != nil && s.writable() == nil {
		s.options.Logger.Warn("writing down a filter of trace ids failed; opening the store takes longer", zap.Error(err))
	}
}
