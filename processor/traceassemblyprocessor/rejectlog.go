package traceassemblyprocessor

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// rejectLogInterval is the shortest time between two lines about rejected spans.
const rejectLogInterval = 10 * time.Second

// rejectLog writes one line about many rejected spans.
type rejectLog struct {
	logger *zap.Logger
	now    func() time.Duration

	mu    sync.Mutex // guards the fields below; taken only by requests with rejected spans
	next  time.Duration
	since rejections
}

func (l *rejectLog) note(r *rejections) {
	if r.total() == 0 {
		return
	}
	l.mu.Lock()
	for i, n := range r {
		l.since[i] += n
	}
	now := l.now()
	since, quiet := l.since, now < l.next
	if !quiet {
		l.since, l.next = rejections{}, now+rejectLogInterval
	}
	l.mu.Unlock()
	if quiet {
		return
	}
	fields := make([]zap.Field, 0, rejectedReasons)
	for i, n := range since {
		if n > 0 {
			fields = append(fields, zap.Int(rejectedNames[i], n))
		}
	}
	l.logger.Warn("spans that cannot be assembled were rejected", fields...)
}
