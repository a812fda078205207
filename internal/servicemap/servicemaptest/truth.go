package servicemaptest

import (
	"maps"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// Truth is what a reader should see, counted in the plainest way from what the shop did.
type Truth struct{ visits []visit }

type visit struct {
	tenant, environment string
	releasedAt          time.Time
	*shop.Visit
}

// in are the visits of a window.
func (t *Truth) in(tenant string, w *servicemap.Window) (visits []visit) {
	start, end := w.Start.Truncate(time.Minute), w.End.Add(time.Minute-1).Truncate(time.Minute)
	for _, v := range t.visits {
		if v.tenant == tenant && (w.Environment == nil || v.environment == *w.Environment) && !v.releasedAt.Before(start) && v.releasedAt.Before(end) {
			visits = append(visits, v)
		}
	}
	return visits
}

// Map is what Reader.Map should answer, but for the window.
func (t *Truth) Map(tenant string, w *servicemap.Window) *servicemap.Map {
	services, edges := make(map[string]servicemap.Service), make(map[servicemap.Edge]servicemap.Edge)
	for _, v := range t.in(tenant, w) {
		answered := make([]bool, len(v.Spans))
		for i := range v.Spans {
			s := &v.Spans[i]
			service := services[nameOf(s)]
			service.Name = nameOf(s)
			if s.Kind == shop.Server || s.Kind == shop.Consumer {
				service.Calls, service.Errors = service.Calls+1, service.Errors+failures(s)
			}
			services[service.Name] = service
			if s.Parent >= 0 && v.Spans[s.Parent].Service != s.Service {
				answered[s.Parent] = true
				count(edges, servicemap.Edge{Parent: nameOf(&v.Spans[s.Parent]), Child: nameOf(s), ChildKind: conventions.KindService, Protocol: s.Protocol}, s)
			}
		}
		for i := range v.Spans {
			s := &v.Spans[i]
			if peer, kind := s.Target(); !answered[i] && (s.Kind == shop.Client || s.Kind == shop.Producer) {
				count(edges, servicemap.Edge{Parent: nameOf(s), Child: peer, ChildKind: string(kind), Protocol: s.Protocol}, s)
			}
		}
	}
	m := &servicemap.Map{Services: slices.Collect(maps.Values(services)), Edges: slices.Collect(maps.Values(edges))}
	m.Sort()
	return m
}

func count(edges map[servicemap.Edge]servicemap.Edge, key servicemap.Edge, s *shop.Span) {
	e := key
	e.Calls, e.Errors = edges[key].Calls+1, edges[key].Errors+failures(s)
	edges[key] = e
}

func nameOf(s *shop.Span) string { return shop.Services()[s.Service].Name }

func failures(s *shop.Span) int64 {
	if s.Failed {
		return 1
	}
	return 0
}

// passed is in how many traces of an entry there is a span of the service, and how many traces the entry has.
type passed struct{ through, all int64 }

func (t *Truth) radius(tenant string, w *servicemap.Window, service string) map[blastradius.Entry]passed {
	entries := make(map[blastradius.Entry]passed)
	for _, v := range t.in(tenant, w) {
		for i := range v.Traces {
			root := &v.Spans[v.Traces[i].Root]
			entry := blastradius.Entry{Service: nameOf(root), Operation: root.Name}
			p := entries[entry]
			p.all++
			if slices.ContainsFunc(v.Spans, func(s shop.Span) bool { return s.Trace == i && nameOf(&s) == service }) {
				p.through++
			}
			entries[entry] = p
		}
	}
	maps.DeleteFunc(entries, func(_ blastradius.Entry, p passed) bool { return p.through == 0 })
	return entries
}

// pairs says who calls whom.
func pairs(m *servicemap.Map) map[string]map[string]bool {
	calls := make(map[string]map[string]bool)
	for _, e := range m.Edges {
		if calls[e.Parent] == nil {
			calls[e.Parent] = make(map[string]bool)
		}
		calls[e.Parent][e.Child] = true
	}
	return calls
}

func reversed(calls map[string]map[string]bool) map[string]map[string]bool {
	callers := make(map[string]map[string]bool)
	for from, to := range calls {
		for name := range to {
			if callers[name] == nil {
				callers[name] = make(map[string]bool)
			}
			callers[name][from] = true
		}
	}
	return callers
}

// around are the nodes that calls of the service reach by at most depth steps; -1 for any number. without is not passed.
func around(calls map[string]map[string]bool, service string, depth int, without string) []servicegraph.Neighbour {
	distance := map[string]int{service: 0}
	for step := 1; depth < 0 || step <= depth; step++ {
		found := false
		for from, d := range maps.Clone(distance) {
			for to := range calls[from] {
				if _, known := distance[to]; d == step-1 && !known && to != without {
					distance[to], found = step, true
				}
			}
		}
		if !found {
			break
		}
	}
	delete(distance, service)
	var list []servicegraph.Neighbour
	for name, d := range distance {
		list = append(list, servicegraph.Neighbour{Service: name, Distance: d})
	}
	servicegraph.SortNeighbours(list)
	return list
}

// circles are the groups of those that reach one another.
func circles(calls map[string]map[string]bool) (groups [][]string) {
	reaches := func(from, to string) bool {
		return slices.ContainsFunc(around(calls, from, -1, ""), func(n servicegraph.Neighbour) bool { return n.Service == to })
	}
	grouped := make(map[string]bool)
	for _, from := range slices.Sorted(maps.Keys(calls)) {
		if grouped[from] {
			continue
		}
		group := []string{from}
		for _, n := range around(calls, from, -1, "") {
			if reaches(n.Service, from) {
				group = append(group, n.Service)
			}
		}
		slices.Sort(group)
		for _, name := range group {
			grouped[name] = true
		}
		if len(group) > 1 || calls[from][from] {
			groups = append(groups, group)
		}
	}
	slices.SortFunc(groups, func(a, b []string) int { return slices.Compare(a, b) })
	return groups
}

// cutOff counts the nodes that nobody reaches from a node that is called by none, without the service.
func cutOff(calls map[string]map[string]bool, service string) int {
	reached := func(without string) map[string]bool {
		seen := make(map[string]bool)
		callers := reversed(calls)
		for from := range calls {
			if len(callers[from]) == 0 && from != without {
				seen[from] = true
				for _, n := range around(calls, from, -1, without) {
					seen[n.Service] = true
				}
			}
		}
		return seen
	}
	lost := len(reached("")) - len(reached(service))
	if reached("")[service] {
		lost-- // itself
	}
	return lost
}
