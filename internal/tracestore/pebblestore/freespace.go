package pebblestore

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// A store that has filled its disk cannot delete any more: that is a write too, and compactions write before they remove. So calls are
// refused a little before: what is left is for retention, which makes room.
const (
	// reservedBytes are left free, and reservedPart of the disk where that is less.
	reservedBytes = 64 << 20
	reservedPart  = 1. / 16
	// spaceEvery is how often there is looked.
	spaceEvery = time.Second
)

var errLowSpace = errors.New("the disk of the trace store is nearly full")

// watchSpace looks how much space there is, until the store closes.
func (s *Store) watchSpace() {
	ticker := time.NewTicker(spaceEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.checkSpace()
		case <-s.ctx.Done():
			return
		}
	}
}

// checkSpace notes whether the disk has too little space for calls. They are taken again when a quarter more than the reserve is free.
func (s *Store) checkSpace() {
	usage, err := s.options.FS.GetDiskUsage(s.options.Path)
	if err != nil || usage.TotalBytes == 0 {
		return // a file system that does not say: writes will tell
	}
	reserve := min(reservedBytes, float64(usage.TotalBytes)*reservedPart)
	was := s.lowSpace.Load()
	switch free := float64(usage.AvailBytes); {
	case was == nil && free < reserve:
		low := fmt.Errorf("%w: %d MiB are free, the last %d MiB are kept for deleting what is old; make space, or lower retention or max_bytes",
			errLowSpace, usage.AvailBytes>>20, int64(reserve)>>20)
		s.lowSpace.Store(&low)
		s.options.Logger.Error("the disk of the trace store is nearly full; refusing spans until there is space", zap.Error(low))
		s.options.OnHealth(fmt.Errorf("%s: %w", s.options.Path, low))
	case was != nil && free >= 1.25*reserve:
		s.lowSpace.Store(nil)
		s.options.Logger.Info("the disk of the trace store has space again")
		if err := s.writable(); err == nil {
			s.options.OnHealth(nil)
		}
	}
}

// takesCalls says why calls cannot be taken at this moment, nil if they can.
func (s *Store) takesCalls() error {
	if low := s.lowSpace.Load(); low != nil {
		return *low
	}
	return s.writable()
}
