//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pebblestore

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// createLock makes a lock file where there is none, as the file of whom the folder belongs to. Whoever may not give it away keeps it; where it
// cannot be made, locking says why.
func createLock(name string) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	if info, err := os.Stat(filepath.Dir(name)); err == nil {
		if owner, known := info.Sys().(*syscall.Stat_t); known {
			_ = file.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
}

// lockToRead keeps others from taking the lock that Pebble takes, as long as nobody has it. It writes nothing.
func lockToRead(name string) (io.Closer, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	whole := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &whole); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
