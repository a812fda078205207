package pebblestore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// Up to these sizes the row of a trace is made afresh from all its spans whenever a further release arrives; above them the
// release is merged into the row (tracerow.Row.Merge), because the work is done under the writer's lock.
const (
	maxRecomputedSpans    = 10_000
	maxRecomputedReleases = 100
	maxRecomputedBytes    = 32 << 20 // as OTLP protobuf
)

// errTooLarge says that a trace is too large to be made afresh.
var errTooLarge = errors.New("trace is too large to be analysed again")

// callWriter makes the batch of one call. The writer's lock is held as long as it is used.
type callWriter struct {
	store *Store
	batch *pebble.Batch
	// partitions are those that the call writes into; joined counts releases of traces that were there already.
	partitions []partition
	joined     int
	buf        []byte
}

// add puts everything that one release changes into the batch.
func (w *callWriter) add(r *encodedRelease) error {
	at, stored, found, err := w.store.find(w.store.db, r.tenant, r.traceID)
	if isCorrupt(err) {
		w.store.corrupt(r.traceID, err) // storing goes on, as if the trace were new
	} else if err != nil {
		return fmt.Errorf("look up trace %s: %w", r.traceID, err)
	}
	w.store.sequence++
	ref := releaseRef{version: r.version, part: r.part, sequence: w.store.sequence}
	if found {
		w.joined++
		if err := w.join(at, &stored, r, ref); err != nil {
			return fmt.Errorf("join release to trace %s: %w", r.traceID, err)
		}
	} else {
		at = partition{r.tenant, dayOf(r.releasedAt)}
		w.into(at)
		stored = traceValue{
			searchTime: tracestore.SearchTime(r.row.Start, r.releasedAt, w.store.options.Retention),
			releasedAt: r.releasedAt, releases: 1, spans: uint64(r.spans), first: ref,
		}
	}
	w.buf = stored.append(w.buf[:0])
	if err := w.batch.Set(at.traceKey(r.traceID), w.buf, nil); err != nil {
		return err
	}
	w.buf = appendRow(w.buf[:0], &r.row)
	if err := w.batch.Set(at.searchKey(stored.searchTime, r.traceID), w.buf, nil); err != nil {
		return err
	}
	return w.batch.Set(at.spansKey(ref.sequence), r.value, nil)
}

// addDelta puts what the call adds to a minute's rollups into the batch, behind the releases of the call.
func (w *callWriter) addDelta(delta *encodedDelta) error {
	at := delta.minute.partition
	w.into(at)
	// The call's last sequence: no other call has it.
	return w.batch.Set(at.deltaKey(deltaRef{delta.minute.minute, w.store.sequence}), delta.value, nil)
}

// into notes that the call writes into a partition.
func (w *callWriter) into(at partition) {
	if !slices.Contains(w.partitions, at) {
		w.partitions = append(w.partitions, at)
	}
}

// join makes r.row the row of the whole trace, of which stored says what is there, and brings stored up to date.
func (w *callWriter) join(at partition, stored *traceValue, r *encodedRelease, ref releaseRef) error {
	row, err := w.joinedRow(at, stored, r, ref)
	if err != nil {
		return err
	}
	if err := w.batch.Delete(at.searchKey(stored.searchTime, r.traceID), nil); err != nil {
		return err
	}
	r.row = row
	stored.searchTime = tracestore.SearchTime(row.Start, stored.releasedAt, w.store.options.Retention)
	stored.releases++
	stored.spans += uint64(r.spans)
	return w.batch.Set(at.releaseKey(r.traceID, ref), nil, nil)
}

func (w *callWriter) joinedRow(at partition, stored *traceValue, r *encodedRelease, ref releaseRef) (tracerow.Row, error) {
	if stored.spans+uint64(r.spans) <= maxRecomputedSpans && stored.releases < maxRecomputedReleases {
		row, err := w.recompute(at, stored, r, ref)
		switch {
		case errors.Is(err, errTooLarge):
		case isCorrupt(err):
			w.store.corrupt(r.traceID, err) // the row that is there is the best that is known
		default:
			return row, err
		}
	}
	var row tracerow.Row
	found, err := get(w.store.db, at.searchKey(stored.searchTime, r.traceID), func(value []byte) (err error) {
		row, err = decodeRow(r.traceID, value)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: its row is missing", errCorrupt)
	}
	if isCorrupt(err) {
		w.store.corrupt(r.traceID, err)
		return r.row, nil
	}
	if err != nil {
		return tracerow.Row{}, err
	}
	row.Merge(&r.row)
	return row, nil
}

func (w *callWriter) recompute(at partition, stored *traceValue, r *encodedRelease, ref releaseRef) (tracerow.Row, error) {
	refs, err := releaseRefs(w.store.db, at, r.traceID, stored)
	if err != nil {
		return tracerow.Row{}, err
	}
	refs = append(refs, ref)
	sortRefs(refs)
	releases := make([]ptrace.Traces, len(refs))
	size := 0
	for i := range refs {
		if refs[i] == ref {
			releases[i], err = decodeSpans(r.value)
		} else {
			releases[i], err = readSpans(w.store.db, at, refs[i])
		}
		if err != nil {
			return tracerow.Row{}, err
		}
		if size += (&ptrace.ProtoMarshaler{}).TracesSize(releases[i]); size > maxRecomputedBytes {
			return tracerow.Row{}, errTooLarge
		}
	}
	return tracerow.FromTrace(releases), nil
}

// find looks a trace up in the tenant's partitions, newest first.
func (s *Store) find(reader pebble.Reader, tenant string, id pcommon.TraceID) (at partition, stored traceValue, found bool, err error) {
	for _, at := range s.partitions.of(tenant) {
		found, err := get(reader, at.traceKey(id), func(value []byte) (err error) {
			stored, err = decodeTraceValue(value)
			return err
		})
		if found || err != nil {
			return at, stored, found && err == nil, err
		}
	}
	return partition{}, traceValue{}, false, nil
}

// releaseRefs lists the releases of a trace in the order version, part, time of writing.
func releaseRefs(reader pebble.Reader, at partition, id pcommon.TraceID, stored *traceValue) ([]releaseRef, error) {
	refs := []releaseRef{stored.first}
	if stored.releases <= 1 {
		return refs, nil
	}
	lower, upper := at.releaseSpan(id)
	iter, err := reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	for valid := iter.First(); valid; valid = iter.Next() {
		ref, err := at.decodeRelease(iter.Key())
		if err != nil {
			return nil, errors.Join(err, iter.Close())
		}
		refs = append(refs, ref)
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		return nil, err
	}
	sortRefs(refs)
	return refs, nil
}

func sortRefs(refs []releaseRef) {
	slices.SortFunc(refs, func(a, b releaseRef) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.part, b.part), cmp.Compare(a.sequence, b.sequence))
	})
}

// readSpans loads one release, which the caller owns.
func readSpans(reader pebble.Reader, at partition, ref releaseRef) (td ptrace.Traces, err error) {
	found, err := get(reader, at.spansKey(ref.sequence), func(value []byte) (err error) {
		td, err = decodeSpans(value)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: release %d is missing", errCorrupt, ref.sequence)
	}
	if err != nil {
		return ptrace.Traces{}, err
	}
	return td, nil
}

// isCorrupt says whether an error is about what is stored, so that only the trace it is about suffers.
func isCorrupt(err error) bool {
	return errors.Is(err, errCorrupt) || errors.Is(err, errValue) || errors.Is(err, errKey) || pebble.IsCorruptionError(err)
}

// corrupt counts and tells of a value that cannot be read.
func (s *Store) corrupt(id pcommon.TraceID, err error) {
	s.counters.corrupt.Add(1)
	s.options.Logger.Warn("a stored trace cannot be read", zap.Stringer("trace_id", id), zap.Error(err))
}
