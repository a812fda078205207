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
	now := s.expiryTime()
	if s.options.KeepAll <= 0 || now <= int64(s.options.KeepAll) {
		return nil
	}
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	var failed error // of one day, which does not keep the others from being thinned
	for _, d := range s.partitions.between(0, dayOf(now-int64(s.options.KeepAll))) {
		if err := s.thinDay(d); err != nil {
			failed = fmt.Errorf("thin day %d: %w", d.day, err)
		}
	}
	return failed
}

func (s *Store) thinDay(d *dayInMemory) error {
	var blocks []blockInMemory
	for _, b := range s.partitions.blocksBehind(d.partition, d.thinned) {
		if b.sequence <= s.summed.Load() && !b.unreadable {
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
	var before, freed freedSpace
	for _, b := range blocks {
		if err := s.writable(); err != nil {
			return err
		}
		left, err := s.rewriteAlone(d.partition, b, keep)
		if err != nil {
			return err
		}
		before.add(b, blockInMemory{})
		freed.add(b, left)
	}
	s.counters.thinned.Add(freed.spans)
	s.options.Logger.Info("thinned the traces of a day", zap.Time("day", dayStart(d.day)), zap.Int64("spans", before.spans),
		zap.Int64("kept", before.spans-freed.spans))
	if err := s.noteThinned(d, blocks[len(blocks)-1].sequence); err != nil {
		return err
	}
	if freed.bytes >= bytesOf(s.partitions.blocksOf(d.partition))/worthReclaiming {
		s.reclaim([]partition{d.partition})
		s.partitions.noteBeside(d, 0) // the index is smaller now
	}
	return nil
}

// worthReclaiming is which part of a day's bytes, one in so many, is reclaimed at once, which reads and writes much of the day. What is
// less, of the late traces of a day that was thinned, comes back with time.
const worthReclaiming = 8

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
			row, err := readJoined(s.db, days, traceKey{d.tenant, id})
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
