package pebblestore

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// The rollups of a minute lie in three places: what is folded already, one value for each table; behind it the deltas, each the
// sums of some seconds; and behind these the sums of the last calls, in memory (openSums). Upkeep folds: it adds the deltas to
// the minute's values, in the order of the calls, and removes them. Readers add up all three, in the same order, so that answers do
// not hang on when a fold was.
//
// Pebble's merge operator would do without folding. But some seconds touch a thousand series, and to write a key for each takes
// 15 times as long as one value for all, before anything is merged.

const (
	// foldEvery is how often upkeep looks for deltas to fold.
	foldEvery = 5 * time.Second
	// maxDeltas is how many deltas a minute that is not over gathers before they are folded: a query of the last hour reads them again
	// for each of its tables. With 16, the services of the last hour took 80 ms beside 60,000 spans a second, with 6 half as long.
	maxDeltas = 6
)

// rollupMinute names the rollups of a tenant and minute.
type rollupMinute struct {
	partition partition
	minute    uint32
}

const minutesOfDay = 24 * 60

// newRollupMinute: rollups stand in the partition of their minute's day. tenant is a tenantPrefix.
func newRollupMinute(tenant string, minute uint32) rollupMinute {
	return rollupMinute{partition{tenant, minute / minutesOfDay}, minute}
}

// unfolded counts the deltas of the minutes that have some.
type unfolded struct {
	mu      sync.Mutex // guards minutes
	minutes map[rollupMinute]int
}

// add adds n deltas, or takes some away.
func (u *unfolded) add(m rollupMinute, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.minutes[m] += n; u.minutes[m] <= 0 {
		delete(u.minutes, m)
	}
}

// drop forgets a partition.
func (u *unfolded) drop(at partition) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for m := range u.minutes {
		if m.partition == at {
			delete(u.minutes, m)
		}
	}
}

// due lists the minutes that are over, and those with many deltas.
func (u *unfolded) due(now uint32) (list []rollupMinute) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for m, n := range u.minutes {
		if m.minute < now || n >= maxDeltas {
			list = append(list, m)
		}
	}
	return list
}

// loadDeltas finds the deltas that were not folded when the store was closed.
func (s *Store) loadDeltas() error {
	s.unfolded = &unfolded{minutes: make(map[rollupMinute]int)}
	for _, d := range s.partitions.all() {
		at := d.partition
		lower, upper := at.span(kindDelta)
		err := scan(s.db, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
			ref, err := at.decodeDelta(key)
			if err != nil {
				return err
			}
			s.sequence = max(s.sequence, ref.sequence)
			s.unfolded.add(rollupMinute{at, ref.minute}, 1)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// foldRollups folds the minutes that are due.
func (s *Store) foldRollups() error {
	s.upkeepMu.Lock()
	defer s.upkeepMu.Unlock()
	var failed error
	for _, m := range s.unfolded.due(rollup.MinuteOf(s.options.Now().UnixNano())) {
		if err := s.writable(); err != nil {
			return errors.Join(failed, err)
		}
		failed = errors.Join(failed, s.fold(m))
	}
	return failed
}

// fold adds a minute's deltas to its rollups. Calls that are written meanwhile have later sequences: their deltas stay.
func (s *Store) fold(m rollupMinute) error {
	sums, deltas, err := s.readMinute(s.db, m, rollup.AllTables)
	if err != nil {
		return err
	}
	batch := s.db.NewBatch()
	for table := range sums.Tables().All() {
		if err := batch.Set(m.partition.rollupKey(table, m.minute), sums.AppendPacked(nil, rollup.Of(table)), nil); err != nil {
			return err
		}
	}
	for _, delta := range deltas {
		if err := batch.Delete(m.partition.deltaKey(delta), nil); err != nil {
			return err
		}
	}
	if err := s.lockWriter(s.ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	if err := s.applyLater(batch); err != nil {
		return err
	}
	s.unfolded.add(m, -len(deltas))
	return nil
}

// readMinute adds up what is folded of a minute, and then its deltas, which it lists.
func (s *Store) readMinute(reader pebble.Reader, m rollupMinute, tables rollup.Tables) (*rollup.Sums, []deltaRef, error) {
	sums := rollup.NewSums(rollup.MaxSeries)
	for table := range tables.All() {
		_, err := get(reader, m.partition.rollupKey(table, m.minute), func(value []byte) error {
			return s.passOver(m.minute, sums.Merge(value, rollup.Of(table)))
		})
		if err != nil {
			return nil, nil, err
		}
	}
	var deltas []deltaRef
	lower, upper := m.partition.deltaSpan(m.minute, m.minute)
	err := scan(reader, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		ref, err := m.partition.decodeDelta(key)
		if err != nil {
			return err
		}
		deltas = append(deltas, ref)
		encoded, err := value()
		if err != nil {
			return err
		}
		return s.passOver(m.minute, sums.Merge(encoded, tables))
	})
	if err != nil {
		return nil, nil, err
	}
	return sums, deltas, nil
}

// passOver counts and tells of a value that cannot be read, and returns any other error.
func (s *Store) passOver(minute uint32, err error) error {
	if !errors.Is(err, rollup.ErrValue) {
		return err
	}
	s.counters.corrupt.Add(1)
	s.options.Logger.Warn("stored rollups cannot be read; aggregates lack them",
		zap.Time("minute", time.Unix(int64(minute)*60, 0)), zap.Error(err))
	return nil
}

// scan calls f for the keys of a range. Key and value are valid during the call.
func scan(reader pebble.Reader, lower, upper []byte, f func(key []byte, value func() ([]byte, error)) error) error {
	iter, err := reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for valid := iter.First(); valid; valid = iter.Next() {
		if err := f(iter.Key(), iter.ValueAndErr); err != nil {
			return errors.Join(fmt.Errorf("read key %x: %w", iter.Key(), err), iter.Close())
		}
	}
	return errors.Join(iter.Error(), iter.Close())
}
