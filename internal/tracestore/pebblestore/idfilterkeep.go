package pebblestore

import "go.uber.org/zap"

// keepFilters writes down the filters of trace ids to which much was added, so that opening the store need not read the ids from the
// heads of blocks. What is lost of that in a crash is read there.
func (s *Store) keepFilters() error {
	return s.eachGrownFilter(func(d *dayInMemory) error {
		if err := s.lockWriter(s.ctx); err != nil {
			return err
		}
		defer s.unlockWriter()
		return s.keepFilter(d)
	})
}

// keepFiltersLocked does so while nobody else is at work: when the store opens and closes.
func (s *Store) keepFiltersLocked() {
	if err := s.eachGrownFilter(s.keepFilter); err != nil {
		s.options.Logger.Warn("writing down a filter of trace ids failed; opening the store takes longer", zap.Error(err))
	}
}

func (s *Store) eachGrownFilter(keep func(d *dayInMemory) error) error {
	for _, d := range s.partitions.all() {
		if !d.ids.worthWriting() {
			continue
		}
		if err := keep(d); err != nil {
			return err
		}
	}
	return nil
}

// keepFilter writes down a day's filter, unless the day was dropped. The writer's lock is held, so that the filter has all ids of the
// blocks that were written.
func (s *Store) keepFilter(d *dayInMemory) error {
	if !s.partitions.current(d) {
		return nil
	}
	for {
		w, ok := d.ids.nextWrite()
		if !ok {
			return nil
		}
		batch := s.db.NewBatchWithSize(len(w.value) + 256)
		if w.first {
			lower, upper := d.span(kindFilter)
			if err := batch.DeleteRange(lower, upper, nil); err != nil {
				return err
			}
		}
		if err := batch.Set(d.sequenceKey(kindFilter, uint64(w.number)), w.value, nil); err != nil {
			return err
		}
		if err := s.applyLater(batch); err != nil {
			return err
		}
		d.ids.wrote(w)
	}
}
