package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// A trace of several releases has one row, made of all its spans together. It stands under a joined key, in the partition of the
// release that was stored first. Making it reads the trace's blocks, which is too slow for a writer: the writer marks the
// releases and notes that the trace's row is open (the open key); the joiner makes it a moment later. A search passes
// over open rows by the heads of their blocks; it waits for those that are left, and makes those for itself that are few or opened meanwhile.

// maxOpenJoins is how many rows may be open before writers wait for them.
const maxOpenJoins = 10_000

// maxJoinBatch is how many rows are made out of one snapshot.
const maxJoinBatch = 256

// joinPause is how long the joiner waits before it goes on with rows that were opened while it worked.
const joinPause = 20 * time.Millisecond

// openJoins are the traces whose row is open.
type openJoins struct {
	mu     sync.Mutex // guards the fields below
	traces map[traceKey]openJoin
	order  []traceKey // as they came; all of traces but those that next gave out, and those that failed
	failed []traceKey // that the disk did not give: they wait for retry
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

// fail leaves a row open until retry.
func (j *openJoins) fail(key traceKey, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.isOpen(key, number) {
		j.failed = append(j.failed, key)
		j.fewerNow()
	}
}

// retry lets rows be made that failed.
func (j *openJoins) retry() {
	j.mu.Lock()
	j.order, j.failed = append(j.order, j.failed...), nil
	j.mu.Unlock()
	j.wake()
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
	j.fewerNow()
}

func (j *openJoins) fewerNow() {
	close(j.fewer)
	j.fewer = make(chan struct{})
}

// forget closes the row of a trace that was deleted.
func (j *openJoins) forget(key traceKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, open := j.traces[key]; open {
		j.close(key)
		for _, list := range []*[]traceKey{&j.order, &j.failed} {
			*list = slices.DeleteFunc(*list, func(k traceKey) bool { return k == key })
		}
	}
}

// state says of a row that next gave out whether it is still to be made, and whether no other release came meanwhile.
func (j *openJoins) state(key traceKey, number uint64) (open, latest bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.isOpen(key, number), j.traces[key].latest == number
}

// count is how many rows are open that did not fail.
func (j *openJoins) count() (int, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.traces) - len(j.failed), j.fewer
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
	// Those that come meanwhile are for the next time.
	for n, _ := s.joins.count(); n > 0; {
		var tasks []joinTask
		for len(tasks) < min(n, maxJoinBatch) {
			key, number, ok := s.joins.next()
			if !ok {
				break
			}
			tasks = append(tasks, joinTask{key: key, number: number})
		}
		if len(tasks) == 0 {
			return nil
		}
		n -= len(tasks)
		if err := s.joinTasks(ctx, tasks); err != nil {
			return err
		}
	}
	return nil
}

// joinTask is a row that is to be made of what a snapshot has, which was taken behind next.
type joinTask struct {
	key    traceKey
	number uint64
	days   []*dayInMemory
	list   []ref // the trace's releases, where they are few; of what is first of them
	first  ref
}

// joinTasks makes rows, those together whose blocks are the same: late fragments come in one call for many traces of the calls before.
// s.joining is held.
func (s *Store) joinTasks(ctx context.Context, tasks []joinTask) (err error) {
	done := 0
	defer func() {
		for _, t := range tasks[done:] {
			s.joins.again(t.key, t.number)
		}
	}()
	for i := range tasks {
		tasks[i].days = s.partitions.of(tasks[i].key.tenant)
	}
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	for i := range tasks {
		t := &tasks[i]
		list, err := refs(snapshot, t.days, t.key.id, maxRecomputedReleases+1)
		if err != nil && !isUnreadable(err) { // else making it tells of it
			return fmt.Errorf("join trace %s: %w", t.key.id, err)
		}
		if len(list) > 0 {
			t.first = slices.MinFunc(list, ref.compareWritten)
		}
		if err == nil && len(list) <= maxRecomputedReleases {
			t.list = list
		}
	}
	slices.SortFunc(tasks, func(a, b joinTask) int {
		return cmp.Or(cmp.Compare(a.first.at.tenant, b.first.at.tenant), cmp.Compare(a.first.at.day, b.first.at.day),
			cmp.Compare(a.first.sequence, b.first.sequence), cmp.Compare(a.first.number, b.first.number))
	})
	reader := blockReader{reader: snapshot}
	defer reader.close()
	for i := range tasks {
		t := &tasks[i]
		err := ctx.Err()
		if err != nil {
			return err
		}
		dropped, err := s.joinTask(ctx, &reader, t)
		if err == nil && dropped {
			err = s.joinTrace(ctx, t.key, t.number)
		}
		if err != nil {
			return fmt.Errorf("join trace %s: %w", t.key.id, err)
		}
		done++
		runtime.Gosched() // readers do not wait until all are made
	}
	return nil
}

// joinTrace makes the row of one trace, unless it rests. s.joining is held.
func (s *Store) joinTrace(ctx context.Context, key traceKey, number uint64) error {
	for {
		t := joinTask{key: key, number: number, days: s.partitions.of(key.tenant)}
		// A snapshot, so that what the index promises is there although blocks are merged or dropped meanwhile.
		reader := blockReader{reader: s.db.NewSnapshot()}
		dropped, err := s.joinTask(ctx, &reader, &t)
		reader.close()
		if err := errors.Join(err, reader.reader.Close()); err != nil || !dropped {
			return err
		}
	}
}

// joinTask makes a row and stores it, unless it rests. It is to be made again where the partition was dropped that it belongs to.
func (s *Store) joinTask(ctx context.Context, reader *blockReader, t *joinTask) (dropped bool, err error) {
	if s.rests(t.days, t.key) {
		s.joins.again(t.key, t.number)
		return false, nil
	}
	started := time.Now()
	made, err := s.makeRow(ctx, reader, t)
	if isCorrupt(err) {
		s.corrupt(t.key.id, err)
		made, err = madeRow{kept: true}, nil
	}
	if err == nil {
		dropped, err = s.closeJoin(ctx, t.days, t.key, t.number, &made)
	}
	switch {
	case isReadError(err): // it is of this trace alone, and may pass
		s.corrupt(t.key.id, err)
		s.joins.fail(t.key, t.number)
		return false, nil
	case err == nil && !dropped:
		s.rest(t.key, &made, time.Since(started))
	}
	return dropped, err
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
