package pebblestore

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// callWriter makes the batch of one call. The writer's lock is held as long as it is used.
type callWriter struct {
	store *Store
	batch *pebble.Batch
	// blocks are those of the call, with their sequences; joined are its traces that have other releases.
	blocks    []*encodedBlock
	sequences []uint64
	joined    []traceKey
	absences  absences
	buf       []byte
	days      []*dayInMemory
}

// add puts a block into the batch, with its places in the index.
func (w *callWriter) add(b *encodedBlock) error {
	w.store.sequence++
	sequence := w.store.sequence
	b.value.through = sequence
	w.buf = b.value.append(w.buf[:0])
	if err := w.batch.Set(b.at.sequenceKey(kindBlock, sequence), w.buf, nil); err != nil {
		return err
	}
	if err := w.batch.Set(b.at.sequenceKey(kindHead, sequence), b.head, nil); err != nil {
		return err
	}
	if err := w.batch.Set(b.at.sequenceKey(kindBody, sequence), b.body, nil); err != nil {
		return err
	}
	days := w.store.partitions.of(b.at.tenant)
	for i := range b.releases {
		at := ref{b.at, place{sequence, uint16(i)}, b.releases[i].rank}
		if err := w.index(&b.releases[i], at, days); err != nil {
			return fmt.Errorf("index trace %s: %w", b.releases[i].id, err)
		}
	}
	w.blocks = append(w.blocks, b)
	w.sequences = append(w.sequences, sequence)
	return nil
}

// index puts a release's place into the index. Where its trace is stored already, its releases are marked as joined, so that
// searches do not take each of them for a trace; their row is made later (joiner), because that reads them.
func (w *callWriter) index(r *encodedRelease, at ref, days []*dayInMemory) error {
	w.buf = at.rank.append(w.buf[:0])
	if err := w.batch.Set(at.at.idKey(r.id, at.place), w.buf, nil); err != nil {
		return err
	}
	w.days = w.days[:0]
	for _, d := range days {
		if w.absences.mayHold(d, r.hash) {
			w.days = append(w.days, d)
		}
	}
	others, err := refs(w.store.db, w.days, r.id, 2)
	if isCorrupt(err) {
		w.store.corrupt(r.id, err) // storing goes on, as if the trace were new
		return nil
	}
	if err != nil || len(others) == 0 {
		return err
	}
	if len(others) == 1 { // of several all are marked
		if err := w.mark(others[0], markJoined); err != nil {
			return err
		}
	}
	if err := w.mark(at, markJoined); err != nil {
		return err
	}
	key := traceKey{at.at.tenant, r.id}
	w.joined = append(w.joined, key)
	return w.batch.Set(openJoinKey(key.tenant, key.id), nil, nil)
}

func (w *callWriter) mark(at ref, m mark) error {
	return w.batch.Set(at.at.markKey(at.place), []byte{byte(m)}, nil)
}

// applied brings what is kept in memory up to date with the batch.
func (w *callWriter) applied() {
	var hashes []uint64
	for i, b := range w.blocks {
		d := w.store.partitions.addBlock(b.at, newBlockInMemory(w.sequences[i], &b.value))
		hashes = hashes[:0]
		for k := range b.releases {
			hashes = append(hashes, b.releases[k].hash)
		}
		d.ids.add(w.sequences[i], hashes)
	}
	w.store.joins.add(w.joined)
}
