package query

import (
	"context"
	"fmt"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// AttributeKeys lists attribute keys, those met most first. It widens the query's window to whole days, which is what storages
// know. Errors: tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	keys, err := fromCatalogue(ctx, s, query, func(ctx context.Context, reader tracestore.Reader) ([]tracestore.AttributeKey, error) {
		return reader.AttributeKeys(ctx, tenant, query)
	})
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	return keys, nil
}

// AttributeValues lists the values of one key likewise.
func (s *Service) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	values, err := fromCatalogue(ctx, s, query, func(ctx context.Context, reader tracestore.Reader) ([]tracestore.AttributeValue, error) {
		return reader.AttributeValues(ctx, tenant, scope, key, query)
	})
	if err != nil {
		return nil, fmt.Errorf("list values of attribute %q: %w", key, err)
	}
	return values, nil
}

func fromCatalogue[T any](
	ctx context.Context, s *Service, query *tracestore.CatalogueQuery, read func(ctx context.Context, reader tracestore.Reader) ([]T, error),
) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	const day = 24 * time.Hour
	query.Start = query.Start.Truncate(day)
	if end := query.End.Truncate(day); end.Before(query.End) {
		query.End = end.Add(day)
	}
	storage, err := s.Storage()
	if err != nil {
		return nil, err
	}
	return read(ctx, storage)
}
