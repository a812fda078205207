package pebblestore

import (
	"errors"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// maxMeasureTime bounds how long partitions are measured at a time.
const maxMeasureTime = 5 * time.Second

// size is about what the day takes on the disk. partitions.mu is held.
func (d *dayInMemory) size() float64 {
	blocks := float64(bytesOf(d.blocks))
	return max(blocks*blockOverhead, blocks+float64(d.beside))
}

// measure finds out what partitions hold beside blocks, each once when its day is over. blockOverhead says that mostly, but sums count traces
// too that were thinned out, and where little comes in they are more than its traces. Pebble's estimate would not do: it has what was
// deleted and not compacted yet, which would have more dropped than is too much.
func (s *Store) measure(today uint32) error {
	started := time.Now()
	for _, d := range s.partitions.between(0, today) {
		if s.partitions.measured(d) {
			continue
		}
		if time.Since(started) > maxMeasureTime {
			return nil // the others are measured the next time
		}
		bytes, err := s.bytesBeside(d.partition)
		if isUnreadable(err) { // which keeps none of the others from being measured
			bytes, err = 1, nil
		}
		if err != nil {
			return err
		}
		s.partitions.noteBeside(d, bytes)
	}
	return nil
}

// bytesBeside is what the partition's keys and values take that are not of blocks. What all of its keys begin with stands in tables once.
func (s *Store) bytesBeside(at partition) (sum int64, err error) {
	for _, kind := range []byte{kindDelta, kindFilter, kindID, kindJoined, kindJoin, kindRollup, kindMark} {
		lower, upper := at.span(kind)
		iter, err := s.db.NewIter(iterOptions(lower, upper))
		if err != nil {
			return 0, err
		}
		for valid := iter.First(); valid && s.ctx.Err() == nil; valid = iter.Next() {
			value := iter.LazyValue()
			sum += int64(len(iter.Key()) - len(lower) + value.Len())
		}
		if err := errors.Join(iter.Error(), iter.Close()); err != nil {
			return 0, err
		}
	}
	if s.ctx.Err() != nil {
		return 0, tracestore.ErrClosed
	}
	return sum, nil
}
