// Package journeys follows customers over several requests: which they make one after the other, how many come to the next, and how long it takes.
package journeys

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// Visit is one request: a trace.
type Visit struct {
	TraceID string
	// Session and User are session.id and user.id, empty where the trace has none. Links are the ids of traces that it links to.
	Session, User string
	Links         []string
	// Service and Operation are the entry's.
	Service, Operation string
	// Start is Unix nanoseconds, Duration nanoseconds.
	Start, Duration int64
	Failed          bool
}

// Step is one kind of request on a journey.
type Step struct{ Service, Operation string }

func (v *Visit) step() Step { return Step{v.Service, v.Operation} }

// MaxVisits is how many visits are looked at, the first ones.
const MaxVisits = 10_000

// away is for how long a user without a session may do nothing before what comes next is another journey, as web analytics have it.
const away = 30 * time.Minute

// Group puts the visits of each journey together, in their order, the journeys by their first visit. Visits belong together that have the same
// session; without a session, the same user and no more than half an hour between the end of one and the start of the next; and those that a link
// connects. The visits stay the caller's and are not changed.
func Group(visits []Visit) [][]*Visit {
	visits = visits[:min(len(visits), MaxVisits)]
	order := make([]*Visit, len(visits))
	for i := range visits {
		order[i] = &visits[i]
	}
	slices.SortFunc(order, func(a, b *Visit) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.TraceID, b.TraceID)) })
	sets := newSets(len(order))
	sessions, users, traces := make(map[string]int), make(map[string]int), make(map[string]int)
	for i, v := range order {
		traces[v.TraceID] = i
		if v.Session != "" {
			if last, ok := sessions[v.Session]; ok {
				sets.join(last, i)
			}
			sessions[v.Session] = i
		} else if v.User != "" {
			if last, ok := users[v.User]; ok && order[i].Start-order[last].Start-order[last].Duration <= int64(away) {
				sets.join(last, i)
			}
			users[v.User] = i
		}
	}
	for i, v := range order {
		for _, link := range v.Links {
			if other, ok := traces[link]; ok {
				sets.join(other, i)
			}
		}
	}
	at := make(map[int]int)
	var journeys [][]*Visit
	for i, v := range order {
		root := sets.find(i)
		if _, ok := at[root]; !ok {
			at[root] = len(journeys)
			journeys = append(journeys, nil)
		}
		journeys[at[root]] = append(journeys[at[root]], v)
	}
	return journeys
}

// sets are disjoint, as in union-find.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) find(i int) int {
	for s[i] != i {
		s[i] = s[s[i]] // halve the way for the next
		i = s[i]
	}
	return i
}

func (s sets) join(i, j int) {
	i, j = s.find(i), s.find(j)
	s[max(i, j)] = min(i, j)
}

// StepStatistics are of one step of a funnel. Times are nanoseconds, of journeys that came to the step.
type StepStatistics struct {
	Step

	// Reached counts journeys; Failed those whose request there failed.
	Reached, Failed int
	// Conversion is the share of those that reached the step before, 1 for the first step.
	Conversion float64
	// P50 and P95 are of the request; P50Since and P95Since of the time from the start of the step before to the start of this one.
	P50, P95, P50Since, P95Since int64
}

// Funnel is a journey of given steps.
type Funnel struct {
	// Journeys counts those that begin with the first step.
	Journeys int
	// Conversion is the share of them that reach the last step.
	Conversion float64
	// P50 and P95 are from the start of the first step to the end of the last, of those that reach it.
	P50, P95 int64
	Steps    []StepStatistics

	times []stepTimes // by step
}

// stepTimes are of the logarithms of times.
type stepTimes struct{ request, since statistics.Moments }

// Follow looks how far journeys come on the steps, in their order; other requests may lie between. A step counts the first time, after the step
// before it began.
func Follow(journeys [][]*Visit, steps []Step) Funnel {
	f := Funnel{Steps: make([]StepStatistics, len(steps)), times: make([]stepTimes, len(steps))}
	took, since := make([][]int64, len(steps)), make([][]int64, len(steps))
	var all []int64
	for _, journey := range journeys {
		next := 0
		var first, last *Visit
		for _, v := range journey {
			if next == len(steps) || v.step() != steps[next] {
				continue
			}
			s := &f.Steps[next]
			s.Reached++
			if v.Failed {
				s.Failed++
			}
			took[next] = append(took[next], v.Duration)
			f.times[next].request.Add(math.Log(float64(max(v.Duration, 1))))
			if last != nil {
				since[next] = append(since[next], v.Start-last.Start)
				f.times[next].since.Add(math.Log(float64(max(v.Start-last.Start, 1))))
			} else {
				first = v
			}
			last = v
			next++
		}
		if next == len(steps) && next > 0 {
			all = append(all, last.Start+last.Duration-first.Start)
		}
	}
	for i := range f.Steps {
		s := &f.Steps[i]
		s.Step = steps[i]
		s.P50, s.P95 = quantiles(took[i])
		s.P50Since, s.P95Since = quantiles(since[i])
		if i == 0 {
			f.Journeys = s.Reached
			s.Conversion = ratio(s.Reached, s.Reached)
		} else {
			s.Conversion = ratio(s.Reached, f.Steps[i-1].Reached)
		}
	}
	f.P50, f.P95 = quantiles(all)
	f.Conversion = ratio(len(all), f.Journeys)
	return f
}

func quantiles(numbers []int64) (p50, p95 int64) {
	slices.Sort(numbers)
	return statistics.Quantile(numbers, 0.5), statistics.Quantile(numbers, 0.95)
}

func ratio(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// Route is a sequence of steps that journeys take.
type Route struct {
	Steps []Step
	Count int
}

// maxRoute is how many steps of a journey make its route.
const maxRoute = 10

// Routes are the commonest sequences of at least two steps, at most limit, of equals the shorter, then by name. The same request again and again is one
// step.
func Routes(journeys [][]*Visit, limit int) []Route {
	found := make(map[string]*Route)
	for _, journey := range journeys {
		var steps []Step
		for _, v := range journey {
			if len(steps) < maxRoute && (len(steps) == 0 || steps[len(steps)-1] != v.step()) {
				steps = append(steps, v.step())
			}
		}
		if len(steps) < 2 {
			continue
		}
		name := routeName(steps)
		if found[name] == nil {
			found[name] = &Route{Steps: steps}
		}
		found[name].Count++
	}
	routes := make([]Route, 0, len(found))
	for _, r := range found {
		routes = append(routes, *r)
	}
	slices.SortFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(len(a.Steps), len(b.Steps)), cmp.Compare(routeName(a.Steps), routeName(b.Steps)))
	})
	return routes[:min(len(routes), max(0, limit))]
}

func routeName(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.Service)
		b.WriteByte(0)
		b.WriteString(s.Operation)
		b.WriteByte(0)
	}
	return b.String()
}
