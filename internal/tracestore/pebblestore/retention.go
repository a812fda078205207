package pebblestore

import (
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// upkeepEvery is how often the store looks for what it need not keep any longer.
const upkeepEvery = 10 * time.Minute

// keepUp drops what is too old and folds rollups, until the store closes.
func (s *Store) keepUp() {
	upkeep, folding, summing, flushing := time.NewTicker(upkeepEvery), time.NewTicker(foldEvery), time.NewTicker(sumEvery), time.NewTicker(flushEvery)
	for _, ticker := range []*time.Ticker{upkeep, folding, summing, flushing} {
		defer ticker.Stop()
	}
	s.upkeepFailed("dropping expired traces", s.dropExpired())
	for {
		select {
		case <-upkeep.C:
			s.upkeepFailed("dropping expired traces", s.dropExpired())
			s.boundFilters()
			s.upkeepFailed("writing down filters", s.keepFilters())
			s.joins.retry()
		case <-folding.C:
			s.upkeepFailed("folding rollups", s.foldRollups())
		case <-summing.C:
			s.upkeepFailed("writing down rollups", s.writeSums())
		case <-flushing.C:
			s.upkeepFailed("flushing", s.flushQuiet())
		case <-s.openSums.due:
			s.upkeepFailed("writing down rollups", s.writeSums())
		case <-s.ctx.Done():
			return
		}
	}
}

// maxFilterBytes is what the filters of trace ids may take: those of 67 million traces.
const maxFilterBytes = 128 << 20

func (s *Store) boundFilters() {
	if given := s.partitions.boundFilters(maxFilterBytes, dayOf(s.options.Now().UnixNano())); given > 0 {
		s.options.Logger.Info("the filters of trace ids are large; traces of the oldest days are looked up on the disk from now on",
			zap.Int("partitions", given))
	}
}

// upkeepFailed tells of a failure, unless it is one that was told of where it began.
func (s *Store) upkeepFailed(what string, err error) {
	if err != nil && s.ctx.Err() == nil && !errors.Is(err, errLowSpace) && s.writable() == nil {
		s.options.Logger.Warn(what+" failed; trying again later", zap.Error(err))
	}
}

// dropExpired drops partitions of which the whole day is older than the retention. They are ranges, which cost a write each, whatever
// they hold.
func (s *Store) dropExpired() error {
	var expired []partition
	if retention, at := int64(s.options.Retention), s.expiryTime(); retention > 0 && at > retention {
		for _, d := range s.partitions.between(0, dayOf(at-retention)) {
			expired = append(expired, d.partition)
		}
	}
	if len(expired) == 0 {
		return nil
	}
	if err := s.dropPartitions(expired); err != nil {
		return err
	}
	s.options.Logger.Info("dropped expired traces", zap.Int("partitions", len(expired)))
	return nil
}

// trustedAfter is how long a store is open before the clock is taken for right, whatever it says.
const trustedAfter = 24 * time.Hour

// expiryTime is the time by which traces are old: the clock's, but in the first day after the opening at most a day behind the day of the newest
// release. A clock that is wrong after a restart, as that of a machine without battery, must not let everything expire before somebody, or
// NTP, has set it.
func (s *Store) expiryTime() int64 {
	now := s.options.Now().UnixNano()
	days := s.partitions.all()
	if len(days) == 0 || time.Since(s.opened) >= trustedAfter {
		return now
	}
	if behind := int64(days[len(days)-1].day) + 2; int64(dayOf(now)) >= behind {
		return behind * int64(24*time.Hour)
	}
	return now
}

func (s *Store) dropPartitions(list []partition) error {
	s.upkeepMu.Lock()
	defer s.upkeepMu.Unlock()
	batch := s.db.NewBatch()
	for _, at := range list {
		start, end := at.span(0)
		if err := batch.DeleteRange(start, end, nil); err != nil {
			return err
		}
	}
	if err := s.applyUpkeep(batch, list); err != nil {
		return err
	}
	s.counters.dropped.Add(int64(len(list)))
	s.reclaim(list)
	return nil
}

// fragmentsBeyond lists the traces whose row stands in a partition and that may have releases in others: their rows are made again of
// these when the partition is dropped. The writer's lock is held, so that no row is made meanwhile.
func (s *Store) fragmentsBeyond(at partition) (list []traceKey, err error) {
	days := s.partitions.of(at.tenant)
	lower, upper := at.span(kindJoin)
	err = scan(s.db, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		id, err := at.decodeJoin(key)
		if err != nil {
			return err
		}
		hash := hashID(id)
		for _, d := range days {
			if d.partition != at && d.ids.mayHold(hash) {
				list = append(list, traceKey{at.tenant, id})
				break
			}
		}
		return nil
	})
	return list, err
}

// applyUpkeep makes a batch of the upkeep durable and closes it. The partitions that it drops are forgotten, so that no
// writer finds a trace in one that is gone.
func (s *Store) applyUpkeep(batch *pebble.Batch, dropped []partition) error {
	if err := s.applyLocked(batch, dropped); err != nil {
		return err
	}
	if err := batch.SyncWait(); err != nil {
		s.fail(err)
		return err
	}
	return batch.Close()
}

func (s *Store) applyLocked(batch *pebble.Batch, dropped []partition) error {
	if err := s.lockWriter(s.ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	var left []traceKey
	for _, at := range dropped {
		fragments, err := s.fragmentsBeyond(at)
		if err != nil {
			return err
		}
		left = append(left, fragments...)
	}
	for _, key := range left {
		if err := batch.Set(openJoinKey(key.tenant, key.id), nil, nil); err != nil {
			return err
		}
	}
	if err := s.apply(batch); err != nil {
		return err
	}
	s.joins.add(left)
	for _, at := range dropped {
		s.partitions.remove(at)
		s.unfolded.drop(at)
		s.openSums.drop(at)
	}
	return nil
}
