package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentSuffix  = ".log"
	reservedSuffix = ".reserved"
	asideSuffix    = ".unreadable"

	// reserveAhead is how many numbers one reservation covers. A restart forgoes those that are left.
	reserveAhead = 64
)

func (l *Log) path(number uint32, suffix string) string {
	return l.fs.PathJoin(l.options.Directory, fmt.Sprintf("%010d%s", number, suffix))
}

// openDirectory makes, locks and lists the directory.
func (l *Log) openDirectory() (err error) {
	directory := l.options.Directory
	if err := l.makeDirectory(directory); err != nil {
		return err
	}
	if l.lock, err = l.fs.Lock(l.fs.PathJoin(directory, "LOCK")); err != nil {
		return fmt.Errorf("cannot lock the directory, is another process using it? each needs one of its own: %w", err)
	}
	if err = l.list(directory); err == nil {
		l.dir, err = l.fs.OpenDir(directory)
	}
	if err != nil {
		return errors.Join(err, l.lock.Close())
	}
	return nil
}

// makeDirectory makes a directory and its parents, durably: a directory survives a crash when its parent is synced.
func (l *Log) makeDirectory(path string) error {
	if _, err := l.fs.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := l.fs.PathDir(path)
	if err := l.makeDirectory(parent); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(path, 0o755); err != nil {
		return err
	}
	dir, err := l.fs.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// list finds the segments and the highest number ever used.
func (l *Log) list(directory string) error {
	names, err := l.fs.List(directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		digits, suffix, _ := strings.Cut(name, ".")
		n, err := strconv.ParseUint(digits, 10, 32)
		number := uint32(n)
		switch path := l.fs.PathJoin(directory, name); {
		case err != nil || path != l.path(number, "."+suffix): // not ours
		case path == l.path(number, reservedSuffix):
			l.reserved = max(l.reserved, number)
		case path == l.path(number, segmentSuffix):
			info, err := l.fs.Stat(path)
			if err != nil {
				return err
			}
			l.segments = append(l.segments, SegmentInfo{Number: number, Bytes: info.Size(), Old: true})
			l.bytes += info.Size()
			l.last = max(l.last, number)
		}
	}
	slices.SortFunc(l.segments, func(a, b SegmentInfo) int { return cmp.Compare(a.Number, b.Number) })
	l.last = max(l.last, l.reserved)
	l.tail = l.last + 1
	return nil
}

// createSegment makes the file of a new segment. When it returns, the file and the reservation of its number survive a crash.
func (l *Log) createSegment(number uint32) (vfs.File, error) {
	if number > math.MaxUint32-reserveAhead {
		return nil, errors.New("the numbers of segments are used up, begin with another directory")
	}
	before := l.reserved
	if number > l.reserved {
		upTo := number + reserveAhead - 1
		file, err := l.fs.Create(l.path(upTo, reservedSuffix), vfs.WriteCategoryUnspecified)
		if err != nil {
			return nil, err
		}
		l.reserved = upTo
		_ = file.Close() // its name is all that counts
	}
	file, err := l.fs.Create(l.path(number, segmentSuffix), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	_ = file.Preallocate(0, l.options.SegmentBytes) // spares CPU; without it the file grows as it is written
	if err := l.dir.Sync(); err != nil {
		return nil, errors.Join(err, file.Close(), l.fs.Remove(l.path(number, segmentSuffix)))
	}
	if before != l.reserved && before > 0 {
		_ = l.fs.Remove(l.path(before, reservedSuffix)) // one too many does no harm
	}
	return file, nil
}

func (l *Log) deleteFile(number uint32) error { return l.fs.Remove(l.path(number, segmentSuffix)) }

func (l *Log) renameFile(number uint32) error {
	return l.fs.Rename(l.path(number, segmentSuffix), l.path(number, asideSuffix))
}

// forget deletes or renames the file, durably, and forgets the segment.
func (l *Log) forget(number uint32, file func(uint32) error) error {
	err := file(number)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = l.dir.Sync()
	}
	if err != nil {
		return fmt.Errorf("remove journal segment %d: %w", number, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = slices.DeleteFunc(l.segments, func(s SegmentInfo) bool {
		if s.Number == number {
			l.bytes -= s.Bytes
		}
		return s.Number == number
	})
	return nil
}
