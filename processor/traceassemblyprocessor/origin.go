package traceassemblyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// resource is what spans share as their sender. It is never changed after intake made it, so that shards and the
// callBuilder read it without locks.
type resource struct {
	key     resourceKey
	service string
	// environment is where the calls of its spans are counted.
	environment string
	schemaURL   string
	content     pcommon.Resource
	extent
}

// resourceKey names a resource by its content. Tenants share nothing.
type resourceKey struct {
	tenant string
	hash   [16]byte
}

// origin is what spans hang on: a scope of a resource. Never changed after intake made it.
type origin struct {
	key       originKey
	resource  *resource
	schemaURL string
	scope     pcommon.InstrumentationScope
	extent    // of the scope
}

type originKey struct {
	resource resourceKey
	scope    [16]byte
}

// extent is what a resource or a scope takes.
type extent struct {
	size   int64 // about that of OTLP protobuf
	weight int64 // in memory
}

// total is the size of the scope with its resource.
func (o *origin) total() int64 { return o.size + o.resource.size }

// newResource moves the resource out of rs.
func newResource(tenant string, rs ptrace.ResourceSpans) *resource {
	r := &resource{schemaURL: rs.SchemaUrl(), content: pcommon.NewResource()}
	rs.Resource().MoveTo(r.content)
	attrs := r.content.Attributes()
	r.key = resourceKey{tenant, hashContent(attrs, r.content.DroppedAttributesCount(), r.schemaURL)}
	// The name stands in every skeleton, and on every late span.
	r.service = conventions.Service(r.content)
	r.environment = conventions.Environment(r.content)
	r.extent = extentOf(attrs, r.schemaURL)
	return r
}

// newOrigin moves the scope out of ss.
func newOrigin(r *resource, ss ptrace.ScopeSpans) *origin {
	o := &origin{resource: r, schemaURL: ss.SchemaUrl(), scope: pcommon.NewInstrumentationScope()}
	ss.Scope().MoveTo(o.scope)
	attrs := o.scope.Attributes()
	o.key = originKey{r.key, hashContent(attrs, o.scope.DroppedAttributesCount(), o.scope.Name(), o.scope.Version(), o.schemaURL)}
	o.extent = extentOf(attrs, o.scope.Name(), o.scope.Version(), o.schemaURL)
	return o
}

const (
	// originWeight is the memory of a resource or scope without its attributes.
	originWeight = 400
	// pairSize is what a key or a value takes in OTLP protobuf beside its bytes.
	pairSize = 4
)

// extentOf is what attributes and names take.
func extentOf(attrs pcommon.Map, names ...string) extent {
	e := extent{weight: originWeight + int64(attrs.Len())*attributeWeight}
	for _, name := range names {
		e.size += int64(len(name))
	}
	for key, value := range attrs.All() {
		content := conventions.ExtentOf(value)
		e.size += int64(2*pairSize + len(key) + content.Bytes + pairSize*content.Values)
		e.weight += int64(attributeWeight * content.Values)
	}
	e.weight += e.size
	return e
}

// originTable keeps one copy of every resource and scope that the spans held by a shard hang on.
type originTable struct {
	resources map[resourceKey]*heldResource
	origins   map[originKey]*heldOrigin
	weight    int64 // of what is in the table
}

type heldResource struct {
	*resource
	origins int // in the table
}

type heldOrigin struct {
	*origin
	held  *heldResource
	spans int // held

	// Of the callBuilder: whether the open call has spans of this origin, and where.
	inCall bool
	target ptrace.SpanSlice
}

func newOriginTable() *originTable {
	return &originTable{resources: make(map[resourceKey]*heldResource), origins: make(map[originKey]*heldOrigin)}
}

// intern is the table's copy of o. The caller counts in spans what it hangs on it, and gives it back with unref.
func (t *originTable) intern(o *origin) *heldOrigin {
	if held := t.origins[o.key]; held != nil {
		return held
	}
	r := t.resources[o.key.resource]
	if r == nil {
		r = &heldResource{resource: o.resource}
		t.resources[o.key.resource] = r
		t.weight += r.weight
	}
	if r.resource != o.resource {
		own := *o // other shards read o
		own.resource = r.resource
		o = &own
	}
	held := &heldOrigin{origin: o, held: r}
	t.origins[o.key] = held
	r.origins++
	t.weight += o.weight
	return held
}

func (t *originTable) unref(o *heldOrigin) {
	o.spans--
	t.sweep(o)
}

// sweep forgets an origin on which nothing hangs.
func (t *originTable) sweep(o *heldOrigin) {
	if o.spans > 0 {
		return
	}
	delete(t.origins, o.key)
	t.weight -= o.weight
	o.held.origins--
	if o.held.origins == 0 {
		delete(t.resources, o.held.key)
		t.weight -= o.held.weight
	}
}
