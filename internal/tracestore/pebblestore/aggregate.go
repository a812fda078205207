package pebblestore

import (
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// answer adds up the minutes of the query's window.
func (s *Store) answer(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery, table rollup.Table,
) (*rollup.Answer, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.addUp(ctx, tenantPrefix(tenant), query, table)
}

// addUp is answer while the store is held open. tenant is a tenantPrefix.
func (s *Store) addUp(ctx context.Context, tenant string, query *tracestore.AggregateQuery, table rollup.Table) (*rollup.Answer, error) {
	run := aggregation{store: s, ctx: ctx, table: table, answer: rollup.NewAnswer(table, query)}
	first, last, ok := rollup.Window(query)
	if !ok {
		return run.answer, nil
	}
	tables := run.tables()
	days := s.partitions.of(tenant)
	run.snapshot, run.open = s.openSums.of(s.db, tenant, first, last, tables)
	defer func() { _ = run.snapshot.Close() }() // fails only if closed before
	for _, d := range slices.Backward(days) {
		if d.day < first/minutesOfDay || d.day > last/minutesOfDay {
			continue
		}
		if err := run.partition(d.partition, first, last); err != nil {
			return nil, fmt.Errorf("add up rollups: %w", err)
		}
	}
	return run.answer, nil
}

// aggregation is one answer while it is made.
type aggregation struct {
	store    *Store
	ctx      context.Context
	snapshot *pebble.Snapshot
	table    rollup.Table
	answer   *rollup.Answer
	open     []openValue // what is not written down, by minute
}

// tables are those that are read: the table of spans says what the others counted in their "other".
func (r *aggregation) tables() rollup.Tables {
	if r.table == rollup.Spans {
		return rollup.AllTables
	}
	return rollup.Of(r.table)
}

// partition adds the minutes first to last of a partition.
func (r *aggregation) partition(at partition, first, last uint32) error {
	unfolded, err := r.unfolded(at, first, last)
	if err != nil {
		return err
	}
	tables := r.tables()
	for _, minute := range unfolded {
		if err := r.interrupted(); err != nil {
			return err
		}
		sums, deltas, err := r.store.readMinute(r.snapshot, rollupMinute{at, minute}, tables)
		if err != nil {
			return err
		}
		if err := r.addOpen(sums, rollupMinute{at, minute}, deltas, tables); err != nil {
			return err
		}
		if err := r.answer.Merge(sums.Append(nil, tables)); err != nil {
			return err
		}
	}
	lower, upper := at.rollupSpan(r.table, first, last)
	return scan(r.snapshot, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		_, minute, err := at.decodeRollup(key)
		if err != nil {
			return err
		}
		if _, done := slices.BinarySearch(unfolded, minute); done {
			return nil
		}
		if err := r.interrupted(); err != nil {
			return err
		}
		encoded, err := value()
		if err != nil {
			return err
		}
		return r.store.passOver(minute, r.answer.Merge(encoded))
	})
}

// addOpen adds what is in memory of a minute behind the deltas of the snapshot.
func (r *aggregation) addOpen(sums *rollup.Sums, m rollupMinute, deltas []deltaRef, tables rollup.Tables) error {
	for _, open := range r.open {
		if open.minute != m || open.delta != 0 && slices.Contains(deltas, deltaRef{m.minute, open.delta}) {
			continue
		}
		if err := sums.Merge(open.value, tables); err != nil {
			return err
		}
	}
	return nil
}

// unfolded lists the minutes that have deltas or open sums, in order.
func (r *aggregation) unfolded(at partition, first, last uint32) (minutes []uint32, err error) {
	lower, upper := at.deltaSpan(first, last)
	err = scan(r.snapshot, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		ref, err := at.decodeDelta(key)
		if n := len(minutes); err == nil && (n == 0 || minutes[n-1] != ref.minute) {
			minutes = append(minutes, ref.minute)
		}
		return err
	})
	for _, open := range r.open {
		if open.minute.partition == at {
			minutes = append(minutes, open.minute.minute)
		}
	}
	slices.Sort(minutes)
	return slices.Compact(minutes), err
}

func (r *aggregation) interrupted() error {
	if r.store.ctx.Err() != nil {
		return tracestore.ErrClosed
	}
	return r.ctx.Err()
}
