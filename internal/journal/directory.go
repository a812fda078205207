package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentSuffix  = ".log"
	reservedSuffix = ".reserved"
	lockName       = "LOCK"

	// reserveAhead is how many numbers one reservation covers. A restart forgoes those that are left.
	reserveAhead = 64
)

func (l *Log) path(name string) string { return l.fs.PathJoin(l.options.Directory, name) }

func (l *Log) segmentPath(number uint32) string { return l.path(fileName(number, segmentSuffix)) }

func fileName(number uint32, suffix string) string { return fmt.Sprintf("%010d%s", number, suffix) }

// fileNumber is the number in a name of that suffix; false for other files.
func fileNumber(name, suffix string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	number, err := strconv.ParseUint(digits, 10, 32)
	return uint32(number), ok && err == nil && name == fileName(uint32(number), suffix)
}

// openDirectory makes, locks and lists the directory.
func (l *Log) openDirectory() (err error) {
	if err := l.makeDirectory(); err != nil {
		return err
	}
	l.lock, err = l.fs.Lock(l.path(lockName))
	if err != nil {
		return fmt.Errorf("cannot lock the directory, is another process using it? each needs one of its own: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.lock.Close())
		}
	}()
	if err := l.list(); err != nil {
		return err
	}
	l.dir, err = l.fs.OpenDir(l.options.Directory)
	return err
}

// makeDirectory makes the directory and the parents that are missing, durably: a directory survives when its parent is synced.
func (l *Log) makeDirectory() error {
	directory := l.options.Directory
	var parents []string
	for child := directory; ; child = parents[len(parents)-1] {
		if _, err := l.fs.Stat(child); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := l.fs.PathDir(child)
		if parent == child {
			break
		}
		parents = append(parents, parent)
	}
	if err := l.fs.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := l.syncDirectory(parent); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) syncDirectory(path string) error {
	dir, err := l.fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// list finds the segments and the highest number ever used.
func (l *Log) list() error {
	names, err := l.fs.List(l.options.Directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		if number, ok := fileNumber(name, reservedSuffix); ok {
			l.reserved = max(l.reserved, number)
		}
		number, ok := fileNumber(name, segmentSuffix)
		if !ok {
			continue
		}
		info, err := l.fs.Stat(l.path(name))
		if err != nil {
			return err
		}
		l.segments = append(l.segments, SegmentInfo{Number: number, Bytes: info.Size(), Old: true})
		l.bytes += info.Size()
		l.last = max(l.last, number)
	}
	slices.SortFunc(l.segments, func(a, b SegmentInfo) int { return int(int64(a.Number) - int64(b.Number)) })
	l.last = max(l.last, l.reserved)
	l.tail = l.last + 1
	return nil
}

// createSegment makes the file of a new segment. When it returns, the file and the reservation of its number survive a crash.
func (l *Log) createSegment(number uint32) (vfs.File, error) {
	before := l.reserved
	if number > l.reserved {
		if err := l.reserve(number); err != nil {
			return nil, err
		}
	}
	file, err := l.fs.Create(l.segmentPath(number), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if err := l.dir.Sync(); err != nil {
		return nil, errors.Join(err, file.Close(), l.fs.Remove(l.segmentPath(number)))
	}
	if before != l.reserved && before > 0 {
		_ = l.fs.Remove(l.path(fileName(before, reservedSuffix))) // one too many does no harm
	}
	return file, nil
}

// reserve notes that numbers from this one on are used. The caller syncs the directory.
func (l *Log) reserve(number uint32) error {
	upTo := uint32(min(uint64(number)+reserveAhead-1, 1<<32-2))
	file, err := l.fs.Create(l.path(fileName(upTo, reservedSuffix)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	l.reserved = upTo
	return file.Close()
}

// deleteSegment removes the file, durably, and forgets the segment.
func (l *Log) deleteSegment(number uint32) error {
	if err := l.fs.Remove(l.segmentPath(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.dir.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resizeLocked(number, 0)
	l.segments = slices.DeleteFunc(l.segments, func(s SegmentInfo) bool { return s.Number == number })
	return nil
}
