package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
)

var _ tracestore.Backuper = (*Store)(nil)

// Backup implements tracestore.Backuper by a checkpoint of Pebble's, which links its tables where the folder is on the same disk and
// copies them where it is not. It does not hold up writers or readers.
func (s *Store) Backup(ctx context.Context, dir string) (int64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.backupMu.Lock()
	defer s.backupMu.Unlock()
	files := s.options.FS
	if _, err := files.Stat(dir); err == nil {
		return 0, fmt.Errorf("back up to %q: %w", dir, fs.ErrExist)
	}
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return 0, fmt.Errorf("back up to %q: %w", dir, errors.Join(err, files.RemoveAll(dir)))
	}
	bytes, err := folderSize(files, dir)
	if err != nil {
		return 0, fmt.Errorf("measure the backup %q: %w", dir, err)
	}
	return bytes, nil
}

// folderSize is the bytes of the files in a folder of Pebble's, which has no folders below it.
func folderSize(files FS, dir string) (int64, error) {
	names, err := files.List(dir)
	if err != nil {
		return 0, err
	}
	bytes := int64(0)
	for _, name := range names {
		info, err := files.Stat(files.PathJoin(dir, name))
		if err != nil {
			return 0, err
		}
		if !info.IsDir() {
			bytes += info.Size()
		}
	}
	return bytes, nil
}
