package goruntimeextension

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// headroom is by how much the heap may grow before garbage is collected. What a collection costs grows with what is live, and how often
// there is one falls with the headroom; the least of memory and time together is at a headroom that grows more slowly than what is
// live, as its square root where all else is equal (Kirisame et al., Optimal heap limits for reducing browser memory use, OOPSLA 2022).
// Of a large heap of ours a smaller part has to be looked through, for the bytes of spans that wait have no pointers. So: a share
// of what is live, up to a bound, from which on it is a smaller share.
type headroom struct {
	percent, minPercent int    // of what is live
	most                uint64 // bytes; 0 for no bound
}

// gcPercent is the headroom in percent of what is live, as debug.SetGCPercent wants it. It never rises with what is live.
func (h headroom) gcPercent(live uint64) int {
	if h.most == 0 || live == 0 {
		return h.percent
	}
	return max(min(h.percent, int(h.most/max(1, live/100))), min(h.percent, h.minPercent))
}

// liveHeap is what the last collection left.
const liveHeap = "/gc/heap/live:bytes"

// gcTuner sets the headroom anew after each collection, for the next one. Go has no way to be told of one but a finalizer: that of an object
// which nothing points to is called after the next collection, and makes another such object.
type gcTuner struct {
	headroom headroom
	live     [1]metrics.Sample // guarded by mu

	mu     sync.Mutex
	before int // what is set back
	set    int // the last one
	done   bool
}

// startTuner sets the headroom, and keeps setting it until stop.
func startTuner(h headroom) *gcTuner {
	t := &gcTuner{headroom: h, live: [1]metrics.Sample{{Name: liveHeap}}}
	t.before = debug.SetGCPercent(h.percent)
	t.set = h.percent
	t.watch()
	return t
}

// collection dies with the next one. It has a pointer, so that it does not share its place in memory with others, which would keep it alive.
type collection struct{ tuner *gcTuner }

func (t *gcTuner) watch() {
	runtime.SetFinalizer(&collection{t}, func(c *collection) {
		if c.tuner.tune() {
			c.tuner.watch()
		}
	})
}

// tune says whether to go on.
func (t *gcTuner) tune() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false
	}
	metrics.Read(t.live[:])
	if t.live[0].Value.Kind() != metrics.KindUint64 {
		return false // not of this Go: the share stays
	}
	if percent := t.headroom.gcPercent(t.live[0].Value.Uint64()); percent != t.set {
		debug.SetGCPercent(percent)
		t.set = percent
	}
	return true
}

// stop sets back what was before.
func (t *gcTuner) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = true
	debug.SetGCPercent(t.before)
}
