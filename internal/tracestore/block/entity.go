package block

import (
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
	service   *text // of a resource
	tokens    []uint64
	keys      []attributeKey
	stored    bool
	number    uint32 // once it is stored
}

type entityID struct {
	otlp, url string
	scope     bool
}

// hanging is what spans of one ScopeSpans hang on, and the number of the two entities together in the block.
type hanging struct {
	resource, scope *entity
	pair            uint32

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
		resource: resource, scope: scope, pair: e.pairNumber(resource, scope),
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
func (e *Encoder) resource(r pcommon.Resource, url string) (*entity, error) {
	if known, ok := e.resources[r]; ok && known.url == url {
		return known, nil
	}
	otlp, err := appendResource(e.frame[:0], r)
	if err != nil {
		return nil, err
	}
	e.frame = otlp
	x, ok := e.entities[entityID{otlp: string(otlp), url: url}]
	if !ok {
		id := entityID{otlp: string(otlp), url: url}
		x = &entity{otlp: id.otlp, url: id.url, service: e.texts.intern(conventions.ServiceName(r))}
		n := r.Attributes().Len()
		x.keys, x.tokens = make([]attributeKey, 0, n), make([]uint64, 0, n)
		for key, v := range r.Attributes().All() {
			x.keys = append(x.keys, resourceKey(key, v))
			if t, ok := valueToken(key, v); ok {
				x.tokens = append(x.tokens, t)
			}
		}
		e.entities[id] = x
	}
	e.resources[r] = x
	return x, nil
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
		e.out[streamEntities] = codec.AppendString(codec.AppendString(e.out[streamEntities], x.url), x.otlp)
		for _, t := range x.tokens {
			e.tokens.add(t)
		}
		for _, k := range x.keys {
			e.keys.add(k)
		}
	}
	return uint64(x.number)
}
