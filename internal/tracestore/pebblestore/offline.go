package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

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

// folder is a store opened for reading alone: nothing but the lock file is written to it.
type folder struct {
	db     *pebble.DB
	lock   *pebble.Lock
	format uint32
}

// openFolder opens the store in a folder, whatever its state, and keeps other processes from opening it until close.
func openFolder(path string) (f *folder, err error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		if err == nil {
			err = ErrNotAStore
		}
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	if found, err := pebble.Peek(path, vfs.Default); err != nil || !found.Exists {
		return nil, fmt.Errorf("%q: %w", path, errors.Join(ErrNotAStore, err))
	}
	f = new(folder)
	if f.lock, err = pebble.LockDirectory(path, vfs.Default); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("%q: %w", path, err)
		}
		return nil, fmt.Errorf("%q: %w", path, ErrInUse)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%q: %w", path, err), f.close())
		}
	}()
	f.db, err = pebble.Open(path, &pebble.Options{
		ReadOnly: true, Lock: f.lock, Logger: silent{},
		// Its default ends the process; whoever reads is told by an error as well.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	if err != nil {
		return nil, err
	}
	f.format, err = readFormat(f.db)
	return f, err
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
