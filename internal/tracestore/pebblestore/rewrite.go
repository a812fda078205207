package pebblestore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Blocks of a quiet system are small: a call is closed after 50 ms, whatever it holds. A small block costs several times as much
// disk for a span, and a search opens each. So blocks that follow one another in a partition are merged. What retention by worth does
// not keep, and what was deleted, is left out when its block is written again. Both are a rewrite: some blocks that follow one another
// are replaced by others, in one batch. Readers have snapshots.
//
// Releases keep their order: what was written first stands first. Those of one trace are put together.

// keeper says of a trace whether the releases stay that lie in some blocks. Their headers are given, and whether the trace has others.
type keeper func(id pcommon.TraceID, releases []*block.Header, joined bool) (bool, error)

// rewrite is one while it runs. rewriteMu is held.
type rewrite struct {
	store *Store
	at    partition
	// inputs are the sequences of blocks that follow one another in the partition.
	inputs []uint64
	// keep is nil where everything stays.
	keep keeper

	releases []*rewrittenRelease
	outputs  []*rewrittenBlock
	// through is blockValue.through of each input.
	through map[uint64]uint64
}

// rewrittenRelease is a release of the inputs.
type rewrittenRelease struct {
	from   place
	rank   rank
	header *block.Header
	body   *storedBody
	joined bool
	// to is where it goes, where it is not dropped.
	to      place
	dropped bool
}

type rewrittenBlock struct {
	encodedBlock
	sequence uint64
}

const (
	// targetSpans is how many spans a merged block has, as the largest have that are written.
	targetSpans = cutSpans
	// unhurriedAfter is how far apart releases are at least that are written thoroughly, which takes 1.7 times the processor time of reading and writing them:
	// with so many spans as a merged block has, a twentieth of a processor.
	unhurriedAfter = 2 * time.Second
	// targetBytes is how large the releases of a merged block are as OTLP, where their spans are large.
	targetBytes = targetSpans * spanBytes
	// spanBytes is what a span has as OTLP, about. Where blocks are chosen, what is larger counts as several.
	spanBytes = 1 << 10
)

// run rewrites. Where the error isRewritable, the blocks are as they were.
func (w *rewrite) run() error {
	bodies, err := w.read()
	defer func() {
		for _, body := range bodies {
			body.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := w.choose(); err != nil {
		return err
	}
	if err := w.encode(); err != nil {
		return err
	}
	return w.commit()
}

// read opens the inputs and lists their releases, without those that were deleted.
func (w *rewrite) read() (bodies []*storedBody, err error) {
	snapshot := w.store.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	w.through = make(map[uint64]uint64, len(w.inputs))
	for _, sequence := range w.inputs {
		err := func() error {
			if err := w.readValue(snapshot, sequence); err != nil {
				return err
			}
			b, err := openBlock(snapshot, w.at, sequence)
			if err != nil {
				return err
			}
			bodies = append(bodies, b.body)
			headers := b.headers
			marks, err := readMarks(snapshot, w.at, sequence)
			if err != nil {
				return err
			}
			for i := range headers {
				r := &rewrittenRelease{from: place{sequence, uint16(i)}, header: &headers[i], body: b.body}
				r.dropped, r.joined = marks[r.from.number] == markDeleted, marks[r.from.number] == markJoined
				r.rank = rank{version: headers[i].Version, part: headers[i].Part, written: sequence}
				if w.through[sequence] != sequence && !r.dropped {
					if err := r.readWritten(snapshot, w.at); err != nil {
						return err
					}
				}
				w.releases = append(w.releases, r)
			}
			return nil
		}()
		if err != nil {
			return bodies, fmt.Errorf("read block %d: %w", sequence, err)
		}
	}
	return bodies, nil
}

// readWritten finds out as which block a release was written that was merged before.
func (r *rewrittenRelease) readWritten(reader pebble.Reader, at partition) error {
	_, err := get(reader, at.idKey(r.header.Row.TraceID, r.from), func(value []byte) error {
		stored, err := decodeRank(value)
		r.rank.written = cmp.Or(stored.written, r.rank.written)
		return err
	})
	return err
}

func (w *rewrite) readValue(reader pebble.Reader, sequence uint64) error {
	value, err := getCopy(reader, w.at.sequenceKey(kindBlock, sequence))
	if err != nil {
		return err
	}
	v, err := decodeBlockValue(value)
	w.through[sequence] = v.through
	return err
}

// readMarks reads the marks of a block's releases.
func readMarks(reader pebble.Reader, at partition, sequence uint64) (map[uint16]mark, error) {
	marks := make(map[uint16]mark)
	lower, upper := at.markSpan(sequence)
	err := scan(reader, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		where, err := at.decodeMark(key)
		if err != nil {
			return err
		}
		encoded, err := value()
		if err != nil {
			return err
		}
		marks[where.number], err = decodeMarkValue(encoded)
		return err
	})
	return marks, err
}

// choose puts the releases of each trace together and drops those that are not to be kept.
func (w *rewrite) choose() error {
	first := make(map[pcommon.TraceID]int)
	groups := make(map[pcommon.TraceID][]*rewrittenRelease)
	for i, r := range w.releases {
		id := r.header.Row.TraceID
		if _, known := first[id]; !known {
			first[id] = i
		}
		if !r.dropped {
			groups[id] = append(groups[id], r)
		}
	}
	slices.SortStableFunc(w.releases, func(a, b *rewrittenRelease) int {
		return cmp.Compare(first[a.header.Row.TraceID], first[b.header.Row.TraceID])
	})
	if w.keep == nil {
		return nil
	}
	for id, group := range groups {
		headers := make([]*block.Header, len(group))
		joined := false
		for i, r := range group {
			headers[i] = r.header
			joined = joined || r.joined
		}
		keep, err := w.keep(id, headers, joined)
		if err != nil {
			return err
		}
		for _, r := range group {
			r.dropped = !keep
		}
	}
	return nil
}

// encode makes the outputs. Their sequences are those of inputs, so that they stand in the order of writing among all blocks.
func (w *rewrite) encode() error {
	left := slices.DeleteFunc(slices.Clone(w.releases), func(r *rewrittenRelease) bool { return r.dropped })
	thorough := w.unhurried()
	var encoder *block.Encoder
	if thorough {
		encoder = block.NewThoroughEncoder()
	} else {
		encoder = w.store.encoders.get()
		defer w.store.encoders.put(encoder)
	}
	for len(left) > 0 {
		out := &rewrittenBlock{sequence: w.inputs[len(w.outputs)]}
		w.outputs = append(w.outputs, out)
		if thorough {
			if _, err := w.add(encoder, left, out); err != nil {
				return err
			}
			encoder.Rehearsed()
			out.value = blockValue{}
		}
		n, err := w.add(encoder, left, out)
		if err != nil {
			return err
		}
		out.finish(encoder)
		left = left[n:]
	}
	return nil
}

// unhurried says whether so little came in that there is time to write it as small as can be.
func (w *rewrite) unhurried() bool {
	if len(w.releases) == 0 {
		return false
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range w.releases {
		first, last = min(first, r.header.ReleasedAt), max(last, r.header.ReleasedAt)
	}
	return uint64(last)-uint64(first) >= uint64(unhurriedAfter)
}

// add adds releases to a block, as many as it takes, and says how many.
func (w *rewrite) add(encoder *block.Encoder, releases []*rewrittenRelease, out *rewrittenBlock) (int, error) {
	for i, r := range releases {
		if err := w.store.ctx.Err(); err != nil {
			return 0, tracestore.ErrClosed
		}
		td, err := r.body.Traces(int(r.from.number), r.header.Row.TraceID)
		if err != nil {
			return 0, fmt.Errorf("read block %d: %w", r.from.sequence, err)
		}
		list := tracetree.Releases(td)
		if len(list) != 1 || list[0].TraceID != r.header.Row.TraceID {
			return 0, fmt.Errorf("%w: block %d, release %d", errCorrupt, r.from.sequence, r.from.number)
		}
		r.to = place{out.sequence, uint16(encoder.Len())}
		if err := encoder.Add(&list[0], *r.header); err != nil {
			return 0, err
		}
		encoder.Release() // every release was decoded for itself
		out.value.through = max(out.value.through, w.through[r.from.sequence])
		out.value.add(tracestore.SearchTime(r.header.Row.Start, r.header.ReleasedAt, 0), r.header.ReleasedAt, r.header.Spans, r.header.Size)
		full := encoder.Spans() >= targetSpans || encoder.Bytes() >= targetBytes || encoder.Len() == block.MaxReleases
		if full && len(w.outputs) < len(w.inputs) {
			return i + 1, nil
		}
	}
	return len(releases), nil
}

// commit replaces the inputs by the outputs.
func (w *rewrite) commit() error {
	s := w.store
	if err := s.lockWriter(s.ctx); err != nil {
		return err
	}
	defer s.unlockWriter()
	if !s.partitions.has(w.at, w.inputs) {
		return nil // the partition was dropped meanwhile
	}
	size := 0
	for _, out := range w.outputs {
		size += int(out.value.size)
	}
	batch := s.db.NewBatchWithSize(size + 256*len(w.releases) + 256)
	reopened, damaged, err := w.fill(batch)
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := s.applyLater(batch); err != nil {
		return err
	}
	made := make([]blockInMemory, len(w.outputs))
	for i, out := range w.outputs {
		made[i] = newBlockInMemory(out.sequence, &out.value)
		made[i].damaged = damaged[out.sequence]
	}
	s.partitions.replaceBlocks(w.at, w.inputs, made)
	s.joins.add(reopened)
	s.counters.rewritten.Add(int64(len(w.inputs)))
	return nil
}

// fill puts the change into the batch. Marks that came since the inputs were read go with their releases. It answers the traces
// of which other releases stay, whose rows are to be made again, and the outputs that have deleted releases.
func (w *rewrite) fill(batch *pebble.Batch) (reopened []traceKey, damaged map[uint64]bool, err error) {
	s := w.store
	marks := make(map[uint64]map[uint16]mark, len(w.inputs))
	for _, sequence := range w.inputs {
		if marks[sequence], err = readMarks(s.db, w.at, sequence); err != nil {
			return nil, nil, err
		}
		for number := range marks[sequence] {
			err = errors.Join(err, batch.Delete(w.at.markKey(place{sequence, number}), nil))
		}
		for _, kind := range []byte{kindBlock, kindHead, kindBody} {
			err = errors.Join(err, batch.Delete(w.at.sequenceKey(kind, sequence), nil))
		}
	}
	// All places are left before one is taken: a release may move to where another one of its trace was.
	for _, r := range w.releases {
		if marks[r.from.sequence][r.from.number] != markDeleted && (r.dropped || r.to != r.from) {
			err = errors.Join(err, batch.Delete(w.at.idKey(r.header.Row.TraceID, r.from), nil))
		}
	}
	damaged = make(map[uint64]bool)
	open := make(map[pcommon.TraceID]bool)
	for _, r := range w.releases {
		id := r.header.Row.TraceID
		m := marks[r.from.sequence][r.from.number]
		switch {
		case r.dropped:
			open[id] = open[id] || m == markJoined
			continue
		case m == markDeleted: // since it was read
			damaged[r.to.sequence] = true
		case r.to != r.from:
			moved := r.rank
			if moved.written == r.to.sequence {
				moved.written = 0
			}
			err = errors.Join(err, batch.Set(w.at.idKey(id, r.to), moved.append(nil), nil))
		}
		if m != 0 {
			err = errors.Join(err, batch.Set(w.at.markKey(r.to), []byte{byte(m)}, nil))
		}
	}
	for id, joined := range open {
		if joined {
			reopened = append(reopened, traceKey{w.at.tenant, id})
			err = errors.Join(err, batch.Set(openJoinKey(w.at.tenant, id), nil, nil))
		}
	}
	for _, out := range w.outputs {
		err = errors.Join(err,
			batch.Set(w.at.sequenceKey(kindBlock, out.sequence), out.value.append(nil), nil),
			batch.Set(w.at.sequenceKey(kindHead, out.sequence), out.head, nil),
			batch.Set(w.at.sequenceKey(kindBody, out.sequence), out.body, nil))
	}
	return reopened, damaged, err
}

// isRewritable says whether an error of a rewriting concerns its blocks alone.
func isRewritable(err error) bool { return isUnreadable(err) || errors.Is(err, block.ErrTooLarge) }
