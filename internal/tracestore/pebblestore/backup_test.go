package pebblestore

import (
	"context"
	"os"
	"path"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// twoDisksFS has another disk below backups, to which nothing can be linked, and which may fail.
type twoDisksFS struct {
	vfs.FS
	mkdirErr, createErr, writeErr, syncErr atomic.Pointer[error]
}

func failed(err *atomic.Pointer[error]) error {
	if err := err.Load(); err != nil {
		return *err
	}
	return nil
}

func onBackups(name string) bool { return path.Dir(path.Dir(name)) == "backups" }

func (fs *twoDisksFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := failed(&fs.mkdirErr); err != nil && path.Dir(dir) == "backups" {
		return err
	}
	return fs.FS.MkdirAll(dir, perm)
}

func (fs *twoDisksFS) Link(oldname, newname string) error {
	if onBackups(newname) {
		return syscall.EXDEV
	}
	return fs.FS.Link(oldname, newname)
}

func (fs *twoDisksFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !onBackups(name) {
		return fs.FS.Create(name, category)
	}
	if err := failed(&fs.createErr); err != nil {
		return nil, err
	}
	file, err := fs.FS.Create(name, category)
	return &otherDisksFile{file, fs, isLog(name)}, err
}

type otherDisksFile struct {
	vfs.File
	fs  *twoDisksFS
	log bool
}

func (f *otherDisksFile) Write(p []byte) (int, error) {
	if err := failed(&f.fs.writeErr); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *otherDisksFile) Sync() error {
	if err := failed(&f.fs.syncErr); err != nil && f.log { // the last to be copied
		return err
	}
	return f.File.Sync()
}

func (f *otherDisksFile) SyncData() error { return f.Sync() }

// TestBackupToFailingDisk: the backup ends with the error, and can be made later; the store does not notice.
func TestBackupToFailingDisk(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		fail func(*twoDisksFS) *atomic.Pointer[error]
	}{
		"read-only":           {syscall.EROFS, func(fs *twoDisksFS) *atomic.Pointer[error] { return &fs.mkdirErr }},
		"no file":             {syscall.ENOSPC, func(fs *twoDisksFS) *atomic.Pointer[error] { return &fs.createErr }},
		"over quota":          {syscall.EDQUOT, func(fs *twoDisksFS) *atomic.Pointer[error] { return &fs.writeErr }},
		"fsync, full":         {syscall.ENOSPC, func(fs *twoDisksFS) *atomic.Pointer[error] { return &fs.syncErr }},
		"fsync, input/output": {syscall.EIO, func(fs *twoDisksFS) *atomic.Pointer[error] { return &fs.syncErr }},
	} {
		t.Run(name, func(t *testing.T) {
			fs := &twoDisksFS{FS: vfs.NewMem()}
			health := newHealthLog()
			store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs, OnHealth: health.tell})
			store.disk.retry = time.Millisecond
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 10, 3)))
			require.NoError(t, store.db.Flush())
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 10, 1, 3)))

			broken := c.fail(fs)
			broken.Store(&c.err)
			made := make(chan error, 1)
			go func() {
				_, err := store.Backup(context.Background(), "backups/one")
				made <- err
			}()
			select {
			case err := <-made:
				require.ErrorIs(t, err, c.err)
			case <-health.news:
				require.Fail(t, "the store takes the other disk for its own", health.all())
			}
			require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 20, 1, 3)))
			require.Empty(t, health.all())

			broken.Store(nil)
			_, err := store.Backup(t.Context(), "backups/one")
			require.NoError(t, err)
			after := openStore(t, Options{Path: "backups/one", Now: atNoon, FS: fs})
			require.Len(t, mustSearch(t, after, aroundNoon()).Traces, 12)
			require.ErrorIs(t, after.Delete(t.Context(), "", traceID(99)), tracestore.ErrNotFound)
		})
	}
}

// TestBackupsToOneFolder: of backups to one folder at once one is made, and stays.
func TestBackupsToOneFolder(t *testing.T) {
	fs := vfs.NewMem()
	store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 10, 3)))
	for range 50 {
		made := make(chan error, 4)
		for range cap(made) {
			go func() {
				_, err := store.Backup(context.Background(), "backups/one")
				made <- err
			}()
		}
		taken := 0
		for range cap(made) {
			if err := <-made; err == nil {
				taken++
			} else {
				require.ErrorIs(t, err, os.ErrExist)
			}
		}
		require.Equal(t, 1, taken)
		names, err := fs.List("backups/one")
		require.NoError(t, err)
		require.NotEmpty(t, names)
		require.NoError(t, fs.RemoveAll("backups/one"))
	}
}
