package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrFull is answered by Append while the segments hold Options.MaxBytes: remove some and try again.
	ErrFull = errors.New("journal is full")
	// ErrClosed is answered after Close.
	ErrClosed = errors.New("journal is closed")
	// ErrBusy is answered by Remove for the open segment while records are being written to it.
	ErrBusy = errors.New("segment is being written to")
	// ErrTooLarge is answered for a record above MaxRecordBytes. Trying again does not help.
	ErrTooLarge = errors.New("record is too large for the journal")
)

const (
	// MaxRecordBytes bounds one record, so that an offset fits a Position.
	MaxRecordBytes = 1 << 30
	// MaxSegmentBytes bounds Options.SegmentBytes, for the same reason.
	MaxSegmentBytes = 1 << 30

	// maxUnwaited bounds what Write leaves waiting without making its caller wait.
	maxUnwaited = 1 << 20
)

// FS is the file system of a log, named here so that users need not import where it comes from.
type FS = vfs.FS

// Policy says when records are durable, which is to say: survive a loss of power. A crash of the process alone loses none that was answered.
type Policy time.Duration

const (
	// Always syncs before Append returns.
	Always Policy = 0
	// OS leaves it to the operating system. (Directories are synced nevertheless.)
	OS Policy = -1
)

// Interval syncs d after the first record that is not synced.
func Interval(d time.Duration) Policy { return Policy(max(d, 1)) }

// unwaitedSync is when records of Write are synced under Always if no Append comes that takes them along.
const unwaitedSync = 100 * time.Millisecond

// delay is how long a record that nobody waits for may remain without a sync; 0: for ever.
func (p Policy) delay() time.Duration {
	switch p {
	case Always:
		return unwaitedSync
	case OS:
		return 0
	default:
		return time.Duration(p)
	}
}

// Options of Open.
type Options struct {
	FS           FS     // nil: the operating system's
	Directory    string // made if absent, with its parents; it holds nothing else
	SegmentBytes int64  // a new segment begins after so many bytes; 1 to MaxSegmentBytes
	MaxBytes     int64  // of all segments together; 0: no bound
	Sync         Policy
	OnSync       func(time.Duration) // called by the writer after each sync of a segment with the time it took; may be nil
	// OnError is called by the writer, once for each write or sync that failed; may be nil. Some have no caller to be
	// answered: those of Write, and syncs under Interval.
	OnError func(error)
}

// Position names a record for ever: no other record of this directory ever has it, and it is the same when the record is read back.
type Position struct{ Segment, Offset uint32 }

// SegmentInfo describes a segment that is there.
type SegmentInfo struct {
	Number uint32
	Bytes  int64
	Old    bool // it was there before Open, and is never appended to
}

// Log is a journal that is open. Its methods may be called concurrently.
type Log struct {
	options Options
	fs      FS
	dir     vfs.File
	lock    io.Closer
	users   sync.WaitGroup // of the files: the writer and calls of Remove
	wake    chan struct{}  // one place; says that queue or closed changed
	close   func() error

	// Owned by the writer.
	buffer   []byte
	reserved uint32 // numbers up to here may have been used, by the file of that name

	mu       sync.Mutex // guards what follows; no I/O under it
	closed   bool
	queue    []*entry
	waiting  int64 // bytes that the queue and the group being written will take, at most
	unwaited int64 // of them, those that nobody waits for
	segments []SegmentInfo
	bytes    int64  // of segments
	last     uint32 // highest number given so far
	tail     uint32
	writing  bool     // the writer has taken a group or syncs: open is its own, otherwise it is mu's
	open     *segment // nil: the next record begins one
}

// entry is a record on its way. All of it belongs to the writer once the group is taken.
type entry struct {
	record  [][]byte
	bytes   int64 // at most; as counted in waiting
	durable bool  // answered after a sync, if the policy is Always
	done    chan answer
}

type answer struct {
	position Position
	err      error
}

// Open locks the directory, lists the segments that are there and starts the writer. No old segment is ever appended to.
func Open(options Options) (*Log, error) {
	if options.SegmentBytes < 1 || options.SegmentBytes > MaxSegmentBytes {
		return nil, fmt.Errorf("journal: segment bytes are %d, must be 1 to %d", options.SegmentBytes, MaxSegmentBytes)
	}
	if options.FS == nil {
		options.FS = vfs.Default
	}
	l := &Log{options: options, fs: options.FS, wake: make(chan struct{}, 1), buffer: make([]byte, 0, bufferSize)}
	l.close = sync.OnceValue(l.shut)
	if err := l.openDirectory(); err != nil {
		return nil, fmt.Errorf("open journal %q: %w", options.Directory, err)
	}
	l.users.Go(l.write)
	return l, nil
}

// Append writes the parts as one record and returns when it is durable by policy, with its position.
//
// After an error (of the disk, or ctx's) the record may have been written nevertheless, and Read may yield it. The log does not
// change the parts; after ctx's error it may still be reading them, so they must not be written to.
func (l *Log) Append(ctx context.Context, record ...[]byte) (Position, error) {
	e := &entry{record: slices.Clone(record), durable: true, done: make(chan answer, 1)}
	if err := l.enqueue(ctx, e); err != nil {
		return Position{}, err
	}
	return l.await(ctx, e)
}

// Write is Append that does not wait, for small records whose loss in a crash is harmless. It copies the parts. The record
// goes to the operating system at once and is synced with the next group, or soon: at most 100 ms later under Always. Only when a
// mebibyte of such records waits for the disk does Write wait for its own to be written. An error while nobody waits goes to OnError.
//
// MaxBytes does not hold it back, because such records usually say what may be removed.
func (l *Log) Write(ctx context.Context, record ...[]byte) error {
	e := &entry{record: [][]byte{slices.Concat(record...)}}
	if err := l.enqueue(ctx, e); err != nil {
		return err
	}
	if e.done == nil {
		return nil
	}
	_, err := l.await(ctx, e)
	return err
}

func (l *Log) enqueue(ctx context.Context, e *entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := recordLength(e.record)
	if n > MaxRecordBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d go", ErrTooLarge, n, MaxRecordBytes)
	}
	e.bytes = maxEncoded(n)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if e.durable && l.options.MaxBytes > 0 && l.bytes+l.waiting+e.bytes > l.options.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes are taken, the record has %d", ErrFull, l.bytes+l.waiting, l.options.MaxBytes, n)
	}
	if !e.durable {
		if l.unwaited+e.bytes > maxUnwaited {
			e.done = make(chan answer, 1)
		} else {
			l.unwaited += e.bytes
		}
	}
	l.waiting += e.bytes
	l.queue = append(l.queue, e)
	l.wakeWriter()
	return nil
}

func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) await(ctx context.Context, e *entry) (Position, error) {
	select {
	case a := <-e.done:
		return a.position, a.err
	case <-ctx.Done():
	}
	// A caller that goes away takes its record along, otherwise a slow disk and impatient senders would fill the memory.
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, e); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.waiting -= e.bytes
	}
	return Position{}, ctx.Err()
}

// Old returns the segments that were there before Open and are not removed, in order.
func (l *Log) Old() []SegmentInfo {
	return slices.DeleteFunc(l.Segments(), func(s SegmentInfo) bool { return !s.Old })
}

// Segments returns all segments that are there, in order. One that no known position points to may hold records that
// were answered with an error only; below Tail such a segment can be removed.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.segments)
}

// Tail is the lowest segment that a record appended from now on can go to. Whoever counts the records of each segment to remove
// those that are done with keeps Tail, as it was before Append was called, until the record is counted.
func (l *Log) Tail() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail
}

// Bytes is what all segments take on disk.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Read yields the records of a segment in order, in bounded memory; the bytes are valid until yield returns. What is damaged is
// skipped and reported. An error is yield's own, or says what could not be read; in the latter case, too, all that can be
// read was yielded. Of the open segment it yields what is written so far, the end of which may look torn.
func (l *Log) Read(number uint32, yield func(Position, []byte) error) (Report, error) {
	file, err := l.fs.Open(l.segmentPath(number))
	if err != nil {
		return Report{}, fmt.Errorf("read journal segment %d: %w", number, err)
	}
	report, err := read(file, number, yield)
	_ = file.Close() // it was read only
	return report, err
}

// Remove deletes a segment; when it returns nil the segment never comes back. If it is the open one, the next record begins
// another; if records are on their way into it the error is ErrBusy. A segment that is not there is no error.
func (l *Log) Remove(number uint32) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.users.Add(1)
	defer l.users.Done()
	var open *segment
	if l.tail == number && l.open != nil {
		if l.writing {
			l.mu.Unlock()
			return fmt.Errorf("remove journal segment %d: %w", number, ErrBusy)
		}
		open, l.open, l.tail = l.open, nil, l.last+1
	}
	there := slices.ContainsFunc(l.segments, func(s SegmentInfo) bool { return s.Number == number })
	l.mu.Unlock()
	if open != nil {
		_ = open.file.Close() // nobody wants its bytes any more
	}
	if !there {
		return nil
	}
	if err := l.deleteSegment(number); err != nil {
		return fmt.Errorf("remove journal segment %d: %w", number, err)
	}
	return nil
}

// Close writes what waits, syncs (unless the policy is OS), answers everybody and releases the directory.
func (l *Log) Close() error { return l.close() }

func (l *Log) shut() error {
	l.mu.Lock()
	l.closed = true
	l.wakeWriter()
	l.mu.Unlock()
	l.users.Wait()
	err := l.seal() // the writer is gone
	return errors.Join(err, l.dir.Close(), l.lock.Close())
}

// resize says how long a segment is by now.
func (l *Log) resizeLocked(number uint32, bytes int64) {
	for i := range l.segments {
		if s := &l.segments[i]; s.Number == number {
			l.bytes += bytes - s.Bytes
			s.Bytes = bytes
		}
	}
}

// nextNumber gives the number of a new segment.
func (l *Log) nextNumber() (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == math.MaxUint32-1 {
		return 0, errors.New("the numbers of segments are used up: begin with a new directory")
	}
	l.last++
	l.tail = l.last
	return l.last, nil
}
