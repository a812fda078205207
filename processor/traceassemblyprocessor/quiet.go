package traceassemblyprocessor

import (
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

const (
	// quietQuantile of the traces have no longer gap than the quiet period.
	quietQuantile = 0.99
	// quietYoung is the number of traces below which a sketch says nothing: the 99th percentile needs some.
	quietYoung = 100
	// quietWatch is how many times as long as its period a sketch must have been fed before it is believed.
	quietWatch = 2
	// quietEntries bounds the entry operations that are learned; the least used ones go first.
	quietEntries = 1024
	// quietHalfLife is how often what was learned counts for half.
	quietHalfLife = time.Minute
	// quietRefresh is the number of gaps after which a quantile is computed again.
	quietRefresh = 64

	quietAccuracy = 0.05
	quietBins     = 256

	// A period is widened by widenBy when more than lateTolerated of the traces, of widenAfter at least, were ended by it and then got
	// late spans, up to maxWidening; it is narrowed by narrowBy, down to what the sketch says, when none of narrowAfter did.
	widenBy       = 1.5
	maxWidening   = 8
	narrowBy      = 0.8
	widenAfter    = 20
	narrowAfter   = 200
	lateTolerated = 0.01
	lateForget    = 2000 // traces
)

// quietPeriods learns how long a trace that lacks something stays without spans before it gets what it lacks, for each entry operation
// and for all. Each trace counts once, with its longest such gap, so that the quantile is the share of traces that the period
// holds long enough.
type quietPeriods struct {
	min, max time.Duration
	all      *gaps
	entries  map[operation]*gaps
	limit    int // of entries
	decayAt  time.Duration
}

func newQuietPeriods(cfg QuietConfig) *quietPeriods {
	return &quietPeriods{
		min: cfg.Min, max: cfg.Max, all: newGaps(0), entries: make(map[operation]*gaps), limit: quietEntries, decayAt: quietHalfLife,
	}
}

// released learns from a trace and its longest gap; entry is the zero operation where it is unknown.
func (q *quietPeriods) released(entry operation, longest, now time.Duration) {
	if now >= q.decayAt {
		q.decay(now)
	}
	if q.all.empty() {
		q.all.since = now
	}
	q.all.add(longest)
	if entry == (operation{}) {
		return
	}
	g := q.entries[entry]
	if g == nil {
		if len(q.entries) >= q.limit {
			q.evict()
		}
		g = newGaps(now)
		q.entries[entry] = g
	}
	g.add(longest)
}

// late learns from a trace that the quiet period ended and that got spans later, after a gap. Where max would not have held it
// either, that says nothing.
func (q *quietPeriods) late(entry operation, gap time.Duration) {
	if gap > q.max {
		return
	}
	q.all.late(gap)
	if g := q.entries[entry]; g != nil {
		g.late(gap)
	}
}

// period is the quiet period of a trace with this entry.
func (q *quietPeriods) period(entry operation, now time.Duration) time.Duration {
	for _, g := range [...]*gaps{q.entries[entry], q.all} {
		if period, ok := q.known(g, now); ok {
			return period
		}
	}
	return q.max
}

// young says whether the quiet period is max for want of knowledge.
func (q *quietPeriods) young(entry operation, now time.Duration) bool {
	_, of := q.known(q.entries[entry], now)
	_, all := q.known(q.all, now)
	return !of && !all
}

// known is what a sketch says, once it has seen traffic for some times as long: traces without long gaps are released first.
func (q *quietPeriods) known(g *gaps, now time.Duration) (time.Duration, bool) {
	if g == nil {
		return 0, false
	}
	period, ok := g.period()
	period = min(max(period, q.min), q.max)
	return period, ok && now-g.since >= min(quietWatch*period, q.max)
}

// evict forgets the least used of a few entries.
func (q *quietPeriods) evict() {
	var least operation
	count := -1.0
	n := 0
	for entry, g := range q.entries { // begins anywhere
		if c := g.sketch.GetCount(); count < 0 || c < count {
			least, count = entry, c
		}
		if n++; n == evictionSample {
			break
		}
	}
	delete(q.entries, least)
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
	sketch   *ddsketch.DDSketch
	since    time.Duration // of the first gap
	fresh    int           // gaps since value was computed
	value    time.Duration
	widening float64
	// Since widening was last judged: traces, and how many of them got late spans.
	traces, lates int
}

func newGaps(since time.Duration) *gaps {
	// The arguments are constants, and right.
	sketch, _ := ddsketch.LogCollapsingLowestDenseDDSketch(quietAccuracy, quietBins)
	return &gaps{sketch: sketch, since: since, fresh: quietRefresh, widening: 1}
}

func (g *gaps) empty() bool { return g.sketch.IsEmpty() }

func (g *gaps) add(gap time.Duration) {
	g.learn(gap)
	g.traces++
	switch {
	case g.lates == 0 && g.traces >= narrowAfter:
		g.widen(max(1, g.widening*narrowBy))
	case g.traces >= lateForget:
		g.traces, g.lates = 0, 0
	}
}

func (g *gaps) late(gap time.Duration) {
	g.learn(gap)
	g.lates++
	if g.lates > 1 && g.traces >= widenAfter && float64(g.lates) > lateTolerated*float64(g.traces) {
		g.widen(min(maxWidening, g.widening*widenBy))
	}
}

func (g *gaps) learn(gap time.Duration) {
	// A gap that is no number or too large for the sketch does not occur: gap is a duration, cut at zero.
	_ = g.sketch.Add(max(gap, 0).Seconds())
	g.fresh++
}

func (g *gaps) widen(to float64) {
	g.widening, g.traces, g.lates = to, 0, 0
	g.fresh = quietRefresh
}

// period is the quantile, once there are enough gaps.
func (g *gaps) period() (time.Duration, bool) {
	if g.fresh >= quietRefresh {
		g.fresh, g.value = 0, 0
		if g.sketch.GetCount() >= quietYoung {
			seconds, err := g.sketch.GetValueAtQuantile(quietQuantile)
			if err == nil {
				g.value = max(time.Duration(g.widening*seconds*float64(time.Second)), 1)
			}
		} else {
			g.fresh = quietRefresh
		}
	}
	return g.value, g.value > 0
}

func (g *gaps) fade(factor float64) {
	g.fresh = quietRefresh
	// Reweight refuses only factors that are not positive.
	_ = g.sketch.Reweight(factor)
}
