package neo4jmap

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// maxAhead is how far times of release may be ahead: a bucket far in the future would stay for ever.
const maxAhead = time.Hour

// call is what one ConsumeTraces call adds.
type call struct {
	id     string
	deltas []delta
}

// delta is what a call adds of one tenant and minute. Texts are valid.
type delta struct {
	tenant string
	bucket int64
	*rollup.Topology
}

// newCall sums the call up. td is not changed and not kept.
func newCall(td ptrace.Traces, now time.Time) *call {
	releases := tracetree.Releases(td)
	var sums rollup.Call
	for i := range releases {
		releasedAt := releases[i].ReleasedAt
		if releasedAt <= 0 || releasedAt > now.Add(maxAhead).UnixNano() {
			releasedAt = now.UnixNano()
		}
		sums.Add(tracerow.Explained(&releases[i]), releasedAt)
	}
	id := tracetree.NewCallID(releases)
	c := &call{id: keyOf(string(id[:]))}
	for _, d := range sums.Deltas() {
		c.deltas = append(c.deltas, delta{valid(d.Tenant), int64(d.Minute), validated(d.Topology())})
	}
	return c
}

// tenants are those of the call, sorted.
func (c *call) tenants() []string {
	tenants := make([]string, len(c.deltas))
	for i := range c.deltas {
		tenants[i] = c.deltas[i].tenant
	}
	slices.Sort(tenants)
	return slices.Compact(tenants)
}

func validated(t *rollup.Topology) *rollup.Topology {
	for i := range t.Services {
		s := &t.Services[i]
		s.Environment, s.Service = valid(s.Environment), valid(s.Service)
	}
	for i := range t.Edges {
		e := &t.Edges[i]
		e.Environment, e.Parent, e.Child = valid(e.Environment), valid(e.Parent), valid(e.Child)
		e.ChildKind, e.Protocol = valid(e.ChildKind), valid(e.Protocol)
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		e.Environment, e.Entry.Service, e.Entry.Operation = valid(e.Environment), valid(e.Entry.Service), valid(e.Entry.Operation)
	}
	for i := range t.Passes {
		p := &t.Passes[i]
		p.Environment, p.Service = valid(p.Environment), valid(p.Service)
		p.Entry.Service, p.Entry.Operation = valid(p.Entry.Service), valid(p.Entry.Operation)
	}
	return t
}

// node is a service, or an entry where operation says so.
type node struct{ key, tenant, name, kind, operation string }

// virtual are the virtual peers of the call, by tenant, in the order in which they come. What is a service in this call is none.
func (c *call) virtual() map[string][]node {
	peers := make(map[string][]node)
	seen := make(map[string]bool)
	for i := range c.deltas {
		d := &c.deltas[i]
		for _, s := range d.services() {
			seen[s.key] = true
		}
	}
	for i := range c.deltas {
		d := &c.deltas[i]
		for _, e := range d.Edges {
			key := serviceKey(d.tenant, e.Child)
			if e.ChildKind != conventions.KindService && !seen[key] {
				seen[key] = true
				peers[d.tenant] = append(peers[d.tenant], node{key: key, tenant: d.tenant, name: e.Child, kind: e.ChildKind})
			}
		}
	}
	return peers
}

// services are those that send spans, and those that are called by what they send.
func (d *delta) services() (services []node) {
	add := func(name string) {
		if name == "" { // a late span may not say whose call or trace it takes back
			return
		}
		services = append(services, node{key: serviceKey(d.tenant, name), tenant: d.tenant, name: name, kind: conventions.KindService})
	}
	for _, s := range d.Services {
		add(s.Service)
	}
	for _, e := range d.Edges {
		add(e.Parent)
		if e.ChildKind == conventions.KindService {
			add(e.Child)
		}
	}
	for _, e := range d.Entries {
		add(e.Entry.Service)
	}
	for _, p := range d.Passes {
		add(p.Service)
	}
	return services
}
