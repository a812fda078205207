package rollup

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// minUsual is how many traces say how long an entry usually takes.
	minUsual = 20
	// usualQuantile of the traces are not slow.
	usualQuantile = 0.95
	// maxUsualHours bounds how many hours of tenants are remembered.
	maxUsualHours = 256
	// usualTimeout bounds reading an hour: a call waits for it.
	usualTimeout = 2 * time.Second
)

// Usual says above which duration a trace is slow: the p95 of its entry in the closed hour before. It reads an hour when the first
// call of the next one asks, and remembers it. It is safe for concurrent use.
type Usual struct {
	read Reader

	mu    sync.Mutex // guards hours
	hours map[usualHour]func() map[tracestore.Operation]int64
}

type usualHour struct {
	tenant string
	hour   uint32
}

// NewUsual reads the entries of earlier hours with the reader.
func NewUsual(read Reader) *Usual {
	return &Usual{read: read, hours: make(map[usualHour]func() map[tracestore.Operation]int64)}
}

// before answers, for a minute, the longest durations that are not slow, in nanoseconds, by entry. What cannot be read is not known
// for the whole hour: no call waits for a broken disk twice.
func (u *Usual) before(tenant string, minute uint32) map[tracestore.Operation]int64 {
	at := usualHour{tenant, minute / 60}
	u.mu.Lock()
	load, known := u.hours[at]
	if !known {
		if len(u.hours) >= maxUsualHours {
			clear(u.hours)
		}
		load = sync.OnceValue(func() map[tracestore.Operation]int64 { return u.load(at) })
		u.hours[at] = load
	}
	u.mu.Unlock()
	return load()
}

func (u *Usual) load(at usualHour) map[tracestore.Operation]int64 {
	ctx, cancel := context.WithTimeout(context.Background(), usualTimeout)
	defer cancel()
	end := minuteStart(at.hour * 60)
	usual := make(map[tracestore.Operation]int64)
	for entry, err := range u.read.Entries(ctx, at.tenant, &tracestore.AggregateQuery{Start: end.Add(-time.Hour), End: end}) {
		if err != nil {
			return nil
		}
		if entry.Traces < minUsual || entry.Durations == nil {
			continue
		}
		if p95, err := entry.Durations.GetValueAtQuantile(usualQuantile); err == nil {
			// The end of the sketch's bin: a trace that takes as long as all others is not slow.
			usual[entry.Operation] = int64(min(math.Ceil(p95/(1-relativeAccuracy)), math.MaxInt64/2))
		}
	}
	return usual
}
