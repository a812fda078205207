package traceassemblyprocessor

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// rejectLogInterval is the shortest time between two lines about rejected spans.
const rejectLogInterval = 10 * time.Second

// rejectLog writes one line about many rejected spans: at once about the first, then, as long as more come, in intervals.
type rejectLog struct {
	logger *zap.Logger

	mu     sync.Mutex  // guards the fields below; taken only by requests with rejected spans
	timer  *time.Timer // ends the interval since the last line; nil without one
	since  rejections  // not written yet
	closed bool
}

func (l *rejectLog) note(r *rejections) {
	if r.total() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range r {
		l.since[i] += n
	}
	if l.timer == nil && !l.closed {
		l.writeLocked()
		l.timer = time.AfterFunc(rejectLogInterval, l.endInterval)
	}
}

func (l *rejectLog) endInterval() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.since.total() == 0 {
		l.timer = nil
		return
	}
	l.writeLocked()
	l.timer.Reset(rejectLogInterval)
}

// close writes what is left.
func (l *rejectLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.since.total() > 0 {
		l.writeLocked()
	}
}

func (l *rejectLog) writeLocked() {
	fields := make([]zap.Field, 0, rejectedReasons)
	for i, n := range l.since {
		if n > 0 {
			fields = append(fields, zap.Int(rejectedNames[i], n))
		}
	}
	l.since = rejections{}
	l.logger.Warn("spans that cannot be assembled were rejected", fields...)
}
