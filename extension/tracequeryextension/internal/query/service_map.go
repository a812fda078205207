package query

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// ServiceMap is who calls whom in a window.
type ServiceMap struct {
	// Start and End are what is answered: whole minutes, or hours where the map is kept by the hour.
	Start, End time.Time
	// Nodes are sorted by name, of which there is one each.
	Nodes []ServiceNode
	// Edges are sorted by parent, child and protocol, of which there is one each.
	Edges        []ServiceEdge
	Completeness tracestore.Completeness
}

// ServiceNode is a service, or a virtual peer: what services call that sends no spans itself.
type ServiceNode struct {
	Name string
	// Kind is conventions.KindService for whatever sends spans, else what the peer is to most of its calls.
	Kind string
	// Calls are the service's server and consumer spans, which is what it answered; or the calls to the virtual peer.
	Calls, Errors int64
	Durations     tracestore.Durations
	// Violations counts the service's spans that break a rule, by the rule.
	Violations map[string]int64
}

// ServiceEdge is the calls of one service to a node over one protocol.
type ServiceEdge struct {
	Parent, Child, Protocol string
	Calls, Errors           int64
	// Unanswered is calls of the parent for which the child, which does send spans, has none. They are not among Calls.
	Unanswered int64
	Durations  tracestore.Durations
	// Context is what is known of parent and child over all protocols; nil for virtual peers.
	Context *EdgeContext
}

// ServiceMap answers the map of the window; where asked.Service is set, that service, its callers and what it calls. Errors:
// tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) ServiceMap(ctx context.Context, tenant string, asked *tracestore.AggregateQuery) (*ServiceMap, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	m, err := s.readServiceMap(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("read the service map: %w", err)
	}
	return m, nil
}

func (s *Service) readServiceMap(ctx context.Context, tenant string, asked *tracestore.AggregateQuery) (*ServiceMap, error) {
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	// The neighbours of a service are nodes too, and who is called under a host's name shows in all contexts only: everything is read.
	all := *asked
	all.Service = ""
	b := newMapBuilder()
	if s.Graph != nil {
		err = s.readGraph(ctx, reader, tenant, &all, b)
	} else {
		err = readRollups(ctx, reader, tenant, &all, b)
	}
	if err != nil {
		return nil, err
	}
	m := b.build(asked.Service)
	m.Start, m.End = all.Minutes()
	if m.Completeness, err = reader.Completeness(ctx, tenant, &all); err != nil {
		return nil, err
	}
	return m, ctx.Err()
}

// readRollups makes the map of what the storage of the traces has.
func readRollups(ctx context.Context, reader tracestore.Reader, tenant string, all *tracestore.AggregateQuery, b *mapBuilder) error {
	for operation, err := range reader.Operations(ctx, tenant, all) {
		if err == nil {
			err = b.addOperation(&operation)
		}
		if err != nil {
			return err
		}
	}
	if err := b.contexts.read(ctx, reader, tenant, all); err != nil {
		return err
	}
	for edge, err := range reader.Edges(ctx, tenant, all) {
		if err == nil {
			err = b.addEdge(&edge)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type edgeKey struct{ parent, child, protocol string }

// mapBuilder adds up a map. Operations are added before edges, because they say who sends spans.
type mapBuilder struct {
	nodes map[string]*ServiceNode
	edges map[edgeKey]*ServiceEdge
	// peerCalls counts the calls to virtual peers by what they are to the caller.
	peerCalls map[string]map[string]int64
	contexts  contexts
}

func newMapBuilder() *mapBuilder {
	return &mapBuilder{
		nodes: make(map[string]*ServiceNode), edges: make(map[edgeKey]*ServiceEdge),
		peerCalls: make(map[string]map[string]int64), contexts: newContexts(),
	}
}

func (b *mapBuilder) node(name, kind string) *ServiceNode {
	node := b.nodes[name]
	if node == nil {
		node = &ServiceNode{Name: name, Kind: kind}
		b.nodes[name] = node
	}
	return node
}

func (b *mapBuilder) addOperation(o *tracestore.OperationAggregate) error {
	node := b.node(o.Service, conventions.KindService)
	b.contexts.addRoots(o)
	if o.Kind != "server" && o.Kind != "consumer" {
		return nil
	}
	return node.add(o.Calls, o.Errors, o.Durations)
}

func (n *ServiceNode) add(calls, failed int64, durations tracestore.Durations) (err error) {
	n.Calls += calls
	n.Errors += failed
	n.Durations, err = mergeDurations(n.Durations, durations)
	return err
}

func (b *mapBuilder) addEdge(e *tracestore.EdgeAggregate) (err error) {
	b.node(e.Parent, conventions.KindService)
	virtual := e.ChildKind != conventions.KindService
	key := edgeKey{e.Parent, e.Child, e.Protocol}
	if e.ChildKind == conventions.KindExternal { // databases and queues are what they are called
		key.child = b.contexts.service(e.Parent, e.Child)
	}
	child := b.node(key.child, e.ChildKind)
	edge := b.edges[key]
	if edge == nil {
		edge = &ServiceEdge{Parent: key.parent, Child: key.child, Protocol: key.protocol}
		b.edges[key] = edge
	}
	if e.ChildKind == conventions.KindExternal && child.Kind == conventions.KindService && key.child != key.parent {
		// The parent names as its peer a service that sends spans, and that has none for these calls.
		edge.Unanswered += e.Calls
		return nil
	}
	edge.Calls += e.Calls
	edge.Errors += e.Errors
	if edge.Durations, err = mergeDurations(edge.Durations, e.Durations); err != nil || !virtual || child.Kind == conventions.KindService {
		return err
	}
	if b.peerCalls[key.child] == nil {
		b.peerCalls[key.child] = make(map[string]int64)
	}
	b.peerCalls[key.child][e.ChildKind] += e.Calls
	return child.add(e.Calls, e.Errors, e.Durations)
}

// build sorts the map and leaves out what is not around the service, where one is named.
func (b *mapBuilder) build(service string) *ServiceMap {
	m := &ServiceMap{}
	wanted := map[string]bool{service: true}
	for _, edge := range b.edges {
		if service != "" && service != edge.Parent && service != edge.Child {
			continue
		}
		edge.Context = b.contexts.edge(edge.Parent, edge.Child)
		m.Edges = append(m.Edges, *edge)
		wanted[edge.Parent], wanted[edge.Child] = true, true
	}
	for name, node := range b.nodes {
		if service != "" && !wanted[name] {
			continue
		}
		if calls := b.peerCalls[name]; calls != nil {
			node.Kind = mostCalled(calls)
		}
		node.Violations = b.contexts.violations[name]
		m.Nodes = append(m.Nodes, *node)
	}
	slices.SortFunc(m.Nodes, func(a, b ServiceNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Edges, func(a, b ServiceEdge) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child), cmp.Compare(a.Protocol, b.Protocol))
	})
	return m
}

// mostCalled is the kind with the most calls, of equals the first by name.
func mostCalled(calls map[string]int64) (most string) {
	for _, kind := range slices.Sorted(maps.Keys(calls)) {
		if most == "" || calls[kind] > calls[most] {
			most = kind
		}
	}
	return most
}
