package traceassemblyprocessor

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// senders reads resources and scopes from their bytes. Most come again and again: it remembers the latest ones. It is safe for
// concurrent use.
type senders struct {
	trusted   bool // annotations are
	seed      maphash.Seed
	resources [senderSlots]atomic.Pointer[knownResource]
	scopes    [senderSlots]atomic.Pointer[knownScope]
}

const (
	// senderSlots is a power of two.
	senderSlots = 1024
	// maxRemembered is how many bytes one takes at most to be remembered.
	maxRemembered = 8 << 10
)

type knownResource struct {
	tenant, raw, schemaURL string
	resource               *resource // nil: it is nested too deeply
}

type knownScope struct {
	resource       *resource
	raw, schemaURL string
	origin         *origin // nil: it is nested too deeply
}

func newSenders(trusted bool) *senders { return &senders{trusted: trusted, seed: maphash.MakeSeed()} }

// resource is what the bytes of a resource say, nil where they are nested too deeply. The tenant is that of the request; a trusted
// resource may name another one. Its error is otlpwire.ErrIrregular, or tenant.ErrName where it cannot be one.
func (s *senders) resource(tenant, raw, schemaURL string) (*resource, error) {
	slot := &s.resources[maphash.String(s.seed, raw)%senderSlots]
	if known := slot.Load(); known != nil && known.raw == raw && known.schemaURL == schemaURL && known.tenant == tenant {
		return known.resource, nil
	}
	known := &knownResource{tenant: tenant, raw: strings.Clone(raw), schemaURL: strings.Clone(schemaURL)}
	scanner := otlpwire.Scanner{Prefix: conventions.Prefix}
	shape, ok := scanner.Resource(raw)
	if !ok {
		return nil, otlpwire.ErrIrregular
	}
	if !shape.Deep {
		var err error
		if known.resource, err = s.newResource(known, shape); err != nil {
			return nil, err
		}
	}
	if len(raw)+len(schemaURL) <= maxRemembered {
		slot.Store(known)
	}
	return known.resource, nil
}

func (s *senders) newResource(known *knownResource, shape otlpwire.Shape) (*resource, error) {
	rs, err := decodeHeads(known.raw, "")
	if err != nil {
		return nil, fmt.Errorf("read a resource: %w", err)
	}
	tenant, body := known.tenant, known.raw
	if shape.Marked {
		attrs := rs.Resource().Attributes()
		if s.trusted {
			if tenant, err = takeTenant(attrs, tenant); err != nil {
				return nil, err
			}
		} else {
			removeAnnotations(attrs)
		}
		if body, _, err = encodeHeads(rs); err != nil {
			return nil, fmt.Errorf("write a resource: %w", err)
		}
	}
	return newResource(tenant, body, known.schemaURL, rs.Resource(), shape.Values), nil
}

// origin is what the bytes of a scope of the resource say, nil where they are nested too deeply.
func (s *senders) origin(r *resource, raw, schemaURL string) (*origin, error) {
	hash := maphash.String(s.seed, raw) ^ uint64(r.key.hash[0])<<1
	slot := &s.scopes[hash%senderSlots]
	if known := slot.Load(); known != nil && known.resource == r && known.raw == raw && known.schemaURL == schemaURL {
		return known.origin, nil
	}
	known := &knownScope{resource: r, raw: strings.Clone(raw), schemaURL: strings.Clone(schemaURL)}
	scanner := otlpwire.Scanner{Prefix: conventions.Prefix}
	shape, ok := scanner.Scope(raw)
	if !ok {
		return nil, otlpwire.ErrIrregular
	}
	if !shape.Deep {
		var err error
		if known.origin, err = s.newOrigin(known, shape); err != nil {
			return nil, err
		}
	}
	if len(raw)+len(schemaURL) <= maxRemembered && int64(maxRemembered) >= r.size {
		slot.Store(known)
	}
	return known.origin, nil
}

func (s *senders) newOrigin(known *knownScope, shape otlpwire.Shape) (*origin, error) {
	rs, err := decodeHeads("", known.raw)
	if err != nil {
		return nil, fmt.Errorf("read a scope: %w", err)
	}
	body, scope := known.raw, rs.ScopeSpans().At(0).Scope()
	if shape.Marked && !s.trusted {
		removeAnnotations(scope.Attributes())
		if _, body, err = encodeHeads(rs); err != nil {
			return nil, fmt.Errorf("write a scope: %w", err)
		}
	}
	return newOrigin(known.resource, body, known.schemaURL, scope, shape.Values), nil
}
