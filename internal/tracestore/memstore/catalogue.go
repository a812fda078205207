package memstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

type attributeKey struct {
	scope tracestore.AttributeScope
	key   string
}

// AttributeKeys implements tracestore.CatalogueReader: it counts all spans that are stored.
func (s *Store) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	known := make(map[attributeKey]*tracestore.AttributeKey)
	err := s.eachAttribute(ctx, tenant, query, func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int) {
		if !strings.HasPrefix(key, query.Prefix) {
			return
		}
		at := known[attributeKey{scope, key}]
		if at == nil {
			at = &tracestore.AttributeKey{Scope: scope, Key: key}
			known[attributeKey{scope, key}] = at
		}
		at.Types |= tracestore.TypeOf(value.Type())
		at.Spans += int64(spans)
	})
	if err != nil {
		return nil, err
	}
	list := make([]tracestore.AttributeKey, 0, len(known))
	for _, at := range known {
		list = append(list, *at)
	}
	slices.SortFunc(list, func(a, b tracestore.AttributeKey) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Scope, b.Scope))
	})
	return list[:min(len(list), query.Limit)], nil
}

// AttributeValues implements tracestore.CatalogueReader likewise.
func (s *Store) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	known := make(map[string]int64)
	err := s.eachAttribute(ctx, tenant, query, func(in tracestore.AttributeScope, name string, value pcommon.Value, spans int) {
		if name != key || scope != tracestore.ScopeAny && scope != in {
			return
		}
		if text, ok := tracestore.CataloguedText(value); ok && strings.HasPrefix(text, query.Prefix) {
			known[text] += int64(spans)
		}
	})
	if err != nil {
		return nil, err
	}
	list := make([]tracestore.AttributeValue, 0, len(known))
	for text, spans := range known {
		list = append(list, tracestore.AttributeValue{Text: text, Spans: spans})
	}
	slices.SortFunc(list, func(a, b tracestore.AttributeValue) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Text, b.Text))
	})
	return list[:min(len(list), query.Limit)], nil
}

// eachAttribute calls f for the attributes of the spans that were released in the window, and for those of their resources.
func (s *Store) eachAttribute(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
	f func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int),
) error {
	each := func(attrs pcommon.Map, scope tracestore.AttributeScope, spans int) {
		for key, value := range attrs.All() {
			if tracestore.Catalogued(key) {
				f(scope, key, value, spans)
			}
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key, at := range s.traces {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range at.releases {
			released := time.Unix(0, at.releases[i].releasedAt)
			if key.tenant != tenant || released.Before(query.Start) || !released.Before(query.End) {
				continue
			}
			for _, rs := range at.releases[i].td.ResourceSpans().All() {
				each(rs.Resource().Attributes(), tracestore.ScopeResource, spansOf(rs))
				for _, ss := range rs.ScopeSpans().All() {
					for _, span := range ss.Spans().All() {
						each(span.Attributes(), tracestore.ScopeSpan, 1)
					}
				}
			}
		}
	}
	return ctx.Err()
}

func spansOf(rs ptrace.ResourceSpans) int {
	spans := 0
	for _, ss := range rs.ScopeSpans().All() {
		spans += ss.Spans().Len()
	}
	return spans
}
