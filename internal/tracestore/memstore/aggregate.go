package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

type minuteKey struct {
	tenant string
	minute uint32
}

// addSumsLocked adds what a call adds to the rollups.
func (s *Store) addSumsLocked(deltas []rollup.Delta) {
	for _, delta := range deltas {
		key := minuteKey{delta.Tenant, delta.Minute}
		if s.rollups[key] == nil {
			s.rollups[key] = rollup.NewSums(rollup.MaxSeries)
		}
		s.rollups[key].Add(delta.Sums)
	}
}

// answer adds up the minutes of the query's window, in their order.
func (s *Store) answer(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery, table rollup.Table,
) (*rollup.Answer, error) {
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
