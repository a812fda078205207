package analysis

import "math"

// WhatIf is how long the request would take, in nanoseconds, if the own time of every span of the operation took factor times as long: 0.5 for
// twice as fast, 0 for no time at all. docs/analysis.md defines the model, which is that of Leeways: a span's own time is that in which it
// holds up itself, on the critical path of the request or, beside it, on its own. A factor that is negative or no number counts as 1, and a
// result is at most what int64 holds. service and operation are the names that aggregates use. It takes O(n log n) time and changes nothing.
func (r *Result) WhatIf(service, operation string, factor float64) int64 {
	if r.Tree.Entry < 0 {
		return 0
	}
	if !(factor >= 0) {
		factor = 1
	}
	l := leeways{walker: pathWalker{tree: r.Tree}}
	entry := &r.Tree.Nodes[r.Tree.Entry]
	frames := []leewayFrame{{pathChild: pathChild{r.Tree.Entry, entry.Start, entry.End}}}
	for at := 0; at < len(frames); at++ { // parents before children
		l.children(frames[at])
		for i := range l.calls {
			frames = append(frames, leewayFrame{pathChild: l.calls[i].pathChild})
		}
	}
	scale := func(t int64) int64 { return scaled(t, factor) }
	same := func(t int64) int64 { return t }
	took := make([]int64, len(r.Tree.Nodes))
	for at := len(frames) - 1; at >= 0; at-- { // children before parents
		f, own := frames[at], same
		if s := &r.Spans[f.span]; s.Service == service && s.Operation == operation {
			own = scale
		}
		l.children(f)
		last := l.slacks(f.start)
		l.followPath(f)
		took[f.span] = l.timedAnew(f, last, func(c *sibling) int64 { return took[c.span] }, own)
	}
	return took[r.Tree.Entry]
}

// scaled is a time, not negative, times a factor, not negative: exact for 0 and 1, and at most what int64 holds.
func scaled(t int64, factor float64) int64 {
	if factor == 1 || t == 0 {
		return t
	}
	s := math.Round(float64(t) * factor)
	if s >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(s)
}
