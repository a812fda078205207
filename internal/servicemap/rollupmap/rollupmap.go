// Package rollupmap answers questions about the map of services from the rollups of a trace storage. Whoever has the rollups needs
// no other database.
package rollupmap

import (
	"context"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Reader implements servicemap.Reader over a trace storage.
type Reader struct{ rollups tracestore.AggregateReader }

var _ servicemap.Reader = Reader{}

// New reads the rollups of the storage.
func New(rollups tracestore.AggregateReader) Reader { return Reader{rollups} }

// Map implements servicemap.Reader.
func (r Reader) Map(ctx context.Context, tenant string, window *servicemap.Window) (*servicemap.Map, error) {
	asked := query(window)
	m := &servicemap.Map{}
	m.Start, m.End = asked.Minutes()
	services := make(map[string]int)
	for o, err := range r.rollups.Operations(ctx, tenant, asked) {
		if err != nil {
			return nil, err
		}
		at, known := services[o.Service]
		if !known {
			at = len(m.Services)
			services[o.Service] = at
			m.Services = append(m.Services, servicemap.Service{Name: o.Service})
		}
		if o.Kind == "server" || o.Kind == "consumer" {
			m.Services[at].Calls += o.Calls
			m.Services[at].Errors += o.Errors
		}
	}
	for e, err := range r.rollups.Edges(ctx, tenant, asked) {
		if err != nil {
			return nil, err
		}
		m.Edges = append(m.Edges, servicemap.Edge{
			Parent: e.Parent, Child: e.Child, ChildKind: e.ChildKind, Protocol: e.Protocol, Calls: e.Calls, Errors: e.Errors,
		})
	}
	m.Sort()
	return m, ctx.Err()
}

// Neighbours implements servicemap.Reader.
func (r Reader) Neighbours(
	ctx context.Context, tenant string, window *servicemap.Window, service string, depth int,
) (*servicemap.Neighbours, error) {
	m, err := r.Map(ctx, tenant, window)
	if err != nil {
		return nil, err
	}
	g := m.Graph()
	return &servicemap.Neighbours{Callers: g.Callers(service, depth), Callees: g.Callees(service, depth)}, nil
}

// Radius implements servicemap.Reader.
func (r Reader) Radius(
	ctx context.Context, tenant string, window *servicemap.Window, service string,
) ([]blastradius.Reach, error) {
	asked := query(window)
	traces := make(map[blastradius.Entry]int64)
	for entry, err := range r.rollups.Entries(ctx, tenant, asked) {
		if err != nil {
			return nil, err
		}
		traces[blastradius.Entry(entry.Operation)] += entry.Traces
	}
	asked.Service = service
	var rows []blastradius.Row
	for row, err := range r.rollups.EntryOperations(ctx, tenant, asked) {
		if err != nil {
			return nil, err
		}
		if row.Service == service {
			rows = append(rows, blastradius.Row{Entry: blastradius.Entry(row.Entry), Traces: row.Traces})
		}
	}
	return blastradius.Radius(rows, traces), ctx.Err()
}

func query(window *servicemap.Window) *tracestore.AggregateQuery {
	return &tracestore.AggregateQuery{Start: window.Start, End: window.End, Environment: window.Environment}
}
