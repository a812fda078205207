package clickhousestore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// AttributeKeys implements tracestore.CatalogueReader. Types are what the texts look like.
func (s *Store) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	list := []tracestore.AttributeKey{}
	sql, ok := s.catalogued("toInt64(Scope), toString(Key) AS K, groupBitOr(Types), toInt64(sum(r.Spans)) AS N", tenant, query)
	if !ok {
		return list, ctx.Err()
	}
	sql.add(" AND NOT OfValue AND startsWith(Key, ?) GROUP BY Scope, K ORDER BY N DESC, K, Scope LIMIT ?", query.Prefix, query.Limit)
	err := s.read(ctx, sql, func(rows driver.Rows) error {
		var key tracestore.AttributeKey
		var scope int64
		var types uint8
		if err := rows.Scan(&scope, &key.Key, &types, &key.Spans); err != nil {
			return err
		}
		key.Scope, key.Types = tracestore.AttributeScope(scope), tracestore.ValueTypes(types)
		list = append(list, key)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", s.closed(err))
	}
	return list, nil
}

// AttributeValues implements tracestore.CatalogueReader.
func (s *Store) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	list := []tracestore.AttributeValue{}
	sql, ok := s.catalogued("Value, toInt64(sum(r.Spans)) AS N", tenant, query)
	if !ok {
		return list, ctx.Err()
	}
	sql.add(" AND OfValue AND Key = ? AND startsWith(Value, ?)", key, query.Prefix)
	if scope != tracestore.ScopeAny {
		sql.add(" AND Scope = ?", uint8(scope))
	}
	sql.add(" GROUP BY Value ORDER BY N DESC, Value LIMIT ?", query.Limit)
	err := s.read(ctx, sql, func(rows driver.Rows) error {
		var value tracestore.AttributeValue
		if err := rows.Scan(&value.Text, &value.Spans); err != nil {
			return err
		}
		list = append(list, value)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list values of attribute %q: %w", key, s.closed(err))
	}
	return list, nil
}

// catalogued begins a query of the days that the window touches; ok is false where there are none.
func (s *Store) catalogued(columns, tenant string, query *tracestore.CatalogueQuery) (sql *statement, ok bool) {
	if !query.Start.Before(query.End) || query.Limit < 1 {
		return nil, false
	}
	sql = new(statement)
	sql.add("SELECT "+columns+" FROM "+s.table("attribute_catalogue")+" AS r WHERE Tenant = ? AND Day BETWEEN toDate(?) AND toDate(?)",
		tenant, day(query.Start), day(query.End.Add(-1)))
	return sql, true
}

// day counts the days since 1970, as the type Date does, whose last day stands for all that are later.
func day(at time.Time) uint16 {
	const seconds = 24 * 60 * 60
	return uint16(min(max(0, at.Unix()/seconds), math.MaxUint16))
}
