package traceassemblyprocessor

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatautil"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// resource is what spans share as their sender. It is never changed after intake made it, so that shards and the
// callBuilder read it without locks.
type resource struct {
	key       resourceKey
	service   string
	schemaURL string
	content   pcommon.Resource
	weight    int64
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
	weight    int64
}

type originKey struct {
	resource resourceKey
	scope    [16]byte
}

// newResource moves the resource out of rs.
func newResource(tenant string, rs ptrace.ResourceSpans) *resource {
	r := &resource{schemaURL: rs.SchemaUrl(), content: pcommon.NewResource()}
	rs.Resource().MoveTo(r.content)
	attrs := r.content.Attributes()
	r.key = resourceKey{tenant, pdatautil.Hash(pdatautil.WithMap(attrs), pdatautil.WithString(r.schemaURL),
		dropped(r.content.DroppedAttributesCount()))}
	r.service = conventions.ServiceName(r.content)
	r.weight = originWeight + attributesWeight(attrs)
	return r
}

// newOrigin moves the scope out of ss.
func newOrigin(r *resource, ss ptrace.ScopeSpans) *origin {
	o := &origin{resource: r, schemaURL: ss.SchemaUrl(), scope: pcommon.NewInstrumentationScope()}
	ss.Scope().MoveTo(o.scope)
	attrs := o.scope.Attributes()
	o.key = originKey{r.key, pdatautil.Hash(
		pdatautil.WithString(o.scope.Name()), pdatautil.WithString(o.scope.Version()), pdatautil.WithMap(attrs),
		pdatautil.WithString(o.schemaURL), dropped(o.scope.DroppedAttributesCount()))}
	o.weight = originWeight + attributesWeight(attrs)
	return o
}

func dropped(count uint32) pdatautil.HashOption {
	return pdatautil.WithValue(pcommon.NewValueInt(int64(count)))
}

// originWeight is the memory of a resource or scope without its attributes.
const originWeight = 400

func attributesWeight(attrs pcommon.Map) int64 {
	weight := int64(attrs.Len()) * attributeWeight
	for key, value := range attrs.All() {
		weight += int64(len(key))
		if value.Type() == pcommon.ValueTypeStr {
			weight += int64(len(value.Str()))
		} else {
			weight += attributeWeight
		}
	}
	return weight
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
