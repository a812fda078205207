package tracetree

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Releases groups the spans of a call by tenant and trace id, in the order in which the traces first occur. Nothing is
// copied: the releases refer into td.
func Releases(td ptrace.Traces) []Release {
	var g Grouper
	releases := g.Group(td)
	for i := range releases {
		r := &releases[i]
		for j := range r.Spans {
			if r.Assembly = ReadAssembly(r.Spans[j]); r.Version != 0 {
				break
			}
		}
	}
	return releases
}

// Grouper groups one call after the other in the same memory. The zero value is ready. It is not safe for concurrent use.
type Grouper struct {
	releases []Release
	spans    []Span  // those of the releases, one after the other
	of       []int32 // by span of the call: its release
	counts   []int32 // by release
	index    traceIndex
}

// Group is like the function Releases, but the releases live in the grouper's memory: they are valid until the next call. Their Assembly
// is not read yet: who reads the attributes anyway finds the span to ask, see ReadAssembly.
func (g *Grouper) Group(td ptrace.Traces) []Release {
	g.Reset()
	n := td.SpanCount()
	g.of = slices.Grow(g.of[:0], n)
	g.index.reset(n)
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		tenant, releasedAt := conventions.Str(attrs, conventions.AttrTenant), conventions.Int(attrs, conventions.AttrReleasedAt)
		hash := xxhash.Sum64String(tenant)
		for _, ss := range rs.ScopeSpans().All() {
			// Spans of one trace mostly stand together: remember the last one.
			last, lastID := int32(-1), pcommon.TraceID{}
			for _, span := range ss.Spans().All() {
				if id := span.TraceID(); last < 0 || id != lastID {
					last, lastID = g.find(hash, tenant, id, releasedAt), id
				}
				g.of = append(g.of, last)
				g.counts[last]++
			}
		}
	}
	g.spans = slices.Grow(g.spans[:0], n)[:n]
	from := 0
	for i := range g.releases {
		end := from + int(g.counts[i])
		g.releases[i].Spans = g.spans[from:from:end]
		from = end
	}
	at, place := 0, int32(0)
	for _, rs := range td.ResourceSpans().All() {
		resource, schemaURL := rs.Resource(), rs.SchemaUrl()
		for _, ss := range rs.ScopeSpans().All() {
			scope, scopeURL := ss.Scope(), ss.SchemaUrl()
			for _, span := range ss.Spans().All() {
				r := &g.releases[g.of[at]]
				r.Spans = append(r.Spans, Span{
					Span: span, Resource: resource, Scope: scope, SchemaURL: schemaURL, ScopeSchemaURL: scopeURL, Place: place,
				})
				at++
			}
			place++
		}
	}
	return g.releases
}

// Reset lets go of the last call, which the grouper's memory otherwise keeps alive.
func (g *Grouper) Reset() {
	clear(g.releases)
	clear(g.spans)
	g.releases, g.spans, g.counts = g.releases[:0], g.spans[:0], g.counts[:0]
}

// find is the place of a trace's release, which is made if need be.
func (g *Grouper) find(tenantHash uint64, tenant string, id pcommon.TraceID, releasedAt int64) int32 {
	s := g.index.start(tenantHash, id)
	for ; *s != 0; s = g.index.next() {
		if r := &g.releases[*s-1]; r.TraceID == id && r.Tenant == tenant {
			return *s - 1
		}
	}
	g.releases = append(g.releases, Release{Tenant: tenant, TraceID: id, ReleasedAt: releasedAt})
	g.counts = append(g.counts, 0)
	*s = int32(len(g.releases))
	return *s - 1
}

// traceIndex finds places by trace id: a hash table with open addressing.
type traceIndex struct {
	slots []int32 // one more than the place; 0 for none
	shift uint
	at    int
}

// reset empties the table and makes room for n traces.
func (x *traceIndex) reset(n int) {
	size, bits := 8, uint(3)
	for size < 2*n {
		size, bits = 2*size, bits+1
	}
	x.slots, x.shift = resize(x.slots, size), 64-bits
}

// start is the first slot in which the id may be.
func (x *traceIndex) start(tenantHash uint64, id pcommon.TraceID) *int32 {
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	x.at = int(((tenantHash ^ high ^ (low^low>>32)*seed) * seed) >> x.shift)
	return &x.slots[x.at]
}

// next is the one after the last.
func (x *traceIndex) next() *int32 {
	x.at = (x.at + 1) & (len(x.slots) - 1)
	return &x.slots[x.at]
}
