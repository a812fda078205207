package block

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

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
	td := ptrace.NewTraces()
	r.CopyTo(td.ResourceSpans().AppendEmpty().Resource())
	otlp, err := nested(td, 1, 1)
	if err != nil {
		return nil, err
	}
	id := entityID{otlp: string(otlp), url: url}
	x, ok := e.entities[id]
	if !ok {
		x = &entity{otlp: id.otlp, url: id.url, service: e.texts.intern(conventions.ServiceName(r))}
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

// scope finds the entity of a scope.
func (e *Encoder) scope(s pcommon.InstrumentationScope, url string) (*entity, error) {
	if known, ok := e.scopes[s]; ok && known.url == url {
		return known, nil
	}
	td := ptrace.NewTraces()
	s.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Scope())
	otlp, err := nested(td, 1, 2, 1)
	if err != nil {
		return nil, err
	}
	id := entityID{otlp: string(otlp), url: url, scope: true}
	x, ok := e.entities[id]
	if !ok {
		x = &entity{otlp: id.otlp, url: id.url}
		e.entities[id] = x
	}
	e.scopes[s] = x
	return x, nil
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
