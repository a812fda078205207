package journal

import (
	"fmt"
	"time"
)

// bufferSize is the most that is written at once.
const bufferSize = 512 << 10

// write is the writer: it takes whatever waits as one group, until the log is closed.
func (l *Log) write() {
	timer := time.NewTimer(0)
	<-timer.C
	armed := false
	for {
		due := false
		select {
		case <-l.wake:
		case <-timer.C:
			armed, due = false, true
		}
		group, closed := l.take()
		group, answers, err := l.writeGroup(group)
		if due && l.open != nil && l.open.dirty {
			if err := l.sync(l.open); err != nil {
				l.giveUp(err)
			}
		}
		l.settle(group)
		dirty := l.release() // before the answers, so that whoever has one can remove the segment
		wakeAll(group, answers, err)
		if closed {
			timer.Stop()
			return
		}
		if delay := l.options.Sync.delay(); dirty && !armed && delay > 0 {
			timer.Reset(delay)
			armed = true
		}
	}
}

// take hands the queue and the open segment to the writer.
func (l *Log) take() (group []*entry, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	group, l.queue = l.queue, nil
	l.writing = true
	return group, l.closed
}

// release gives the open segment back and says whether it needs a sync.
func (l *Log) release() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = false
	return l.open != nil && l.open.dirty
}

// writeGroup writes and syncs. Where a segment ends within the group, its records are answered before the others are written. It returns
// those that are not answered yet, with their answers in the same order, or with the error for all of them.
func (l *Log) writeGroup(group []*entry) (rest []*entry, answers []answer, err error) {
	durable := false
	for _, e := range group {
		if l.open != nil && l.open.size >= l.options.SegmentBytes {
			err := l.seal()
			written := group[:len(answers)]
			l.settle(written)
			wakeAll(written, answers, err)
			group, answers, durable = group[len(answers):], nil, false
		}
		position, err := l.add(e)
		if err != nil {
			l.giveUp(err)
			return group, nil, err
		}
		answers = append(answers, answer{position: position})
		durable = durable || e.durable
	}
	if len(group) == 0 {
		return nil, nil, nil
	}
	err = l.open.flush()
	if err == nil && durable && l.options.Sync == Always {
		err = l.sync(l.open)
	}
	if err != nil {
		l.giveUp(err)
		return group, nil, err
	}
	l.open.kept = true
	return group, answers, nil
}

// add encodes one record into the open segment, which it begins if there is none.
func (l *Log) add(e *entry) (Position, error) {
	if l.open == nil {
		if err := l.begin(); err != nil {
			return Position{}, err
		}
	}
	offset, err := l.open.add(e.record)
	if err != nil {
		return Position{}, fmt.Errorf("write journal segment %d: %w", l.open.number, err)
	}
	return Position{Segment: l.open.number, Offset: offset}, nil
}

// begin makes a new segment.
func (l *Log) begin() error {
	number, err := l.nextNumber()
	if err != nil {
		return err
	}
	file, err := l.createSegment(number)
	if err != nil {
		return fmt.Errorf("begin journal segment %d: %w", number, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = newSegment(number, file, l.buffer)
	l.segments = append(l.segments, SegmentInfo{Number: number})
	return nil
}

// seal ends the open segment: nothing is appended to it any more.
func (l *Log) seal() error {
	if l.open == nil {
		return nil
	}
	err := l.open.flush()
	if err == nil && l.open.dirty && l.options.Sync != OS {
		err = l.sync(l.open)
	}
	if err != nil {
		l.giveUp(err)
		return err
	}
	l.open.kept = true
	return l.leave()
}

// leave closes the open segment's file.
func (l *Log) leave() error {
	l.mu.Lock()
	open := l.open
	l.open, l.tail = nil, l.last+1
	l.resizeLocked(open.number, open.size)
	l.mu.Unlock()
	return open.file.Close()
}

// giveUp ends the open segment after a write or sync that failed. If nobody was told that a record is in it, it is removed:
// on a full disk every attempt begins one.
func (l *Log) giveUp(err error) {
	if l.options.OnError != nil {
		l.options.OnError(err)
	}
	open := l.open
	if open == nil {
		l.mu.Lock()
		l.tail = l.last + 1
		l.mu.Unlock()
		return
	}
	_ = l.leave() // err says what is wrong with it
	if !open.kept {
		_ = l.deleteSegment(open.number) // it remains in the list
	}
}

func (l *Log) sync(s *segment) error {
	begin := time.Now()
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync journal segment %d: %w", s.number, err)
	}
	s.dirty = false
	if l.options.OnSync != nil {
		l.options.OnSync(time.Since(begin))
	}
	return nil
}

// settle takes a group that was written, or failed, off the accounts.
func (l *Log) settle(group []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range group {
		l.waiting -= e.bytes
		if e.done == nil {
			l.unwaited -= e.bytes
		}
	}
	if l.open != nil {
		l.resizeLocked(l.open.number, l.open.size)
	}
}

// wakeAll answers those who wait for the group.
func wakeAll(group []*entry, answers []answer, err error) {
	for i, e := range group {
		switch {
		case e.done == nil:
		case err != nil:
			e.done <- answer{err: err}
		default:
			e.done <- answers[i]
		}
	}
}
