package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What stands in the way of reading a folder that no process uses.
var (
	// ErrInUse: a process has the folder open.
	ErrInUse = errors.New("the folder is in use by another process; stop it first, or look at a backup")
	// ErrNotAStore: there is no trace store in the folder.
	ErrNotAStore = errors.New("the folder does not hold a trace store")
	// ErrOlderFormat: this version does not read any more what an earlier one wrote.
	ErrOlderFormat = errors.New("the folder has an older storage format; use the version of tracewrightctl that wrote it")
	// ErrNewerFormat: a later version of Tracewright wrote it.
	ErrNewerFormat = errors.New("the folder has a newer storage format; use that version of tracewrightctl")
)

// folder is a store opened for reading alone: nothing but a lock file is written to it.
type folder struct {
	db     *pebble.DB
	lock   *pebble.Lock
	format uint32
}

// openFolder opens the store in a folder, whatever its state, and keeps other processes from opening it until close. All reading ends with
// the context.
func openFolder(ctx context.Context, path string) (f *folder, err error) {
	return openFolderIn(readingFS{vfs.Default, ctx}, path)
}

func openFolderIn(fs readingFS, path string) (_ *folder, err error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		if err == nil {
			err = ErrNotAStore
		}
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	if found, err := pebble.Peek(path, fs); err != nil || !found.Exists {
		return nil, fmt.Errorf("%q: %w", path, errors.Join(ErrNotAStore, err))
	}
	f := new(folder)
	if f.lock, err = pebble.LockDirectory(path, fs); err != nil {
		if locked(err) {
			err = ErrInUse
		}
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%q: %w", path, err), f.close())
		}
	}()
	f.db, err = pebble.Open(path, &pebble.Options{
		FS: fs, ReadOnly: true, Lock: f.lock, Logger: silent{},
		// Its default ends the process; whoever reads is told by an error as well.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	if err != nil {
		return nil, err
	}
	f.format, err = readFormat(f.db)
	return f, err
}

// locked says whether an error of a Lock is that somebody holds it: what fcntl answers then, or Pebble, without a number, where it is this
// process. What the file itself cannot be opened for is an error of its path.
func locked(err error) bool {
	var file *os.PathError
	var number syscall.Errno
	switch {
	case errors.As(err, &file):
		return false
	case errors.As(err, &number):
		return number == syscall.EAGAIN || number == syscall.EACCES
	}
	return true
}

// readingFS is the file system under a store that is only read.
type readingFS struct {
	vfs.FS
	ctx context.Context
}

// Open lets reading end with the context: Pebble's own check of all tables knows none.
func (fs readingFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := fs.FS.Open(name, options...)
	if err != nil {
		return nil, err
	}
	return readingFile{file, fs.ctx}, nil
}

// Lock leaves the file where it made one: who opened it meanwhile would lock a file that is gone, and the next one another. It belongs to
// whom the folder belongs to, who could not run the store later if it were another user's.
//
// That nothing can be written is true of a mount, not of the disk: a store may be running behind it, which has the file and holds it.
func (fs readingFS) Lock(name string) (io.Closer, error) {
	createLock(name)
	lock, err := fs.FS.Lock(name)
	if !errors.Is(err, syscall.EROFS) {
		return lock, err
	}
	if lock, err = lockToRead(name); errors.Is(err, os.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	return lock, err
}

type readingFile struct {
	vfs.File
	ctx context.Context
}

func (f readingFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f readingFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, offset)
}

// storedFormat is the format version that stands in a database, 0 where what stands there is none.
func storedFormat(db *pebble.DB) (version uint32, found bool, err error) {
	found, err = get(db, formatKey(), func(value []byte) error {
		if len(value) == 4 {
			version = binary.BigEndian.Uint32(value)
		}
		return nil
	})
	return version, found, err
}

func readFormat(db *pebble.DB) (version uint32, err error) {
	version, found, err := storedFormat(db)
	switch {
	case err != nil:
		return 0, err
	case !found || version == 0:
		return 0, ErrNotAStore
	case version < formatVersion:
		return 0, fmt.Errorf("%w (it is %d, this one reads %d)", ErrOlderFormat, version, formatVersion)
	case version > formatVersion:
		return 0, fmt.Errorf("%w (it is %d, this one reads up to %d)", ErrNewerFormat, version, formatVersion)
	}
	return version, nil
}

func (f *folder) close() error {
	var err error
	if f.db != nil {
		err = f.db.Close()
	}
	return errors.Join(err, f.lock.Close())
}

// silent is a Logger of Pebble's for a folder that is only read: its errors are returned too.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// Fatalf is called where Pebble cannot go on, which reading alone does not bring about.
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
