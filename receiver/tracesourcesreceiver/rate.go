package tracesourcesreceiver

import "time"

// rateSeconds is over how many seconds a rate is the mean.
const rateSeconds = 60

// rate counts by the second. The zero value has counted nothing. It is for one goroutine at a time.
type rate struct {
	counts [rateSeconds]int64 // by second modulo rateSeconds
	last   int64              // the second that was counted last
	first  int64              // and first
}

// advance forgets what lies before the last rateSeconds.
func (r *rate) advance(now time.Time) int64 {
	second := now.Unix()
	if r.first == 0 {
		r.first, r.last = second, second
	}
	for s := max(r.last+1, second-rateSeconds+1); s <= second; s++ {
		r.counts[s%rateSeconds] = 0
	}
	r.last = max(r.last, second)
	return second
}

func (r *rate) add(now time.Time, n int) {
	second := r.advance(now)
	if second > r.last-rateSeconds { // the clock may have been set back
		r.counts[second%rateSeconds] += int64(n)
	}
}

// perSecond is the mean over the last minute, or over the time since the first count where that is shorter.
func (r *rate) perSecond(now time.Time) float64 {
	second := r.advance(now)
	sum := int64(0)
	for _, n := range r.counts {
		sum += n
	}
	return float64(sum) / float64(max(1, min(rateSeconds, second-r.first+1)))
}
