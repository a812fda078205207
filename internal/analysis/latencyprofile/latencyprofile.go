// Package latencyprofile says what the latency of an entry operation is made of, and which part of it explains a change. The critical paths of
// whole traces add up to how long their requests took, so the mean latency of an entry is the sum over services and operations of their time on
// critical paths, divided by the number of traces.
package latencyprofile

import (
	"cmp"
	"math"
	"slices"
)

// Row is what one operation did for the requests of the entry in a window.
type Row struct {
	Service, Operation string
	Calls              int64
	// PathTime is its time on critical paths, nanoseconds.
	PathTime int64
}

// Window is the entry in a window. Traces counts those whose critical path is known; rows that stand twice add up. What is negative counts as 0.
type Window struct {
	Traces int64
	Rows   []Row
}

// Part is what one operation contributes to the mean latency of a request. Times are nanoseconds a request.
type Part struct {
	Service, Operation string
	Now, Before        float64
	// Share is its part of the latency now, 0 to 1.
	Share float64
	// Calls are calls a request.
	CallsNow, CallsBefore float64
	// Change is Now − Before, and made of two: ByCalls, because it is called more or less often, and ByTime, because a call holds up the request
	// for longer or shorter.
	Change, ByCalls, ByTime float64
}

// Profile is the mean latency of an entry, taken apart.
type Profile struct {
	// Now and Before are the mean latency in nanoseconds, Change the difference: the sums over Parts.
	Now, Before, Change float64
	// Parts are sorted by Now, the largest first, of equals by name.
	Parts []Part
}

type name struct{ service, operation string }

// New takes the latency of a window apart, and what changed since the window before. A window without traces is one in which nothing took time.
func New(now, before Window) Profile {
	parts := make(map[name]*Part)
	part := func(r Row) *Part {
		p := parts[name{r.Service, r.Operation}]
		if p == nil {
			p = &Part{Service: r.Service, Operation: r.Operation}
			parts[name{r.Service, r.Operation}] = p
		}
		return p
	}
	if now.Traces > 0 {
		for _, r := range now.Rows {
			p := part(r)
			p.Now += perTrace(r.PathTime, now.Traces)
			p.CallsNow += perTrace(r.Calls, now.Traces)
		}
	}
	if before.Traces > 0 {
		for _, r := range before.Rows {
			p := part(r)
			p.Before += perTrace(r.PathTime, before.Traces)
			p.CallsBefore += perTrace(r.Calls, before.Traces)
		}
	}
	var profile Profile
	for _, p := range parts {
		profile.Parts = append(profile.Parts, *p)
	}
	slices.SortFunc(profile.Parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(b.Now, a.Now), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	for i := range profile.Parts {
		p := &profile.Parts[i]
		p.explain()
		profile.Now += p.Now
		profile.Before += p.Before
		profile.Change += p.Change
	}
	for i := range profile.Parts {
		if profile.Now > 0 {
			profile.Parts[i].Share = profile.Parts[i].Now / profile.Now
		}
	}
	return profile
}

func perTrace(sum, traces int64) float64 { return float64(max(0, sum)) / float64(traces) }

// explain splits the change: of a product of two factors, each explains its own difference times the mean of the other (Shapley's value for two),
// so that nothing is left over and neither goes first.
func (p *Part) explain() {
	p.Change = p.Now - p.Before
	var now, before float64 // a call's time
	if p.CallsNow > 0 {
		now = p.Now / p.CallsNow
	}
	if p.CallsBefore > 0 {
		before = p.Before / p.CallsBefore
	}
	switch {
	case p.CallsNow <= 0 && p.CallsBefore <= 0: // time without calls: they were counted elsewhere
		p.ByTime = p.Change
	case p.CallsNow <= 0 || p.CallsBefore <= 0: // it came or went
		p.ByCalls = p.Change
	default:
		p.ByCalls = (p.CallsNow - p.CallsBefore) * (now + before) / 2
		p.ByTime = p.Change - p.ByCalls
	}
}

// ByService adds up the parts of each service, the operations left empty, in the order of Parts.
func (p *Profile) ByService() []Part {
	sums := make(map[string]*Part)
	for i := range p.Parts {
		of := &p.Parts[i]
		s := sums[of.Service]
		if s == nil {
			s = &Part{Service: of.Service}
			sums[of.Service] = s
		}
		s.Now += of.Now
		s.Before += of.Before
		s.Share += of.Share
		s.CallsNow += of.CallsNow
		s.CallsBefore += of.CallsBefore
		s.Change += of.Change
		s.ByCalls += of.ByCalls
		s.ByTime += of.ByTime
	}
	parts := make([]Part, 0, len(sums))
	for _, s := range sums {
		parts = append(parts, *s)
	}
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(b.Now, a.Now), cmp.Compare(a.Service, b.Service))
	})
	return parts
}

// Explaining are the fewest parts that together explain at least the share of the change, the largest first: those that changed the same way. Nil where
// nothing changed.
func (p *Profile) Explaining(share float64) []Part {
	parts := slices.Clone(p.Parts)
	sign := math.Copysign(1, p.Change)
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(
			cmp.Compare(sign*b.Change, sign*a.Change), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation),
		)
	})
	sum := 0.0
	for i := range parts {
		if sum >= share*sign*p.Change || sign*parts[i].Change <= 0 {
			return parts[:i:i]
		}
		sum += sign * parts[i].Change
	}
	return parts
}
