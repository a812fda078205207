package tracesourcesreceiver

import (
	"sync"
	"time"
)

// bucket bounds spans a second. It lets a request pass while it is not in debt, whatever the size of the request, and pays the debt off
// over time: so in the long run the rate is kept, and a request of more spans than a second has is not refused for ever, as it would be by
// golang.org/x/time/rate.
type bucket struct {
	mu    sync.Mutex // guards the fields below
	rate  float64    // 0 is no bound
	level float64    // at most a second's worth; below 0 is debt
	at    time.Time
}

// set changes the rate. What is owed stays owed.
func (b *bucket) set(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = float64(rate)
	b.level = min(b.level, b.rate)
}

// take says whether n spans may pass.
func (b *bucket) take(now time.Time, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return true
	}
	if b.at.IsZero() {
		b.level = b.rate
	} else {
		b.level = min(b.level+b.rate*max(0, now.Sub(b.at).Seconds()), b.rate)
	}
	b.at = now
	if b.level <= 0 {
		return false
	}
	b.level -= float64(n)
	return true
}
