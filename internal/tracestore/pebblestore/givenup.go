package pebblestore

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// absences says which traces of a call were not in days whose filters were given up. It is found in the index before the writer's lock is
// taken, because that takes some microseconds for each trace and day.
type absences map[*dayInMemory]*absence

// absence is about one day.
type absence struct {
	// epoch is the filter's, before the index was read.
	epoch uint64
	// found are the traces that were there.
	found map[uint64]bool
}

// lookUpGivenUp finds them for a call. Where the index cannot be read, or not in time, there are none.
func (s *Store) lookUpGivenUp(ctx context.Context, call *encodedCall) absences {
	all := make(absences)
	seen := make(map[string]bool)
	for _, b := range call.blocks {
		if seen[b.at.tenant] {
			continue
		}
		seen[b.at.tenant] = true
		for _, d := range s.partitions.of(b.at.tenant) {
			if epoch, given := d.ids.givenUp(); given {
				all[d] = &absence{epoch: epoch, found: make(map[uint64]bool)}
			}
		}
	}
	for d, a := range all {
		for _, b := range call.blocks {
			if b.at.tenant != d.tenant {
				continue
			}
			if ctx.Err() != nil || a.lookUp(s.db, d, b) != nil {
				return nil
			}
		}
	}
	return all
}

func (a *absence) lookUp(reader pebble.Reader, d *dayInMemory, b *encodedBlock) error {
	lower, upper := d.span(kindID)
	iter, err := reader.NewIter(iterOptions(lower, upper))
	if err != nil {
		return err
	}
	key := bytes.Clone(lower)
	for i := range b.releases {
		r := &b.releases[i]
		key = append(key[:len(lower)], r.id[:]...)
		if iter.SeekGE(key) && bytes.HasPrefix(iter.Key(), key) {
			a.found[r.hash] = true
		}
		if err := iter.Error(); err != nil {
			break
		}
	}
	return iter.Close() // with the error of reading
}

// mayHold says whether a day may hold a trace of the call. The writer's lock is held.
func (all absences) mayHold(d *dayInMemory, hash uint64) bool {
	if a := all[d]; a != nil && !a.found[hash] {
		return d.ids.mayHoldSince(hash, a.epoch)
	}
	return d.ids.mayHold(hash)
}
