package pebblestore

import (
	"errors"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// callDays are the days under which ids of calls stand, ascending. A call is known however long the store stood still meanwhile: ids are
// dropped when others are written, not by the clock. The writer's lock is held, to change or to use it.
type callDays []uint32

// loadCallDays finds them by jumping from one to the next.
func (s *Store) loadCallDays() error {
	iter, err := s.db.NewIter(iterOptions(callDayKey(0), []byte{systemByte, systemCall + 1}))
	if err != nil {
		return err
	}
	defer func() { _ = iter.Close() }() // its error is read below
	for valid := iter.First(); valid; {
		day, _, err := decodeCall(iter.Key())
		if err != nil {
			return err
		}
		s.callDays = append(s.callDays, day)
		valid = day < math.MaxUint32 && iter.SeekGE(callDayKey(day+1))
	}
	return iter.Error()
}

// hasCall says whether the call was stored.
func (s *Store) hasCall(id tracetree.CallID) (bool, error) {
	for _, day := range slices.Backward(s.callDays) {
		found, err := get(s.db, callKey(day, id), func([]byte) error { return nil })
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// addCall puts the id of a call of today into the batch, and drops those of the days that it makes too old: of the days before one on which something
// is written the last one is kept, so ids are kept for 24 hours at least. Days behind today are of a clock that was set back, and are kept. The
// answer becomes callDays when the batch is applied.
func (d callDays) addCall(batch *pebble.Batch, today uint32, id tracetree.CallID) (callDays, error) {
	err := batch.Set(callKey(today, id), nil, nil)
	i, known := slices.BinarySearch(d, today)
	if known {
		return d, err
	}
	if i > 1 {
		err = errors.Join(err, batch.DeleteRange(callDayKey(0), callDayKey(d[i-1]), nil))
	}
	return slices.Insert(slices.Clone(d[max(0, i-1):]), min(i, 1), today), err
}
