package memstore

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// AttributeKeys implements tracestore.CatalogueReader: it counts all spans that are stored.
func (s *Store) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	count := tracestore.NewKeyCount(query, math.MaxInt)
	if err := s.eachAttribute(ctx, tenant, query, count.Add); err != nil {
		return nil, err
	}
	return count.List(), nil
}

// AttributeValues implements tracestore.CatalogueReader likewise.
func (s *Store) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	count := tracestore.NewValueCount(scope, key, query, math.MaxInt)
	if err := s.eachAttribute(ctx, tenant, query, count.Add); err != nil {
		return nil, err
	}
	return count.List(), nil
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
