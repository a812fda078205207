package pebblestore

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// reclaims are the partitions of which the disk is to have the space of what was dropped. It takes long where they are large, so that it
// is done on the side.
type reclaims struct {
	mu      sync.Mutex // guards the fields below
	waiting []partition
	running bool
}

// reclaim gives the disk the space of what was dropped, soon. Left alone, Pebble does it when it comes by.
func (s *Store) reclaim(list []partition) {
	r := &s.reclaims
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range list {
		if !slices.Contains(r.waiting, at) {
			r.waiting = append(r.waiting, at)
		}
	}
	if len(r.waiting) == 0 || r.running {
		return
	}
	r.running = true
	s.upkeep.Go(func() {
		for list := r.take(); len(list) > 0; list = r.take() {
			if err := s.compact(list); !errors.Is(err, context.Canceled) {
				s.upkeepFailed("reclaiming the space of what was dropped", err)
			}
		}
	})
}

// take takes what waits. The caller is over where that is nothing.
func (r *reclaims) take() []partition {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.waiting
	r.waiting, r.running = nil, len(list) > 0
	return list
}

func (s *Store) compact(list []partition) error {
	select {
	case <-s.ctx.Done():
		return nil
	default:
	}
	if err := s.db.Flush(); err != nil {
		return err
	}
	for _, at := range list {
		start, end := at.span(0)
		if err := s.db.Compact(s.ctx, start, end, false); err != nil {
			return err
		}
	}
	return nil
}
