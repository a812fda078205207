package pebblestore

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// thin writes the blocks of the days behind KeepAll again without the traces that are not worth keeping. A trace of several releases is
// kept or not by its joined row.
func (s *Store) thin() error {
	now := s.options.Now().UnixNano()
	if s.options.KeepAll <= 0 || now <= int64(s.options.KeepAll) {
		return nil
	}
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	for _, d := range s.partitions.between(0, dayOf(now-int64(s.options.KeepAll))) {
		if err := s.thinDay(d); err != nil {
			return fmt.Errorf("thin day %d: %w", d.day, err)
		}
	}
	return nil
}

func (s *Store) thinDay(d *dayInMemory) error {
	var blocks []blockInMemory
	for _, b := range s.partitions.blocksOf(d.partition) {
		if b.sequence > d.thinned && b.sequence <= s.summedNow.Load() && !b.unreadable {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	if err := s.finishJoins(s.ctx); err != nil {
		return err
	}
	keep, err := s.worth(d)
	if err != nil {
		return err
	}
	var before, after uint64
	for _, b := range blocks {
		if err := s.writable(); err != nil {
			return err
		}
		if err := s.rewriteBlocks(d.partition, []blockInMemory{b}, keep); err != nil {
			return err
		}
		before += uint64(b.spans)
	}
	last := blocks[len(blocks)-1].sequence
	for _, b := range s.partitions.blocksOf(d.partition) {
		if b.sequence > d.thinned && b.sequence <= last {
			after += uint64(b.spans)
		}
	}
	s.counters.thinned.Add(int64(before) - int64(after))
	s.options.Logger.Info("thinned the traces of a day", zap.Time("day", dayStart(d.day)), zap.Uint64("spans", before), zap.Uint64("kept", after))
	if err := s.noteThinned(d, last); err != nil {
		return err
	}
	return s.reclaim([]partition{d.partition})
}

// noteThinned remembers how far a day was thinned.
func (s *Store) noteThinned(d *dayInMemory, last uint64) error {
	if err := s.lockWriter(s.ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	d.thinned = last
	if len(s.partitions.blocksOf(d.partition)) == 0 {
		return nil // nothing is left, or it was dropped: the key would make a day of it
	}
	batch := s.db.NewBatch()
	if err := batch.Set(d.key(kindThinned, 0), appendSequence(nil, last), nil); err != nil {
		return err
	}
	return s.applyLater(batch)
}

// worth says which traces of a day are kept.
func (s *Store) worth(d *dayInMemory) (keeper, error) {
	slow, err := s.slowAbove(d)
	if err != nil {
		return nil, err
	}
	worth := func(row *tracerow.Row) bool {
		if row.Failed || row.ErrorCount > 0 {
			return true
		}
		limit, known := slow[row.Entry]
		return known && row.Duration > limit
	}
	days := s.partitions.of(d.tenant)
	return func(id pcommon.TraceID, releases []*block.Header, joined bool) (bool, error) {
		if inShare(id, s.options.Keep.Share) {
			return true, nil
		}
		if joined {
			row, err := s.readJoined(days, traceKey{d.tenant, id})
			if err != nil {
				return false, err
			}
			if row != nil {
				return worth(row), nil
			}
		}
		for _, header := range releases {
			if worth(&header.Row) {
				return true, nil
			}
		}
		return false, nil
	}, nil
}

// inShare says whether a trace is of a share of all, which every store and day chooses alike. The larger share has all of the smaller.
func inShare(id pcommon.TraceID, share float64) bool {
	return float64(hashID(id)) < share*math.Exp2(64)
}

// sketchError is added to what a sketch says, so that traces of equal duration are not slow.
const sketchError = 1.01

// slowAbove is, for each entry, the duration above which its traces of the day count as slow.
func (s *Store) slowAbove(d *dayInMemory) (map[tracestore.Operation]int64, error) {
	slow := make(map[tracestore.Operation]int64)
	if s.options.Keep.Slowest <= 0 {
		return slow, nil
	}
	query := &tracestore.AggregateQuery{Start: dayStart(d.day), End: dayStart(d.day).Add(24 * time.Hour)}
	entries := rollup.Reader(func(
		ctx context.Context, _ string, query *tracestore.AggregateQuery, table rollup.Table,
	) (*rollup.Answer, error) {
		return s.addUp(ctx, d.tenant, query, table)
	}).Entries(s.ctx, "", query)
	for entry, err := range entries {
		if err != nil {
			return nil, err
		}
		if entry.Durations == nil {
			continue
		}
		limit, err := entry.Durations.GetValueAtQuantile(1 - min(s.options.Keep.Slowest, 1))
		if err != nil {
			return nil, err
		}
		slow[entry.Operation] = int64(limit * sketchError)
	}
	return slow, nil
}

// blockOverhead is what a store takes on disk for what its blocks take: the index, rollups and what compactions have not given back.
const blockOverhead = 1.1

// dropOverflow drops the oldest traces where there is more than MaxBytes: whole days as far as that goes, and of today the oldest
// blocks. It goes by the size of the blocks, because the disk's free space comes back later.
func (s *Store) dropOverflow() error {
	if s.options.MaxBytes <= 0 {
		return nil
	}
	days := s.partitions.all()
	bytes := make([]int64, len(days))
	over := -float64(s.options.MaxBytes)
	for i, d := range days {
		for _, b := range s.partitions.blocksOf(d.partition) {
			bytes[i] += int64(b.bytes)
		}
		over += float64(bytes[i]) * blockOverhead
	}
	today := dayOf(s.options.Now().UnixNano())
	var drop []partition
	for i, d := range days {
		if over <= 0 {
			break
		}
		if d.day >= today {
			freed, err := s.dropOldest(d, over/blockOverhead)
			if err != nil {
				return err
			}
			over -= freed * blockOverhead
			continue
		}
		drop = append(drop, d.partition)
		over -= float64(bytes[i]) * blockOverhead
	}
	if len(drop) == 0 {
		return nil
	}
	s.options.Logger.Info("the trace store is above its size; dropped the oldest days", zap.Int("partitions", len(drop)))
	return s.dropPartitions(drop, false)
}

// dropOldest drops the oldest blocks of a day, with the releases in them.
func (s *Store) dropOldest(d *dayInMemory, bytes float64) (freed float64, err error) {
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	nothing := func(pcommon.TraceID, []*block.Header, bool) (bool, error) { return false, nil }
	for _, b := range s.partitions.blocksOf(d.partition) {
		if freed >= bytes || b.sequence > s.summedNow.Load() {
			break
		}
		if err := s.rewriteBlocks(d.partition, []blockInMemory{b}, nothing); err != nil {
			return freed, err
		}
		freed += float64(b.bytes)
		s.counters.thinned.Add(int64(b.spans))
	}
	return freed, s.reclaim([]partition{d.partition})
}
