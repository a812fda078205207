package pebblestore

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore/block"
)

const (
	// blockOverhead is what a store takes on disk for what its blocks take, mostly: the index, rollups and what compactions have not given back.
	blockOverhead = 1.1
	// overflowEvery is how often there is looked whether the store is too large.
	overflowEvery = time.Minute
	// overflowLeaves is the share of MaxBytes that is left when something is dropped, so that disk space is reclaimed now and then, not
	// all the time.
	overflowLeaves = 0.95
)

// dayBlocks are the blocks of all tenants of a day. Today's are with those of tomorrow, which come of clocks that are ahead.
type dayBlocks struct {
	day        uint32
	partitions []partition
	blocks     []placedBlock
	bytes      int64   // of the blocks
	size       float64 // about what it takes
}

type placedBlock struct {
	at partition
	blockInMemory
}

// dropOverflow drops the oldest traces where there is more than MaxBytes: of days that are over all tenants' at once, as far as that goes,
// then of one day the oldest blocks, whosever they are. It goes by the size of what is stored, because the disk's free space comes back later.
func (s *Store) dropOverflow() error {
	if s.options.MaxBytes <= 0 {
		return nil
	}
	today := dayOf(s.options.Now().UnixNano())
	if err := s.measure(today); err != nil {
		s.upkeepFailed("measuring days", err) // which are reckoned with by their blocks
	}
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	used := s.partitions.size()
	if used <= float64(s.options.MaxBytes) {
		return nil
	}
	days := s.blocksByDay(today)
	over := used - overflowLeaves*float64(s.options.MaxBytes)
	dropped, freed := 0, freedSpace{}
	defer func() {
		s.options.Logger.Info("the trace store is above its size; dropped the oldest traces",
			zap.Int("partitions", dropped), zap.Int64("spans_of_others", freed.spans))
	}()
	for _, d := range days {
		if over <= 0 {
			break
		}
		if d.day < today && float64(d.bytes)*blockOverhead <= over { // its traces alone are not enough: its sums go with them
			if err := s.dropPartitions(d.partitions); err != nil {
				return err
			}
			dropped += len(d.partitions)
			over -= d.size
			continue
		}
		space, err := s.dropOldest(d, over/blockOverhead)
		freed.bytes += space.bytes
		freed.spans += space.spans
		if err != nil {
			return err
		}
		over -= float64(space.bytes) * blockOverhead
	}
	return nil
}

// blocksByDay lists the days, oldest first, and of each the blocks in the order in which they were written.
func (s *Store) blocksByDay(today uint32) (days []dayBlocks) {
	for _, d := range s.partitions.all() {
		day := min(d.day, today)
		if n := len(days); n == 0 || days[n-1].day != day {
			days = append(days, dayBlocks{day: day})
		}
		of := &days[len(days)-1]
		of.partitions = append(of.partitions, d.partition)
		of.size += s.partitions.sizeOf(d)
		for _, b := range s.partitions.blocksOf(d.partition) {
			of.blocks = append(of.blocks, placedBlock{d.partition, b})
			of.bytes += int64(b.bytes)
		}
	}
	for i := range days {
		slices.SortFunc(days[i].blocks, func(a, b placedBlock) int { return cmp.Compare(a.sequence, b.sequence) })
	}
	return days
}

// dropOldest drops the oldest blocks of a day, with the releases in them, until so many bytes are freed. rewriteMu is held.
func (s *Store) dropOldest(d dayBlocks, bytes float64) (freed freedSpace, err error) {
	nothing := func(pcommon.TraceID, []*block.Header, bool) (bool, error) { return false, nil }
	var of []partition
	defer func() {
		s.counters.thinned.Add(freed.spans)
		s.reclaim(of)
	}()
	for _, b := range d.blocks {
		if float64(freed.bytes) >= bytes || b.sequence > s.summed.Load() {
			break
		}
		if b.unreadable {
			continue
		}
		if err := s.writable(); err != nil {
			return freed, err
		}
		left, err := s.rewriteAlone(b.at, b.blockInMemory, nothing)
		if err != nil {
			return freed, err
		}
		freed.add(b.blockInMemory, left)
		if left.bytes < b.bytes && !slices.Contains(of, b.at) {
			of = append(of, b.at)
		}
	}
	return freed, nil
}

// freedSpace is what blocks no longer take.
type freedSpace struct{ bytes, spans int64 }

// add adds what became of a block.
func (f *freedSpace) add(before, after blockInMemory) {
	f.bytes += int64(before.bytes) - int64(after.bytes)
	f.spans += int64(before.spans) - int64(after.spans)
}

func bytesOf(blocks []blockInMemory) (sum int64) {
	for _, b := range blocks {
		sum += int64(b.bytes)
	}
	return sum
}
