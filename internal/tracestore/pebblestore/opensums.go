package pebblestore

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

const (
	// sumEvery is how often open sums are written down, and sumSpans after how many spans at the latest: it bounds what is read
	// again when the store is opened after a crash.
	sumEvery = 5 * time.Second
	sumSpans = 1 << 17
	// maxOpenMinutes bounds the minutes, of all tenants together, that have open sums.
	maxOpenMinutes = 1000
)

// openSums are the rollups of the last calls. They are in memory, and nowhere else: writing them with each call takes as long
// as adding up its spans. Every few seconds they are written down as deltas, together with the sequence up to which they go
// (the summed key). After a crash the blocks behind that sequence are read again and their releases added: the batch that
// has a block's spans was there before its sums.
type openSums struct {
	mu      sync.Mutex // guards the fields below
	minutes map[rollupMinute]*rollup.Sums
	// writing are sums that are being written down, with the sequence of their deltas.
	writing  map[rollupMinute]*rollup.Sums
	sequence uint64
	spans    int

	// due is told when there are sumSpans.
	due chan struct{}
}

func newOpenSums() *openSums {
	return &openSums{minutes: make(map[rollupMinute]*rollup.Sums), due: make(chan struct{}, 1)}
}

// add adds what a call adds, and says whether the sums are large, so that they are to be written down at once. The writer's lock is held,
// so that calls are added in their order.
//
// The sums have no limit of series, so that the series that a minute keeps are those that came first, however its sums were cut into
// deltas.
func (o *openSums) add(deltas []rollup.Delta, spans int) (large bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, delta := range deltas {
		m := newRollupMinute(tenantPrefix(delta.Tenant), delta.Minute)
		sums := o.minutes[m]
		if sums == nil {
			sums = rollup.NewUnlimitedSums()
			o.minutes[m] = sums
		}
		sums.Add(delta.Sums)
		large = large || sums.Series() > rollup.MaxSeries
	}
	if o.spans += spans; o.spans >= sumSpans {
		select {
		case o.due <- struct{}{}:
		default:
		}
	}
	return large || len(o.minutes) > maxOpenMinutes
}

// freeze takes the sums to write them down.
func (o *openSums) freeze(sequence uint64) map[rollupMinute]*rollup.Sums {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing, o.sequence = o.minutes, sequence
	o.minutes, o.spans = make(map[rollupMinute]*rollup.Sums), 0
	return o.writing
}

// written forgets what was taken.
func (o *openSums) written() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = nil
}

// drop forgets a partition.
func (o *openSums) drop(at partition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, minutes := range []map[rollupMinute]*rollup.Sums{o.minutes, o.writing} {
		for m := range minutes {
			if m.partition == at {
				delete(minutes, m)
			}
		}
	}
}

// openValue is the open sums of a minute, encoded.
type openValue struct {
	minute rollupMinute
	// delta is the sequence of the delta as which they are being written down, 0 for sums that are not.
	delta uint64
	value []byte
}

// of encodes the tenant's open sums of some minutes, first to last, by minute and in the order in which they add up. The snapshot is
// taken in the same moment: what it lacks is in the list, and of what is being written down it has the delta or not.
func (o *openSums) of(db *pebble.DB, tenant string, first, last uint32, tables rollup.Tables) (*pebble.Snapshot, []openValue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []openValue
	for m, sums := range o.writing {
		if m.partition.tenant == tenant && m.minute >= first && m.minute <= last {
			list = append(list, openValue{m, o.sequence, sums.Append(nil, tables)})
		}
	}
	for m, sums := range o.minutes {
		if m.partition.tenant == tenant && m.minute >= first && m.minute <= last {
			list = append(list, openValue{m, 0, sums.Append(nil, tables)})
		}
	}
	slices.SortFunc(list, func(a, b openValue) int {
		// The delta that is being written comes before what came after it.
		return cmp.Or(cmp.Compare(a.minute.minute, b.minute.minute), -cmp.Compare(a.delta, b.delta))
	})
	return db.NewSnapshot(), list
}

// writeSums writes the open sums down.
func (s *Store) writeSums() error {
	if err := s.lockWriter(s.ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	return s.writeSumsLocked()
}

// writeSumsLocked is writeSums with the writer's lock held.
func (s *Store) writeSumsLocked() error { return s.writeSumsUpTo(s.sequence) }

// writeSumsUpTo writes the open sums down, which are those of the blocks up to a sequence.
func (s *Store) writeSumsUpTo(sequence uint64) error {
	if sequence == s.summed.Load() {
		return nil
	}
	batch := s.db.NewBatch()
	minutes := s.openSums.freeze(sequence)
	for m, sums := range minutes {
		delta := deltaRef{m.minute, sequence}
		if err := batch.Set(m.partition.deltaKey(delta), sums.Append(nil, rollup.AllTables), nil); err != nil {
			return err
		}
	}
	if err := batch.Set(summedKey(), appendSequence(nil, sequence), nil); err != nil {
		return err
	}
	if err := s.applyLater(batch); err != nil {
		return err // writing is over: the sums stay in memory
	}
	for m := range minutes {
		s.unfolded.add(m, 1)
	}
	s.openSums.written()
	s.summed.Store(sequence)
	return nil
}

// loadSums reads what is known to be summed, and adds up the releases behind it.
func (s *Store) loadSums() error {
	var summed uint64
	_, err := get(s.db, summedKey(), func(value []byte) (err error) {
		summed, err = decodeSequenceValue(value)
		return err
	})
	if err != nil {
		return err
	}
	s.sequence = max(s.sequence, summed)
	s.summed.Store(summed)
	type missing struct {
		at       partition
		sequence uint64
	}
	var list []missing
	for _, d := range s.partitions.all() {
		for _, b := range d.blocks {
			if b.sequence > summed {
				list = append(list, missing{d.partition, b.sequence})
			}
		}
	}
	slices.SortFunc(list, func(a, b missing) int { return cmp.Compare(a.sequence, b.sequence) })
	for _, m := range list {
		err := s.sumBlock(m.at, m.sequence)
		if isCorrupt(err) { // what the disk does not give for now would be missing in the sums for good: the next start may read it
			s.corruptBlock(m.at, m.sequence, err)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("add up block %d: %w", m.sequence, err)
		}
	}
	return nil
}

// sumBlock adds a block's releases to the open sums.
func (s *Store) sumBlock(at partition, sequence uint64) error {
	b, err := openBlock(s.db, at, sequence)
	if err != nil {
		return err
	}
	defer b.body.Close()
	call := callSums.Get().(*rollup.Call)
	call.Contrast = &s.contrast
	defer func() {
		call.Reset()
		callSums.Put(call)
	}()
	spans := 0
	for i := range b.headers {
		td, err := b.body.Traces(i, b.headers[i].Row.TraceID)
		if err != nil {
			return err
		}
		for _, release := range tracetree.Releases(td) {
			call.Add(tracerow.Explained(&release), at.clamp(b.headers[i].ReleasedAt))
			spans += len(release.Spans)
		}
	}
	if s.openSums.add(call.Deltas(), spans) {
		return s.writeSumsUpTo(sequence)
	}
	return nil
}
