package pebblestore

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// patientFS is the file system under Pebble. Pebble cannot go on after a refused write: its log stays in error, the next commit
// panics and the process has to be restarted. So a write that is refused because the disk is full, or may not be written for
// now, is held here and tried again until it succeeds; Pebble sees a slow disk. Meanwhile new calls are refused
// with a retryable error before they reach Pebble, reading goes on, and everything resumes by itself when there is space.
//
// Other errors go through: a failed fsync must not be repeated, because the kernel may have dropped what it could not
// write. See Store.fail for them.
//
// All of this is about the files of the store's folder. What Pebble writes elsewhere is a backup, maybe on another disk, which may fail.
type patientFS struct {
	vfs.FS
	folder string
	disk   *diskState
}

// owns says whether a file is the store's own. Pebble has no folders in its folder.
func (fs *patientFS) owns(name string) bool { return fs.PathDir(name) == filepath.Clean(fs.folder) }

// retryWriteAfter is how long a refused write waits before it is tried again.
const retryWriteAfter = 250 * time.Millisecond

// diskState knows whether writes are being held.
type diskState struct {
	// onChange is called when writes begin to be held (with the reason) and when all went through (nil).
	onChange func(error)
	// onBroken is called when written data may be lost: the error of an fsync.
	onBroken func(error)
	retry    time.Duration
	closing  chan struct{}

	toldMu sync.Mutex // orders the calls of onChange
	told   bool       // that writes are held

	mu      sync.Mutex    // guards the fields below
	holding int           // writes held at this moment
	reason  error         // of the first one held
	stalled chan struct{} // closed while writes are held
}

func newDiskState(onChange, onBroken func(error)) *diskState {
	return &diskState{
		onChange: onChange, onBroken: onBroken, retry: retryWriteAfter,
		closing: make(chan struct{}), stalled: make(chan struct{}),
	}
}

// state returns a channel that is closed when writes begin to be held, and why they are held at this moment, nil if they are not.
func (d *diskState) state() (stalled <-chan struct{}, reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stalled, d.reason
}

// release lets held writes fail, so that the database can be closed.
func (d *diskState) release() { close(d.closing) }

// passing says whether an error may go away without anybody touching the process.
func passing(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// patiently repeats write until it succeeds or fails for good.
func (d *diskState) patiently(write func() error) error {
	err := write()
	if err == nil || !passing(err) {
		return err
	}
	d.hold(err)
	defer d.letGo()
	timer := time.NewTimer(d.retry)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.closing:
			return err
		}
		if err = write(); err == nil || !passing(err) {
			return err
		}
		timer.Reset(d.retry)
	}
}

func (d *diskState) hold(err error) {
	d.mu.Lock()
	d.holding++
	if d.holding == 1 {
		d.reason = err
		close(d.stalled)
	}
	d.mu.Unlock()
	d.tell()
}

func (d *diskState) letGo() {
	d.mu.Lock()
	d.holding--
	if d.holding == 0 {
		d.reason = nil
		d.stalled = make(chan struct{})
	}
	d.mu.Unlock()
	d.tell()
}

// tell calls onChange if the state is another than the one told last.
func (d *diskState) tell() {
	d.toldMu.Lock()
	defer d.toldMu.Unlock()
	_, reason := d.state()
	if holds := reason != nil; holds != d.told {
		d.told = holds
		d.onChange(reason)
	}
}

// open repeats an operation that yields a file, and wraps it.
func (fs *patientFS) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !fs.owns(name) {
		return open()
	}
	var file vfs.File
	err := fs.disk.patiently(func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &patientFile{File: file, disk: fs.disk, log: isLog(name)}, nil
}

// Create makes the name of a manifest durable at once. Pebble makes the file that points to it (the marker) before it syncs the
// folder, so after a loss of power that one could be there and the manifest not: such a folder cannot be opened.
func (fs *patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.open(name, func() (vfs.File, error) { return fs.FS.Create(name, category) })
	if err == nil && isManifest(name) {
		if err = fs.syncFolder(fs.PathDir(name)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, err
}

func (fs *patientFS) syncFolder(name string) error {
	folder, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (fs *patientFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.open(name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, category, opts...) })
}

func (fs *patientFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, category) })
}

func (fs *patientFS) Link(oldname, newname string) error {
	return fs.patiently(newname, func() error { return fs.FS.Link(oldname, newname) })
}

func (fs *patientFS) Rename(oldname, newname string) error {
	return fs.patiently(newname, func() error { return fs.FS.Rename(oldname, newname) })
}

func (fs *patientFS) patiently(name string, write func() error) error {
	if !fs.owns(name) {
		return write()
	}
	return fs.disk.patiently(write)
}

// Unwrap is how Pebble looks through wrappers.
func (fs *patientFS) Unwrap() vfs.FS { return fs.FS }

// patientFile is a file opened for writing.
type patientFile struct {
	vfs.File
	disk *diskState
	log  bool
}

// isLog says whether Pebble cannot go on after an error of the file: its write-ahead log and its manifest. Tables that
// cannot be written are written again.
func isLog(name string) bool {
	return filepath.Ext(name) == ".log" || isManifest(name)
}

func isManifest(name string) bool { return strings.HasPrefix(filepath.Base(name), "MANIFEST-") }

// Write goes on behind what was written before the refusal.
func (f *patientFile) Write(p []byte) (int, error) {
	written := 0
	err := f.disk.patiently(func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return written, f.tell(err)
}

func (f *patientFile) WriteAt(p []byte, offset int64) (int, error) {
	written := 0
	err := f.disk.patiently(func() error {
		n, err := f.File.WriteAt(p[written:], offset+int64(written))
		written += n
		return err
	})
	return written, f.tell(err)
}

// Preallocate is a hint: without space for it the write itself will tell. It is not taken for a log: Pebble asks for more than a memtable at
// once, which would be the most of a small folder, and its writes and fsyncs take as long without it.
func (f *patientFile) Preallocate(offset, length int64) error {
	if f.log {
		return nil
	}
	if err := f.File.Preallocate(offset, length); err != nil && !passing(err) {
		return err
	}
	return nil
}

// Sync is never repeated: see patientFS.
func (f *patientFile) Sync() error { return f.tell(f.File.Sync()) }

// SyncData is Sync without the file's metadata.
func (f *patientFile) SyncData() error { return f.tell(f.File.SyncData()) }

// tell tells of a log that is broken before Pebble hears of it: a commit that comes upon one panics.
func (f *patientFile) tell(err error) error {
	if err != nil && f.log {
		f.disk.onBroken(err)
	}
	return err
}
