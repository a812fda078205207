package pebblestore

import (
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// weight is the number of the block's spans, of which those that are large count as several: what a merge holds in memory.
func (b *blockInMemory) weight() int { return max(int(b.spans), int(b.otlp/spanBytes)) }

// mergeSteps are how blocks that follow one another are merged: those below a weight when they make up the target, or when they are
// many. A span is written four times at most. What is not small, which calls of a busy system are not, is written once. When a day
// is over, what is left of it is merged once more.
var mergeSteps = []struct{ below, target int }{{96, 256}, {512, 1536}, {smallSpans, targetSpans}}

const (
	// smallSpans is below which weight a block is small.
	smallSpans = 2048
	// maxMerged bounds how many blocks are open at once.
	maxMerged = 256
)

// chooseMerge finds blocks to merge, the oldest first: those at [from, to) of the list. Of a day that is over (closed) all small ones
// are. summed is the sequence up to which blocks may be rewritten, thinned that up to which they were thinned: those behind it are not
// merged into the others, or they would count as thinned too.
func chooseMerge(blocks []blockInMemory, summed, thinned uint64, closed bool) (from, to int) {
	if n := slices.IndexFunc(blocks, func(b blockInMemory) bool { return b.sequence > thinned }); thinned > 0 && n > 0 {
		if from, to = chooseMerge(blocks[:n], summed, 0, closed); from < to {
			return from, to
		}
		from, to = chooseMerge(blocks[n:], summed, 0, closed)
		return n + from, n + to
	}
	for _, step := range mergeSteps {
		start, weight := 0, 0
		for i, b := range blocks {
			if b.sequence > summed {
				break
			}
			if b.unreadable || b.weight() >= step.below {
				if closed && step.below == smallSpans && i-start > 1 {
					return start, i
				}
				start, weight = i+1, 0
				continue
			}
			if weight += b.weight(); i > start && (weight >= step.target || i-start+1 >= maxMerged) {
				return start, i + 1
			}
		}
		if n := len(blocks); closed && step.below == smallSpans && n-start > 1 && blocks[n-1].sequence <= summed {
			return start, n
		}
	}
	return 0, 0
}

// mergeEvery is how often there is looked for blocks to merge.
const mergeEvery = 5 * time.Second

// keepMerged merges, and drops what it takes to rewrite blocks for, until the store closes.
func (s *Store) keepMerged() {
	ticker, overflow := time.NewTicker(mergeEvery), time.NewTicker(overflowEvery)
	defer ticker.Stop()
	defer overflow.Stop()
	for {
		select {
		case <-ticker.C:
			s.upkeepFailed("merging blocks", s.mergeBlocks())
			s.upkeepFailed("thinning old traces", s.thin())
		case <-overflow.C:
			s.upkeepFailed("dropping what is above the size", s.dropOverflow())
		case <-s.ctx.Done():
			return
		}
	}
}

// mergeBlocks merges what there is to merge.
func (s *Store) mergeBlocks() error {
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	today := dayOf(s.options.Now().UnixNano())
	if today != s.mergedOn {
		s.mergedOn = today
		s.partitions.unsettle()
	}
	for _, d := range s.partitions.unsettled() {
		if err := s.mergeDay(d, d.day < today); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) mergeDay(d *dayInMemory, closed bool) error {
	for {
		if err := s.takesCalls(); err != nil { // nor space for what is written before it makes space
			return err
		}
		if s.ctx.Err() != nil {
			return tracestore.ErrClosed
		}
		summed := s.summed.Load() // blocks behind it are read again for their sums when the store is opened
		blocks := s.partitions.blocksOf(d.partition)
		from, to := chooseMerge(blocks, summed, d.thinned, closed)
		if from == to {
			from, to = chooseDamaged(blocks, summed)
		}
		if from == to {
			if n := len(blocks); n == 0 || blocks[n-1].sequence <= summed {
				s.partitions.settle(d, blocks)
			}
			return nil
		}
		if err := s.rewriteBlocks(d.partition, blocks[from:to], nil); err != nil {
			return err
		}
	}
}

// chooseDamaged finds a block that has deleted releases.
func chooseDamaged(blocks []blockInMemory, summed uint64) (from, to int) {
	for i, b := range blocks {
		if b.damaged && !b.unreadable && b.sequence <= summed {
			return i, i + 1
		}
	}
	return 0, 0
}

// rewriteBlocks rewrites some blocks, or notes that they cannot be read.
func (s *Store) rewriteBlocks(at partition, blocks []blockInMemory, keep keeper) error {
	w := rewrite{store: s, at: at, keep: keep}
	for _, b := range blocks {
		w.inputs = append(w.inputs, b.sequence)
	}
	err := w.run()
	if err == nil || !isRewritable(err) {
		return err
	}
	if !s.partitions.has(at, w.inputs) {
		return nil // the partition was dropped meanwhile
	}
	if len(blocks) > 1 { // which of them it is shows when each is rewritten alone
		for i := range blocks {
			if err := s.rewriteBlocks(at, blocks[i:i+1], keep); err != nil {
				return err
			}
		}
		return nil
	}
	s.corruptBlock(at, blocks[0].sequence, err)
	s.partitions.giveUp(at, blocks[0].sequence)
	return nil
}

// rewriteAlone rewrites a block and answers what is left of it: all of it where it cannot be read, nothing where no release stays.
func (s *Store) rewriteAlone(at partition, b blockInMemory, keep keeper) (left blockInMemory, err error) {
	if err := s.rewriteBlocks(at, []blockInMemory{b}, keep); err != nil {
		return b, err
	}
	for _, now := range s.partitions.blocksOf(at) {
		if now.sequence == b.sequence {
			return now, nil
		}
	}
	return blockInMemory{}, nil
}

const (
	// flushEvery is how often flushQuiet looks, and quietLogBytes what the log may hold until then. A minute after the last call that is done, and
	// Pebble has compacted what was flushed.
	flushEvery    = 45 * time.Second
	quietLogBytes = 64 << 10
)

// flushQuiet writes the memtable out where little comes in: the log has every small block that was merged since, which is more than
// the data.
func (s *Store) flushQuiet() error {
	if s.db.Metrics().WAL.Size < quietLogBytes {
		return nil
	}
	_, err := s.db.AsyncFlush()
	return err
}
