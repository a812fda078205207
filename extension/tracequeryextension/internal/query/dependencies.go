package query

import (
	"context"
	"fmt"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// DependenciesQuery says what is wanted of the graph of services.
type DependenciesQuery struct {
	// Window's Service is whose blast radius and neighbours are wanted; empty for none. The graph is always that of all services.
	Window tracestore.AggregateQuery
	// Depth is how many calls away neighbours may be, 1 to servicemap.MaxDepth.
	Depth int
	// From and To are the ends of the ways that are wanted, both empty for none.
	From, To string
	// Limit is the most ways to answer.
	Limit int
}

// Dependencies is the graph of services, measured.
type Dependencies struct {
	// Start and End are what is answered, as in ServiceMap.
	Start, End time.Time
	// Services are by name.
	Services []Dependency
	Cycles   [][]string
	// SinglePoints are by name.
	SinglePoints []servicegraph.SinglePoint
	// Truncated says that there are more services than a graph holds.
	Truncated bool
	// Radius are the entries that the asked service's failure reaches.
	Radius []blastradius.Reach
	// Suffering is what the asked service's failures of the window did to requests.
	Suffering []blastradius.Suffering
	// Neighbours are the asked service's; nil without one. A host that is not known to be a service stands there by its name.
	Neighbours *servicemap.Neighbours
	// Ways are the shortest first; WaysTruncated says that not all were looked for.
	Ways          [][]string
	WaysTruncated bool
	Completeness  tracestore.Completeness
}

// Dependency is a service, or a virtual peer, in the graph.
type Dependency struct {
	Name, Kind string
	// Depth is how many services a request passes at most on its way there, from 1 on.
	Depth int
	// Rank is its PageRank.
	Rank float64
	// Callers and Callees count its neighbours.
	Callers, Callees int
}

// Dependencies measures the graph of services of the window. Errors: tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Dependencies(ctx context.Context, tenant string, asked *DependenciesQuery) (*Dependencies, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	d, err := s.readDependencies(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("read the dependencies: %w", err)
	}
	return d, nil
}

func (s *Service) readDependencies(ctx context.Context, tenant string, asked *DependenciesQuery) (*Dependencies, error) {
	all := asked.Window
	all.Service = ""
	m, err := s.readServiceMap(ctx, tenant, &all)
	if err != nil {
		return nil, err
	}
	d := &Dependencies{Start: m.Start, End: m.End, Completeness: m.Completeness}
	d.measure(m, asked)
	if asked.Window.Service == "" {
		return d, nil
	}
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	graph, err := s.mapReader(reader)
	if err != nil {
		return nil, err
	}
	all.Start, all.End = d.Start, d.End // all of it is of what the map answered
	if d.Radius, err = graph.Radius(ctx, tenant, graphWindow(&all), asked.Window.Service); err != nil {
		return nil, err
	}
	if d.Neighbours, err = graph.Neighbours(ctx, tenant, graphWindow(&all), asked.Window.Service, asked.Depth); err != nil {
		return nil, err
	}
	all.Service = asked.Window.Service
	if d.Suffering, err = readSuffering(ctx, reader, tenant, &all); err != nil {
		return nil, err
	}
	return d, ctx.Err()
}

func (d *Dependencies) measure(m *ServiceMap, asked *DependenciesQuery) {
	edges := make([]servicegraph.Edge, 0, len(m.Edges))
	callers, callees := make(map[string]map[string]bool), make(map[string]map[string]bool)
	note := func(of map[string]map[string]bool, name, neighbour string) {
		if of[name] == nil {
			of[name] = make(map[string]bool)
		}
		of[name][neighbour] = true
	}
	for _, e := range m.Edges {
		edges = append(edges, servicegraph.Edge{Parent: e.Parent, Child: e.Child, Calls: e.Calls})
		note(callees, e.Parent, e.Child)
		note(callers, e.Child, e.Parent)
	}
	graph := servicegraph.New(edges)
	depths, ranks := graph.Depths(), graph.PageRank()
	for _, n := range m.Nodes {
		d.Services = append(d.Services, Dependency{
			Name: n.Name, Kind: n.Kind, Depth: max(1, depths[n.Name]), Rank: ranks[n.Name], // without edges it stands alone
			Callers: len(callers[n.Name]), Callees: len(callees[n.Name]),
		})
	}
	d.Cycles, d.SinglePoints, d.Truncated = graph.Cycles(), graph.SinglePoints(), graph.Truncated()
	if asked.From != "" {
		d.Ways, d.WaysTruncated = graph.Ways(asked.From, asked.To, asked.Limit)
	}
}
