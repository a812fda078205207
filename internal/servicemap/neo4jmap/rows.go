package neo4jmap

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

const (
	minute = 1
	hour   = 60
	// otherName stands for the virtual peers above the limit.
	otherName = "other"
)

// row is what is added to one relationship.
type row struct {
	key, from, to, pair, tenant      string
	environment, childKind, protocol string // the last two of CALLS only
	bucket, width                    int64
	first, second                    int64 // the numbers that it counts
}

// bucketKey is the key of a relationship that counts.
func (r *row) bucketKey(rel string) string {
	return keyOf(r.tenant, rel, r.from, r.to, r.environment, r.childKind, r.protocol, strconv.FormatInt(r.width, 10), strconv.FormatInt(r.bucket, 10))
}

// rows are what a call writes, each kind sorted by key, so that the same call writes the same.
type rows struct {
	services, entries []node
	counted           map[string][]row // by relationship
}

// rows makes them. The virtual peers whose keys are beyond are "other".
func (c *call) rows(beyond map[string]bool) *rows {
	b := rowBuilder{nodes: make(map[string]node), entries: make(map[string]node), counted: make(map[string]map[string]*row)}
	for i := range c.deltas {
		b.add(&c.deltas[i], beyond)
	}
	r := &rows{services: sortedNodes(b.nodes), entries: sortedNodes(b.entries), counted: make(map[string][]row)}
	for rel, list := range b.counted {
		r.counted[rel] = sortedRows(list)
	}
	return r
}

// len is how many relationships are written.
func (r *rows) len() (n int) {
	for _, list := range r.counted {
		n += len(list)
	}
	return n
}

type rowBuilder struct {
	nodes, entries map[string]node
	counted        map[string]map[string]*row
}

func (b *rowBuilder) add(d *delta, beyond map[string]bool) {
	for _, s := range d.services() {
		b.nodes[s.key] = s
	}
	for _, s := range d.Services {
		key := serviceKey(d.tenant, s.Service)
		b.count(relAnswered, row{from: key, to: key, pair: key, tenant: d.tenant, environment: s.Environment, bucket: d.bucket, first: s.Calls, second: s.Errors})
	}
	for _, e := range d.Edges {
		if e.Parent != "" && e.Child != "" && (e.Calls != 0 || e.Errors != 0) {
			b.edge(d, &e, beyond)
		}
	}
	for _, e := range d.Entries {
		if e.Entry.Service == "" {
			continue
		}
		service := serviceKey(d.tenant, e.Entry.Service)
		entry := b.entry(d.tenant, e.Entry.Service, e.Entry.Operation)
		b.count(relEnters, row{from: entry, to: service, pair: service, tenant: d.tenant, environment: e.Environment, bucket: d.bucket, first: e.Traces, second: e.Errors})
	}
	for _, p := range d.Passes { // all of them have an entry
		service := serviceKey(d.tenant, p.Service)
		entry := b.entry(d.tenant, p.Entry.Service, p.Entry.Operation)
		b.count(relPasses, row{from: entry, to: service, pair: service, tenant: d.tenant, environment: p.Environment, bucket: d.bucket, first: p.AtLeast, second: p.AtMost})
	}
}

func (b *rowBuilder) entry(tenant, service, operation string) (key string) {
	key = entryKey(tenant, service, operation)
	b.entries[key] = node{key: key, tenant: tenant, name: service, operation: operation}
	return key
}

func (b *rowBuilder) edge(d *delta, e *rollup.EdgeCount, beyond map[string]bool) {
	from, to, child, kind := serviceKey(d.tenant, e.Parent), serviceKey(d.tenant, e.Child), e.Child, e.ChildKind
	if kind != conventions.KindService && beyond[to] {
		child, kind = otherName, conventions.KindExternal
		to = serviceKey(d.tenant, child)
	}
	if _, known := b.nodes[to]; !known {
		b.nodes[to] = node{key: to, tenant: d.tenant, name: child, kind: kind}
	}
	b.count(relCalls, row{
		from: from, to: to, pair: pairKey(d.tenant, from, to), tenant: d.tenant, environment: e.Environment,
		childKind: kind, protocol: e.Protocol, bucket: d.bucket, first: e.Calls, second: e.Errors,
	})
}

// maxCount is the most that a call adds to a number, or takes back: what nobody counts, but a sender may claim. Sums of it do not leave the
// range of Neo4j's numbers, in which the call would be refused for ever.
const maxCount = math.MaxUint32

func clamped(n int64) int64 { return max(-maxCount, min(n, maxCount)) }

// count adds the row's numbers to those of its key.
func (b *rowBuilder) count(rel string, r row) {
	r.first, r.second = clamped(r.first), clamped(r.second)
	r.width = max(r.width, minute)
	r.key = r.bucketKey(rel)
	if b.counted[rel] == nil {
		b.counted[rel] = make(map[string]*row)
	}
	if known := b.counted[rel][r.key]; known != nil {
		known.first, known.second = clamped(known.first+r.first), clamped(known.second+r.second)
		return
	}
	b.counted[rel][r.key] = &r
}

func sortedNodes(nodes map[string]node) []node {
	list := make([]node, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b node) int { return cmp.Compare(a.key, b.key) })
	return list
}

func sortedRows(rows map[string]*row) []row {
	list := make([]row, 0, len(rows))
	for _, r := range rows {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	return list
}
