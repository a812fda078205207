package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Delete implements tracestore.Deleter. What is not readable of a trace is deleted with the rest.
func (s *Store) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	batch, err := s.deleteTrace(ctx, tenantPrefix(tenant), id)
	if errors.Is(err, tracestore.ErrNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("delete trace %s: %w", id, err)
	}
	if err := batch.SyncWait(); err != nil {
		s.fail(err)
		return fmt.Errorf("delete trace %s: %w", id, err)
	}
	return batch.Close()
}

// deleteTrace applies the deletion and returns the batch, which is to be waited for.
func (s *Store) deleteTrace(ctx context.Context, tenant string, id pcommon.TraceID) (*pebble.Batch, error) {
	if err := s.lockWriter(ctx); err != nil {
		return nil, err
	}
	defer s.unlockWriter()
	at, stored, found, err := s.find(s.db, tenant, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, tracestore.ErrNotFound
	}
	refs, err := releaseRefs(s.db, at, id, &stored)
	if err != nil {
		return nil, err
	}
	batch := s.db.NewBatch()
	start, end := at.releaseSpan(id)
	err = errors.Join(
		batch.Delete(at.traceKey(id), nil),
		batch.Delete(at.searchKey(stored.searchTime, id), nil),
		batch.DeleteRange(start, end, nil),
	)
	for _, ref := range refs {
		err = errors.Join(err, batch.Delete(at.spansKey(ref.sequence), nil))
	}
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	return batch, s.apply(batch)
}
