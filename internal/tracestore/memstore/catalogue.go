package memstore

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

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
			tracestore.EachAttribute(at.releases[i].td, f)
		}
	}
	return ctx.Err()
}
