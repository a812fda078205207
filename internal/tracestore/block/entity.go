package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	xentity "go.opentelemetry.io/collector/pdata/xpdata/entity"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// entity is a resource or a scope of a block with its schema URL, as OTLP: what pdata does not show of it is kept too.
type entity struct {
	otlp, url string
	hole      int   // of a resource: where the attribute that says when it was released is missing from otlp, from 1 on; 0 where there is none
	service   *text // of a resource
	tokens    []uint64
	keys      []attributeKey
	stored    bool
	number    uint32 // once it is stored
}

type entityID struct {
	otlp, url string
	hole      int
	scope     bool
}

// releasedEntity is a resource with the time at which its call was released. That is another one in each call, and the rest mostly the same.
type releasedEntity struct {
	*entity
	released uint64 // where there is a hole
	size     int    // of all of it
}

// hanging is what spans of one ScopeSpans hang on, and the number of the two entities together in the block.
type hanging struct {
	resource, scope *entity
	pair            uint32
	released        uint64 // where the resource has a hole
	resourceSize    int

	ofResource    pcommon.Resource
	ofScope       pcommon.InstrumentationScope
	url, scopeURL string
}

// maxPlaces bounds the ScopeSpans of a call of which it is known at once what they are.
const maxPlaces = 1 << 12

// hanging finds what a span hangs on.
func (e *Encoder) hanging(span *tracetree.Span) (*hanging, error) {
	place := int(span.Place)
	if place < len(e.hangings) {
		h := e.hangings[place]
		if h != nil && h.ofResource == span.Resource && h.ofScope == span.Scope && h.url == span.SchemaURL && h.scopeURL == span.ScopeSchemaURL {
			return h, nil
		}
	}
	resource, err := e.resource(span.Resource, span.SchemaURL)
	if err != nil {
		return nil, err
	}
	scope, err := e.scope(span.Scope, span.ScopeSchemaURL)
	if err != nil {
		return nil, err
	}
	h := &hanging{
		resource: resource.entity, scope: scope, pair: e.pairNumber(resource.entity, scope), released: resource.released, resourceSize: resource.size,
		ofResource: span.Resource, ofScope: span.Scope, url: span.SchemaURL, scopeURL: span.ScopeSchemaURL,
	}
	if place < maxPlaces {
		if place >= len(e.hangings) {
			e.hangings = append(e.hangings, make([]*hanging, place+1-len(e.hangings))...)
		}
		e.hangings[place] = h
	}
	return h, nil
}

// resource finds the entity of a resource. A resource is looked at once in a block.
func (e *Encoder) resource(r pcommon.Resource, url string) (releasedEntity, error) {
	if known, ok := e.resources[r]; ok && known.url == url {
		return known, nil
	}
	otlp, err := appendResource(e.frame[:0], r)
	if err != nil {
		return releasedEntity{}, err
	}
	e.frame = otlp
	of := releasedEntity{size: len(otlp)}
	hole := 0
	if v, ok := r.Attributes().Get(conventions.AttrReleasedAt); ok && v.Type() == pcommon.ValueTypeInt {
		of.released = uint64(v.Int())
		if otlp, hole = e.cutReleased(otlp, of.released); hole > 0 {
			e.keys.add(resourceKey(conventions.AttrReleasedAt, v))
		}
	}
	x, ok := e.entities[entityID{otlp: string(otlp), url: url, hole: hole}]
	if !ok {
		id := entityID{otlp: string(otlp), url: url, hole: hole}
		x = &entity{otlp: id.otlp, url: id.url, hole: hole, service: e.texts.intern(conventions.ServiceName(r))}
		n := r.Attributes().Len()
		x.keys, x.tokens = make([]attributeKey, 0, n), make([]uint64, 0, n)
		for key, v := range r.Attributes().All() {
			k := resourceKey(key, v)
			x.keys = append(x.keys, k)
			if t, ok := valueToken(key, v); ok && k.tokens {
				x.tokens = append(x.tokens, t)
			}
		}
		e.entities[id] = x
	}
	of.entity = x
	e.resources[r] = of
	return of, nil
}

// cutReleased takes the attribute with the time of release out of a resource, and says where it stood, from 1 on; 0 where there is none.
func (e *Encoder) cutReleased(otlp []byte, released uint64) ([]byte, int) {
	e.attribute = appendReleased(e.attribute[:0], released)
	r := codec.NewReader(otlp)
	for r.Len() > 0 {
		at := len(otlp) - r.Len()
		if bytes.HasPrefix(otlp[at:], e.attribute) {
			return append(otlp[:at], otlp[at+len(e.attribute):]...), at + 1
		}
		if r.Byte() == tagResourceDropped {
			r.Uvarint()
		} else {
			r.Bytes(r.Count(1))
		}
	}
	return otlp, 0
}

// appendReleased appends the attribute of a resource that says when its call was released, as pdata marshals it.
func appendReleased(buf []byte, released uint64) []byte {
	size := valueSize(kindInt, 0, released)
	buf = appendTagged(buf, tagResourceAttribute, keyValueSize(conventions.AttrReleasedAt, size))
	return appendKey(appendValue(buf, kindInt, size, "", released), conventions.AttrReleasedAt)
}

// appendResource appends a resource as pdata marshals it. By hand, because pdata marshals whole traces only: for it, a resource is to be copied.
func appendResource(buf []byte, r pcommon.Resource) ([]byte, error) {
	start := len(buf)
	plain := xentity.ResourceEntityRefs(r).Len() == 0
	if n := r.DroppedAttributesCount(); n > 0 {
		buf = binary.AppendUvarint(append(buf, tagResourceDropped), uint64(n))
	}
	list := attributes.List(r.Attributes())
	for i := 0; plain && i < len(list); i++ {
		buf, plain = appendPlain(buf, &list[i])
	}
	if plain {
		return buf, nil
	}
	td := ptrace.NewTraces()
	r.CopyTo(td.ResourceSpans().AppendEmpty().Resource())
	otlp, err := nested(td, 1, 1)
	return append(buf[:start], otlp...), err
}

// appendPlain appends an attribute as a field, if its value is no array, map or bytes. As pdata does it, the key stands last.
func appendPlain(buf []byte, a *attributes.Attribute) ([]byte, bool) {
	k, text, n := kindOf(a.Type()), "", uint64(0)
	switch k {
	case kindString:
		text = a.Str()
	case kindInt:
		n = uint64(a.Int())
	case kindDouble:
		n = math.Float64bits(a.Double())
	case kindBool:
		n = number(a.Bool())
	case kindAny:
		return buf, false
	}
	key, size := a.Key(), valueSize(k, len(text), n)
	buf = appendTagged(buf, tagResourceAttribute, keyValueSize(key, size))
	return appendKey(appendValue(buf, k, size, text, n), key), true
}

// scope finds the entity of a scope.
func (e *Encoder) scope(s pcommon.InstrumentationScope, url string) (*entity, error) {
	if known, ok := e.scopes[s]; ok && known.url == url {
		return known, nil
	}
	otlp, err := appendScope(e.frame[:0], s)
	if err != nil {
		return nil, err
	}
	e.frame = otlp
	id := entityID{otlp: string(otlp), url: url, scope: true}
	x, ok := e.entities[id]
	if !ok {
		x = &entity{otlp: id.otlp, url: id.url}
		e.entities[id] = x
	}
	e.scopes[s] = x
	return x, nil
}

// appendScope appends a scope as pdata marshals it: by hand where it has no more than a name, as most have.
func appendScope(buf []byte, s pcommon.InstrumentationScope) ([]byte, error) {
	if s.Attributes().Len() == 0 && s.DroppedAttributesCount() == 0 {
		return appendNonEmpty(appendNonEmpty(buf, tagScopeName, s.Name()), tagScopeVersion, s.Version()), nil
	}
	td := ptrace.NewTraces()
	s.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Scope())
	otlp, err := nested(td, 1, 2, 1)
	return append(buf, otlp...), err
}

// nested marshals td and answers the message in it to which the numbers of fields lead.
func nested(td ptrace.Traces, path ...byte) ([]byte, error) {
	message, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, fmt.Errorf("marshal resource or scope: %w", err)
	}
	for _, number := range path {
		r := codec.NewReader(message)
		for {
			tag := r.Byte()
			message = r.Bytes(r.Count(1))
			if r.Failed() || tag == number<<3|2 {
				break
			}
		}
	}
	return message, nil
}

// entityNumber is the entity's in this block.
func (e *Encoder) entityNumber(x *entity) uint64 {
	if !x.stored {
		x.stored, x.number = true, e.numEntities
		e.numEntities++
		b := codec.AppendString(e.out[streamEntities], x.url)
		e.out[streamEntities] = codec.AppendString(binary.AppendUvarint(b, uint64(x.hole)), x.otlp)
		for _, t := range x.tokens {
			e.tokens.add(t)
		}
		for _, k := range x.keys {
			e.keys.add(k)
		}
	}
	return uint64(x.number)
}
