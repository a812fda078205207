package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// ErrUnopened is answered by Read where a segment's file cannot be opened, so that nothing of it was yielded.
	ErrUnopened = errors.New("its file cannot be opened")
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

// Options of Open.
type Options struct {
	FS        FS     // nil: the operating system's
	Directory string // made if absent, with its parents; it holds nothing else
	// SegmentBytes is after how many bytes a new segment begins; 1 to MaxSegmentBytes. The disk space is reserved when the segment
	// is made, where the file system can; Bytes and MaxBytes count what is written.
	SegmentBytes int64
	MaxBytes     int64 // of all segments together, held to within a file header; 0: no bound
	Sync         Policy

	// The writer calls these; they must not call the log. Either may be nil.
	OnSync  func(time.Duration) // after each sync of a segment, with the time it took
	OnError func(error)         // once for each write or sync that failed: some have no caller to be answered
}

// Position names a record for ever: no other record of this directory ever has it, and it is the same when the record is
// read back. Segments count from 1, so the zero Position names none.
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
	lock    io.Closer
	writer  sync.WaitGroup
	wake    chan struct{} // one place; says that queue or closed changed
	close   func() error

	// io is held by whoever changes files: the writer, for a group and its sync, Remove, or Close. It is taken before mu.
	io       sync.Mutex
	dir      vfs.File // nil: closed
	buffer   []byte
	reserved uint32   // numbers up to here may have been used, by the file of that name
	open     *segment // nil: the next record begins one

	mu       sync.Mutex // guards what follows; no I/O under it
	closed   bool
	queue    []*entry
	unwaited int64 // bytes in the queue that nobody waits for
	segments []SegmentInfo
	bytes    int64  // of segments; changed with io held as well
	last     uint32 // highest number given so far
	tail     uint32
}

// entry is a record on its way. All of it is the writer's once the group is taken, and the caller's again when done is closed.
type entry struct {
	record   [][]byte
	durable  bool          // answered after a sync, if the policy is Always
	done     chan struct{} // nil: nobody waits
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
	l.writer.Go(l.write)
	return l, nil
}

// Append writes the parts as one record and returns when it is durable by policy, with its position.
//
// After an error (of the disk, or ctx's) the record may have been written nevertheless, and Read may yield it. The log does not
// change the parts; after ctx's error it may still be reading them, so they must not be written to.
func (l *Log) Append(ctx context.Context, record ...[]byte) (Position, error) {
	return l.put(ctx, &entry{record: slices.Clone(record), durable: true, done: make(chan struct{})})
}

// Write is Append that does not wait, for small records whose loss in a crash is harmless. It copies the parts. The record
// goes to the operating system at once and is synced with the next group, or soon: at most 100 ms later under Always. Only when a
// mebibyte of such records waits for the disk does Write wait for its own to be written. An error while nobody waits goes to OnError.
//
// MaxBytes does not hold it back, because such records usually say what may be removed.
func (l *Log) Write(ctx context.Context, record ...[]byte) error {
	_, err := l.put(ctx, &entry{record: [][]byte{slices.Concat(record...)}})
	return err
}

func (l *Log) put(ctx context.Context, e *entry) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if err := l.enqueue(e); err != nil || e.done == nil {
		return Position{}, err
	}
	select {
	case <-e.done:
		return e.position, e.err
	case <-ctx.Done():
	}
	// A caller that goes away takes its record along, otherwise a slow disk and impatient senders would fill the memory.
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, e); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	return Position{}, ctx.Err()
}

func (l *Log) enqueue(e *entry) error {
	n := recordLength(e.record)
	if n > MaxRecordBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d go", ErrTooLarge, n, MaxRecordBytes)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case !e.durable && l.unwaited+maxEncoded(n) > maxUnwaited:
		e.done = make(chan struct{})
	case !e.durable:
		l.unwaited += maxEncoded(n)
	}
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
	file, err := l.fs.Open(l.path(number, segmentSuffix))
	if err != nil {
		return Report{}, fmt.Errorf("read journal segment %d: %w: %w", number, ErrUnopened, err)
	}
	report, err := read(file, number, yield)
	_ = file.Close() // it was read only
	return report, err
}

// Remove deletes a segment; when it returns nil the segment never comes back. If it is the open one, the next record begins
// another; what is just being written to it goes as well, which Tail helps to avoid. A segment that is not there is no error.
func (l *Log) Remove(number uint32) error { return l.takeOut(number, l.deleteFile) }

// SetAside takes a segment out of the log as Remove does, but keeps its file under the name NNNNNNNNNN.unreadable: what was not read of it
// may be of use to somebody, and is read once more where the file is renamed before Open.
func (l *Log) SetAside(number uint32) error { return l.takeOut(number, l.renameFile) }

func (l *Log) takeOut(number uint32, file func(uint32) error) error {
	if !slices.ContainsFunc(l.Segments(), func(s SegmentInfo) bool { return s.Number == number }) {
		return nil
	}
	l.io.Lock()
	defer l.io.Unlock()
	if l.dir == nil {
		return ErrClosed
	}
	if l.open != nil && l.open.number == number {
		_ = l.leave() // nobody wants its bytes any more
	}
	return l.forget(number, file)
}

// Close writes what waits, syncs (unless the policy is OS), answers everybody and releases the directory.
func (l *Log) Close() error { return l.close() }

func (l *Log) shut() (err error) {
	l.mu.Lock()
	l.closed = true
	l.wakeWriter()
	l.mu.Unlock()
	l.writer.Wait()
	l.io.Lock()
	defer l.io.Unlock()
	if l.open != nil {
		err = l.seal()
	}
	err = errors.Join(err, l.dir.Close(), l.lock.Close())
	l.dir = nil
	return err
}
