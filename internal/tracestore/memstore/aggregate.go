package memstore

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

type minuteKey struct {
	tenant string
	minute uint32
}

// addSumsLocked adds what a call adds to the rollups.
func (s *Store) addSumsLocked(deltas []rollup.Delta) error {
	for _, delta := range deltas {
		key := minuteKey{delta.Tenant, delta.Minute}
		if s.rollups[key] == nil {
			s.rollups[key] = rollup.NewSums(rollup.MaxSeries)
		}
		if err := s.rollups[key].Merge(delta.Sums.Append(nil, rollup.AllTables), rollup.AllTables); err != nil {
			return fmt.Errorf("add up rollups: %w", err)
		}
	}
	return nil
}

// Operations implements tracestore.AggregateReader.
func (s *Store) Operations(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	return rollup.Stream(s.answer(ctx, tenant, query, rollup.Operations), (*rollup.Answer).Operations)
}

// Edges implements tracestore.AggregateReader.
func (s *Store) Edges(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EdgeAggregate, error] {
	return rollup.Stream(s.answer(ctx, tenant, query, rollup.Edges), (*rollup.Answer).Edges)
}

// Entries implements tracestore.AggregateReader.
func (s *Store) Entries(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryAggregate, error] {
	return rollup.Stream(s.answer(ctx, tenant, query, rollup.Entries), (*rollup.Answer).Entries)
}

// EntryOperations implements tracestore.AggregateReader.
func (s *Store) EntryOperations(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryOperationAggregate, error] {
	return rollup.Stream(s.answer(ctx, tenant, query, rollup.EntryOperations), (*rollup.Answer).EntryOperations)
}

// Errors implements tracestore.AggregateReader.
func (s *Store) Errors(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.ErrorAggregate, error] {
	return rollup.Stream(s.answer(ctx, tenant, query, rollup.Errors), (*rollup.Answer).Errors)
}

// Completeness implements tracestore.AggregateReader.
func (s *Store) Completeness(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) (tracestore.Completeness, error) {
	answer, err := s.answer(ctx, tenant, query, rollup.Spans)()
	if err != nil {
		return tracestore.Completeness{}, err
	}
	return answer.Completeness(), nil
}

// answer adds up the minutes of the query's window, in their order.
func (s *Store) answer(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery, table rollup.Table,
) func() (*rollup.Answer, error) {
	return func() (*rollup.Answer, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answer := rollup.NewAnswer(table, query)
		first, last, ok := rollup.Window(query)
		if !ok {
			return answer, nil
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		var minutes []uint32
		for key := range s.rollups {
			if key.tenant == tenant && key.minute >= first && key.minute <= last {
				minutes = append(minutes, key.minute)
			}
		}
		slices.Sort(minutes)
		for _, minute := range minutes {
			if err := answer.Merge(s.rollups[minuteKey{tenant, minute}].Append(nil, rollup.AllTables)); err != nil {
				return nil, fmt.Errorf("add up rollups: %w", err)
			}
		}
		return answer, nil
	}
}
