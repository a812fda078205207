package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// A trace of several releases has one row, made of all its spans together. It stands under a joined key, in the partition of the
// release that was stored first. Making it reads the trace's blocks, which is too slow for a writer: the writer marks the
// releases and notes that the trace's row is open (the open key); the joiner makes it a moment later. A search first waits
// for the rows that are open, and makes those for itself that are opened meanwhile.

// maxOpenJoins is how many rows may be open before writers wait for them.
const maxOpenJoins = 10_000

// joinPause is how long the joiner waits before it goes on with rows that were opened while it worked.
const joinPause = 20 * time.Millisecond

// openJoins are the traces whose row is open.
type openJoins struct {
	mu     sync.Mutex // guards the fields below
	traces map[traceKey]openJoin
	order  []traceKey // as they came; all of traces but the one that next gave out
	number uint64
	fewer  chan struct{} // closed, and made anew, whenever a row is closed

	news chan struct{}

	// large are rows that grow by what comes (makeRow). Guarded by Store.joining.
	large map[traceKey]*largeRow
}

// openJoin numbers the releases that a row is to be made of: the one that opened it, and the latest.
type openJoin struct{ first, latest uint64 }

func newOpenJoins() *openJoins {
	return &openJoins{
		traces: make(map[traceKey]openJoin), fewer: make(chan struct{}), news: make(chan struct{}, 1), large: make(map[traceKey]*largeRow),
	}
}

// add opens rows.
func (j *openJoins) add(keys []traceKey) {
	if len(keys) == 0 {
		return
	}
	j.mu.Lock()
	for _, key := range keys {
		j.number++
		open, known := j.traces[key]
		if !known {
			j.order = append(j.order, key)
			open.first = j.number
		}
		open.latest = j.number
		j.traces[key] = open
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
	return key, j.traces[key].latest, true
}

// again leaves a row open that next gave out.
func (j *openJoins) again(key traceKey, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.isOpen(key, number) {
		j.order = append(j.order, key)
	}
}

// made closes a row that next gave out. It stays open where other releases came meanwhile.
func (j *openJoins) made(key traceKey, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case !j.isOpen(key, number):
	case j.traces[key].latest != number:
		j.order = append(j.order, key)
	default:
		j.close(key)
	}
}

// isOpen says whether the row is open since before the number. It is not where the trace was deleted meanwhile: what came behind that
// is in order.
func (j *openJoins) isOpen(key traceKey, number uint64) bool {
	open, known := j.traces[key]
	return known && open.first <= number
}

func (j *openJoins) close(key traceKey) {
	delete(j.traces, key)
	close(j.fewer)
	j.fewer = make(chan struct{})
}

// forget closes the row of a trace that was deleted.
func (j *openJoins) forget(key traceKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, open := j.traces[key]; open {
		j.close(key)
		j.order = slices.DeleteFunc(j.order, func(k traceKey) bool { return k == key })
	}
}

// state says of a row that next gave out whether it is still to be made, and whether no other release came meanwhile.
func (j *openJoins) state(key traceKey, number uint64) (open, latest bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.isOpen(key, number), j.traces[key].latest == number
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
			s.joins.again(key, number)
			return fmt.Errorf("join trace %s: %w", key.id, err)
		}
	}
	return nil
}

// joinTrace makes the row of a trace, unless it rests. s.joining is held.
func (s *Store) joinTrace(ctx context.Context, key traceKey, number uint64) error {
	for {
		days := s.partitions.of(key.tenant)
		if s.rests(days, key) {
			s.joins.again(key, number)
			return nil
		}
		started := time.Now()
		made, err := s.makeRow(ctx, days, key)
		if isCorrupt(err) {
			s.corrupt(key.id, err)
			made, err = madeRow{kept: true}, nil
		}
		if err != nil {
			return err
		}
		dropped, err := s.closeJoin(ctx, days, key, number, &made)
		if err != nil {
			return err
		}
		if !dropped {
			s.rest(key, &made, time.Since(started))
			return nil
		}
	}
}

// closeJoin stores a row that was made, and closes it, unless another release came meanwhile. It stores nothing where the trace was
// deleted, or where the partition was dropped that the row belongs to: then it is to be made again.
func (s *Store) closeJoin(ctx context.Context, days []*dayInMemory, key traceKey, number uint64, made *madeRow) (dropped bool, err error) {
	if err := s.lockWriter(ctx); err != nil {
		return false, err
	}
	defer s.unlockWriter()
	open, latest := s.joins.state(key, number)
	if !open {
		return false, nil
	}
	if made.row != nil && !slices.Contains(s.partitions.of(key.tenant), made.first.day) {
		return true, nil
	}
	batch := s.db.NewBatch()
	if !made.kept {
		err = s.replaceJoined(batch, days, key, made)
	}
	if latest {
		err = errors.Join(err, batch.Delete(openJoinKey(key.tenant, key.id), nil))
	}
	if err != nil {
		return false, errors.Join(err, batch.Close())
	}
	if err := s.applyLater(batch); err != nil {
		return false, err
	}
	s.joins.made(key, number)
	return false, nil
}

// replaceJoined puts a row in the place of the one that is there.
func (s *Store) replaceJoined(batch *pebble.Batch, days []*dayInMemory, key traceKey, made *madeRow) error {
	if err := s.deleteJoined(batch, days, key); err != nil || made.row == nil {
		return err
	}
	at := made.first.day.partition
	searchTime := tracestore.SearchTime(made.row.Start, made.first.releasedAt, s.options.Retention)
	if err := batch.Set(at.joinedKey(searchTime, key.id), appendRow(nil, made.row), nil); err != nil {
		return err
	}
	return batch.Set(at.joinKey(key.id), binary.BigEndian.AppendUint64(nil, uint64(searchTime)), nil)
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
func readJoined(reader pebble.Reader, days []*dayInMemory, key traceKey) (row *tracerow.Row, err error) {
	hash := hashID(key.id)
	for _, d := range days {
		if !d.ids.mayHold(hash) {
			continue
		}
		_, err := get(reader, d.joinKey(key.id), func(value []byte) error {
			searchTime, err := decodeTime(value)
			if err != nil {
				return err
			}
			_, err = get(reader, d.joinedKey(searchTime, key.id), func(value []byte) error {
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
