package query

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// ErrNoBackup says that the storage cannot be copied while it is used.
var ErrNoBackup = errors.New("this storage cannot be backed up here; use its own tools")

// Delete deletes one trace. Errors: *NotFoundError, tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	storage, err := s.Storage()
	if err == nil {
		err = storage.Delete(ctx, tenant, id)
		s.recent.deleted(tenant, id)
	}
	if errors.Is(err, tracestore.ErrNotFound) {
		holds, known := s.InFlight.Holds(ctx, tenant, id)
		return &NotFoundError{ID: id, InFlight: holds, InFlightKnown: known}
	}
	if err != nil {
		return fmt.Errorf("delete trace %s: %w", id, err)
	}
	return nil
}

// Backup copies the storage into the folder dir, which must not exist, and returns the bytes of the copy. Timeout does not bound
// it. Errors: ErrNoBackup, fs.ErrExist, tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Backup(ctx context.Context, dir string) (bytes int64, err error) {
	storage, err := s.Storage()
	if err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	backuper, ok := storage.(tracestore.Backuper)
	if !ok {
		return 0, ErrNoBackup
	}
	return backuper.Backup(ctx, dir)
}
