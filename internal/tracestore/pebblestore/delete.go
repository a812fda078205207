package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Delete implements tracestore.Deleter. The trace's places leave the index and its releases are marked, so that no reader finds them;
// the blocks are written again without them by the next upkeep. What is not readable of a trace is deleted with the rest. When Delete
// returns because the context ended or the disk is full, the trace is not found any more, and its deletion may become durable later.
func (s *Store) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	commit, err := s.deleteTrace(ctx, tenantPrefix(tenant), id)
	if errors.Is(err, tracestore.ErrNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("delete trace %s: %w", id, err)
	}
	if err := s.await(ctx, commit); err != nil {
		return fmt.Errorf("delete trace %s: %w", id, err)
	}
	return nil
}

// deleteTrace applies the deletion and returns what to wait for.
func (s *Store) deleteTrace(ctx context.Context, tenant string, id pcommon.TraceID) (*pending, error) {
	if err := s.lockWriter(ctx); err != nil {
		return nil, err
	}
	defer s.unlockWriter()
	if err := ctx.Err(); err != nil { // the lock was free all the same
		return nil, err
	}
	days := s.partitions.of(tenant)
	list, err := refs(s.db, days, id, 0)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, tracestore.ErrNotFound
	}
	key := traceKey{tenant, id}
	batch := s.db.NewBatch()
	err = errors.Join(s.deleteJoined(batch, days, key), batch.Delete(openJoinKey(tenant, id), nil))
	for _, r := range list {
		err = errors.Join(err, batch.Delete(r.at.idKey(id, r.place), nil), batch.Set(r.at.markKey(r.place), []byte{byte(markDeleted)}, nil))
	}
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := s.apply(batch); err != nil {
		return nil, err
	}
	s.joins.forget(key)
	for _, r := range list {
		s.partitions.damage(r.at, r.sequence)
	}
	return s.whenDurable(batch, func() {}), nil
}
