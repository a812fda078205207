package journal

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// bufferSize is the most that is written at once.
	bufferSize = 512 << 10
	// unwaitedSync is when records of Write are synced under Always if no Append comes that takes them along.
	unwaitedSync = 100 * time.Millisecond
)

// write is the writer: it takes whatever waits as one group, until the log is closed.
func (l *Log) write() {
	delay := time.Duration(l.options.Sync)
	if l.options.Sync == Always {
		delay = unwaitedSync
	}
	var due <-chan time.Time
	for closed := false; !closed; {
		lazy := false
		select {
		case <-l.wake:
		case <-due:
			due, lazy = nil, true
		}
		l.io.Lock()
		l.mu.Lock()
		group := l.queue
		l.queue, l.unwaited, closed = nil, 0, l.closed
		l.mu.Unlock()
		for rest := group; len(rest) > 0; {
			n, err := l.writeSome(rest)
			if l.check(err) != nil {
				n = len(rest)
			}
			for _, e := range rest[:n] {
				e.err = cmp.Or(e.err, err)
			}
			rest = rest[n:]
		}
		if lazy && l.open != nil && l.open.dirty {
			_ = l.check(l.sync()) // nobody waits for it
		}
		if delay > 0 && due == nil && l.open != nil && l.open.dirty {
			due = time.After(delay)
		}
		l.io.Unlock() // before the answers, so that whoever has one can remove the segment
		for _, e := range group {
			if e.done != nil {
				close(e.done)
			}
		}
	}
}

// writeSome writes as many records as go into one segment, syncs them if the policy asks for it, and returns how many.
func (l *Log) writeSome(group []*entry) (n int, err error) {
	if l.open != nil && l.open.size >= l.options.SegmentBytes {
		_ = l.seal() // its records are answered already
	}
	durable := false
	for n < len(group) && (l.open == nil || l.open.size < l.options.SegmentBytes) {
		e := group[n]
		n++
		length := recordLength(e.record)
		if limit := l.options.MaxBytes; e.durable && limit > 0 && l.bytes+maxEncoded(length) > limit {
			e.err = fmt.Errorf("%w: %d of %d bytes are taken, the record has %d", ErrFull, l.bytes, limit, length)
			continue
		}
		if l.open == nil {
			if err := l.begin(); err != nil {
				return n, err
			}
		}
		offset, err := l.open.add(e.record)
		if err != nil {
			return n, err
		}
		e.position = Position{Segment: l.open.number, Offset: offset}
		durable = durable || e.durable
		l.measure()
	}
	if l.open == nil {
		return n, nil
	}
	err = l.open.flush()
	if err == nil && durable && l.options.Sync == Always {
		err = l.sync()
	}
	l.open.kept = l.open.kept || err == nil
	return n, err
}

// begin makes a new segment. Its number is used up even if that fails.
func (l *Log) begin() error {
	l.mu.Lock()
	l.last++
	l.tail = l.last
	number := l.last
	l.mu.Unlock()
	file, err := l.createSegment(number)
	if err != nil {
		return fmt.Errorf("begin journal segment %d: %w", number, err)
	}
	l.open = &segment{number: number, file: file, buffer: appendHeader(l.buffer[:0], number), size: fileHeader}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, SegmentInfo{Number: number})
	return nil
}

// sync makes durable what was written to the open segment.
func (l *Log) sync() error {
	begin := time.Now()
	if err := l.open.file.SyncData(); err != nil {
		return fmt.Errorf("sync journal segment %d: %w", l.open.number, err)
	}
	l.open.dirty = false
	if l.options.OnSync != nil {
		l.options.OnSync(time.Since(begin))
	}
	return nil
}

// seal ends the open segment: nothing is appended to it any more.
func (l *Log) seal() error {
	if l.open.dirty && l.options.Sync != OS {
		if err := l.check(l.sync()); err != nil {
			return err
		}
	}
	return l.leave()
}

// leave closes the open segment's file.
func (l *Log) leave() error {
	l.measure()
	file := l.open.file
	l.open = nil
	l.mu.Lock()
	l.tail = l.last + 1
	l.mu.Unlock()
	return file.Close()
}

// check gives the open segment up when a write or sync of it failed; it returns err. If nobody was told that a record is in it, it
// is removed: on a full disk every attempt begins one.
func (l *Log) check(err error) error {
	if err == nil {
		return nil
	}
	if l.options.OnError != nil {
		l.options.OnError(err)
	}
	if open := l.open; open != nil {
		_ = l.leave() // err says what is wrong with it
		if !open.kept {
			_ = l.forget(open.number, l.deleteFile) // it remains in Segments
		}
	}
	return err
}

// measure notes the size of the open segment.
func (l *Log) measure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := &l.segments[len(l.segments)-1]
	l.bytes += l.open.size - tail.Bytes
	tail.Bytes = l.open.size
}
