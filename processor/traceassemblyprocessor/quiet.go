package traceassemblyprocessor

import (
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

const (
	// quietQuantile of the gaps between arrivals is the quiet period.
	quietQuantile = 0.99
	// quietYoung is the number of gaps below which a sketch says nothing: the 99th percentile needs some.
	quietYoung = 200
	// quietEntries bounds the entry operations that are learned; others use the sketch of all.
	quietEntries = 1024
	// quietHalfLife is how often what was learned counts for half.
	quietHalfLife = time.Minute
	// quietRefresh is the number of gaps after which a quantile is computed again.
	quietRefresh = 64

	quietAccuracy = 0.05
	quietBins     = 256
)

// quietPeriods learns how long the spans of a trace stay away between two arrivals, for each entry operation and for all. The
// gap before a late span counts too, so that a period which proves too short grows.
type quietPeriods struct {
	min, max time.Duration
	all      *gaps
	entries  map[operation]*gaps
	decayAt  time.Duration
}

func newQuietPeriods(cfg QuietConfig) *quietPeriods {
	return &quietPeriods{min: cfg.Min, max: cfg.Max, all: newGaps(), entries: make(map[operation]*gaps), decayAt: quietHalfLife}
}

// observe learns a gap; entry is the zero operation while it is unknown.
func (q *quietPeriods) observe(entry operation, gap, now time.Duration) {
	if now >= q.decayAt {
		q.decay(now)
	}
	q.all.add(gap)
	if entry == (operation{}) {
		return
	}
	g := q.entries[entry]
	if g == nil {
		if len(q.entries) >= quietEntries {
			return
		}
		g = newGaps()
		q.entries[entry] = g
	}
	g.add(gap)
}

// period is the quiet period of a trace with this entry.
func (q *quietPeriods) period(entry operation) time.Duration {
	if g := q.entries[entry]; g != nil {
		if period, ok := g.period(); ok {
			return min(max(period, q.min), q.max)
		}
	}
	if period, ok := q.all.period(); ok {
		return min(max(period, q.min), q.max)
	}
	return q.max
}

// decay halves what was learned once for every half-life that has passed, and forgets what has faded.
func (q *quietPeriods) decay(now time.Duration) {
	factor := 1.0
	for ; q.decayAt <= now; q.decayAt += quietHalfLife {
		factor /= 2
		if factor < 1e-6 { // nothing came for a long time
			q.decayAt = now
		}
	}
	q.all.fade(factor)
	for entry, g := range q.entries {
		if g.fade(factor); g.sketch.GetCount() < 1 {
			delete(q.entries, entry)
		}
	}
}

// gaps is a sketch of gaps in seconds, with its quantile kept at hand.
type gaps struct {
	sketch *ddsketch.DDSketch
	fresh  int // gaps since value was computed
	value  time.Duration
	known  bool
}

func newGaps() *gaps {
	// The arguments are constants, and right.
	sketch, _ := ddsketch.LogCollapsingLowestDenseDDSketch(quietAccuracy, quietBins)
	return &gaps{sketch: sketch, fresh: quietRefresh}
}

func (g *gaps) add(gap time.Duration) {
	// A gap that is no number or too large for the sketch does not occur: gap is a duration, cut at zero.
	_ = g.sketch.Add(max(gap, 0).Seconds())
	g.fresh++
}

// period is the quantile, once there are enough gaps.
func (g *gaps) period() (time.Duration, bool) {
	if g.fresh >= quietRefresh {
		g.fresh = 0
		g.known = false
		if g.sketch.GetCount() >= quietYoung {
			seconds, err := g.sketch.GetValueAtQuantile(quietQuantile)
			g.value, g.known = time.Duration(seconds*float64(time.Second)), err == nil
		}
	}
	return g.value, g.known
}

func (g *gaps) fade(factor float64) {
	g.fresh = quietRefresh
	// Reweight refuses only factors that are not positive.
	_ = g.sketch.Reweight(factor)
}
