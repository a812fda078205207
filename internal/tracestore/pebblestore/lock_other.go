//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package pebblestore

import (
	"io"
	"syscall"
)

// createLock leaves it to locking: files are not given to others here.
func createLock(string) {}

// lockToRead cannot, so that what cannot be written is not read.
func lockToRead(string) (io.Closer, error) { return nil, syscall.EROFS }
