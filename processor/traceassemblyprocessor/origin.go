package traceassemblyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// resource is what spans share as their sender. It is never changed after intake made it, so that shards and the
// callBuilder read it without locks.
type resource struct {
	key     resourceKey
	service string
	// environment is where the calls of its spans are counted.
	environment string
	schemaURL   string
	body        string // as OTLP protobuf
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
	body      string // of the scope, as OTLP protobuf
	extent           // of the scope
}

type originKey struct {
	resource resourceKey
	scope    [16]byte
}

// extent is what a resource or a scope takes.
type extent struct {
	size   int64 // as OTLP protobuf
	weight int64 // in memory
}

// total is the size of the scope with its resource.
func (o *origin) total() int64 { return o.size + o.resource.size }

// newResource makes one of its bytes and what they say, values as otlpwire counts them.
func newResource(tenant, body, schemaURL string, content pcommon.Resource, values int) *resource {
	r := &resource{schemaURL: schemaURL, body: body}
	attrs := content.Attributes()
	r.key = resourceKey{tenant, hashContent(attrs, content.DroppedAttributesCount(), r.schemaURL)}
	// The name stands in every skeleton, and on every late span.
	r.service = conventions.Service(content)
	r.environment = conventions.Environment(content)
	r.extent = extentOf(body, schemaURL, values)
	return r
}

// newOrigin makes one of its bytes and what they say.
func newOrigin(r *resource, body, schemaURL string, scope pcommon.InstrumentationScope, values int) *origin {
	o := &origin{resource: r, schemaURL: schemaURL, body: body}
	o.key = originKey{r.key, hashContent(scope.Attributes(), scope.DroppedAttributesCount(), scope.Name(), scope.Version(), o.schemaURL)}
	o.extent = extentOf(body, schemaURL, values)
	return o
}

// originWeight is the memory of a resource or scope without its bytes and without what its attributes take decoded, in a call.
const originWeight = 400

func extentOf(body, schemaURL string, values int) extent {
	size := int64(otlpwire.SizeOf(len(body)) + otlpwire.SizeOfSchemaURL(schemaURL))
	return extent{size: size, weight: originWeight + size + int64(attributeWeight*values)}
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
	held    *heldResource
	holders int // that have spans of it

	// Of the callBuilder: whether the open call has spans of this origin, and where.
	inCall bool
	place  scopePlace
}

func newOriginTable() *originTable {
	return &originTable{resources: make(map[resourceKey]*heldResource), origins: make(map[originKey]*heldOrigin)}
}

// intern is the table's copy of o. The caller counts itself among its holders, and gives it back with unref.
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
	o.holders--
	t.sweep(o)
}

// sweep forgets an origin on which nothing hangs.
func (t *originTable) sweep(o *heldOrigin) {
	if o.holders > 0 {
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
