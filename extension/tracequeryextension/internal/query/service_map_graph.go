package query

import (
	"context"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// mapReader is the map of services that is read: the one that is configured, or the storage's rollups.
func (s *Service) mapReader(reader tracestore.Reader) (servicemap.Reader, error) {
	if s.Graph != nil {
		return s.Graph()
	}
	return rollupmap.New(reader), nil
}

func graphWindow(all *tracestore.AggregateQuery) *servicemap.Window {
	return &servicemap.Window{Start: all.Start, End: all.End, Environment: all.Environment}
}

// readGraph makes the map of what a map of services has, which counts calls; how long they took and how contexts came across is
// known to the storage of the traces. The window becomes what the map answered.
func (s *Service) readGraph(ctx context.Context, reader tracestore.Reader, tenant string, all *tracestore.AggregateQuery, b *mapBuilder) error {
	graph, err := s.Graph()
	if err != nil {
		return err
	}
	m, err := graph.Map(ctx, tenant, graphWindow(all))
	if err != nil {
		return err
	}
	all.Start, all.End = m.Start, m.End
	services := make(map[string]tracestore.Durations)
	for o, err := range reader.Operations(ctx, tenant, all) {
		if err != nil {
			return err
		}
		b.contexts.addRoots(&o)
		if o.Kind == "server" || o.Kind == "consumer" {
			if services[o.Service], err = mergeDurations(services[o.Service], o.Durations); err != nil {
				return err
			}
		}
	}
	if err := b.contexts.read(ctx, reader, tenant, all); err != nil {
		return err
	}
	edges := make(map[servicemap.Edge]tracestore.Durations)
	for e, err := range reader.Edges(ctx, tenant, all) {
		if err != nil {
			return err
		}
		edges[servicemap.Edge{Parent: e.Parent, Child: e.Child, ChildKind: e.ChildKind, Protocol: e.Protocol}] = e.Durations
	}
	for _, service := range m.Services {
		if err := b.node(service.Name, conventions.KindService).add(service.Calls, service.Errors, services[service.Name]); err != nil {
			return err
		}
	}
	for _, e := range m.Edges {
		key := servicemap.Edge{Parent: e.Parent, Child: e.Child, ChildKind: e.ChildKind, Protocol: e.Protocol}
		if err := b.addEdge(&tracestore.EdgeAggregate{
			Parent: e.Parent, Child: e.Child, ChildKind: e.ChildKind, Protocol: e.Protocol, Calls: e.Calls, Errors: e.Errors, Durations: edges[key],
		}); err != nil {
			return err
		}
	}
	return nil
}
