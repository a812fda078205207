// Package servicemap is the contract for the map of services: what is asked about who calls whom in a window of time, and what a
// storage of such maps answers. The suite in servicemaptest is its specification; every storage passes it.
//
// Operations, latencies and contexts are not part of it: they are aggregates of the trace storage.
package servicemap

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
)

var (
	// ErrClosed says that the storage is not open, because the process starts or stops.
	ErrClosed = errors.New("service map is closed")
	// ErrUnavailable says that the storage does not answer, or refuses to, for now. The error that wraps it names what to mend.
	ErrUnavailable = errors.New("service map is not available")
)

// MaxDepth is how many calls away neighbours may be.
const MaxDepth = 20

// Window says of which calls a map is wanted.
type Window struct {
	// Start and End bound the time of release: the minutes that [Start, End) touches, or the hours where a storage has folded minutes
	// into them. Both are set.
	Start, End time.Time
	// Environment is a deployment.environment.name; nil for all of them together, empty for spans that name none.
	Environment *string
}

// Reader answers questions about the map of a tenant. It is safe for concurrent use. Errors are ErrClosed, ErrUnavailable, the
// context's, or the storage's own.
type Reader interface {
	// Map is the whole map of the window. What needs all of it is measured on its Graph: circles, single points of failure, ways from
	// one service to another.
	Map(ctx context.Context, tenant string, window *Window) (*Map, error)

	// Neighbours are the services within depth calls of a service, 1 to MaxDepth.
	Neighbours(ctx context.Context, tenant string, window *Window, service string, depth int) (*Neighbours, error)

	// Radius are the entries whose requests pass through a service, as blastradius.Radius has them.
	Radius(ctx context.Context, tenant string, window *Window, service string) ([]blastradius.Reach, error)
}

// Map is who calls whom in a window.
type Map struct {
	// Start and End are what was answered: the window's whole minutes, or further where it ends within an hour that was folded.
	Start, End time.Time
	// Services sent spans. They are by name, one each.
	Services []Service
	// Edges are by parent, child, kind of the child and protocol, one each.
	Edges []Edge
}

// Service is one that sent spans.
type Service struct {
	Name string
	// Calls are its server and consumer spans, which is what it answered.
	Calls, Errors int64
}

// Edge is the calls of one service to another, or to a virtual peer.
type Edge struct {
	Parent, Child string
	// ChildKind is conventions.KindService, or what a virtual peer is.
	ChildKind string
	// Protocol is http, grpc, the rpc, messaging or db system, else unknown.
	Protocol string
	// Calls and Errors are the server span's; the client span's for a virtual peer. Calls is positive.
	Calls, Errors int64
}

// Neighbours are the services around one.
type Neighbours struct {
	// Callers reach it by their calls, Callees are reached by its calls. The nearest are first, of equals by name.
	Callers, Callees []servicegraph.Neighbour
}

// Graph is the map for what is measured on it.
func (m *Map) Graph() *servicegraph.Graph {
	edges := make([]servicegraph.Edge, len(m.Edges))
	for i, e := range m.Edges {
		edges[i] = servicegraph.Edge{Parent: e.Parent, Child: e.Child, Calls: e.Calls}
	}
	return servicegraph.New(edges)
}

// Sort puts services and edges in their order.
func (m *Map) Sort() {
	slices.SortFunc(m.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Edges, func(a, b Edge) int {
		return cmp.Or(
			cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child), cmp.Compare(a.ChildKind, b.ChildKind), cmp.Compare(a.Protocol, b.Protocol),
		)
	})
}

// Provider is implemented by the extension that owns the storages.
type Provider interface {
	// HasServiceMap says whether a storage of this name is configured that has a map; it answers before Start too.
	HasServiceMap(name string) bool
	// ServiceMap returns the map of this name, or ErrClosed while the extension is not started.
	ServiceMap(name string) (Reader, error)
	// ServiceMapNames lists the configured storages that have a map, sorted, for error messages.
	ServiceMapNames() []string
}
