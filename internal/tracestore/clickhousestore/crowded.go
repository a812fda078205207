package clickhousestore

import (
	"cmp"
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// Minutes that hold more series than rollup.MaxSeries. Tables keep all of them; who reads counts those that came last as "other". That is
// dear, for every series of every minute has to be made, and few minutes are so. The number of rows of a minute, which is cheap to
// know, says where none can be: there is at least a row for each series, and more where rows are not merged yet.

// crowded says whether a minute of the window holds too many rows.
func (s *Store) crowded(ctx context.Context, w *window, tables ...*rollupTable) (crowded bool, err error) {
	var sql statement
	sql.add("SELECT max(Rows) FROM (")
	for i, t := range tables {
		if i > 0 {
			sql.add(" UNION ALL ")
		}
		sql.add("SELECT count() AS Rows FROM " + s.table(t.name) + " WHERE ")
		w.condition(&sql)
		sql.add(t.only + " GROUP BY Minute")
	}
	sql.add(")")
	var rows uint64
	err = s.read(ctx, &sql, func(r driver.Rows) error { return r.Scan(&rows) })
	return rows > rollup.MaxSeries, err
}

// capped adds up the rows of the window as plain does, and those of series beyond the limit as others.
func (s *Store) capped(t *rollupTable, w *window, query *tracestore.AggregateQuery) *statement {
	var sql statement
	sql.add("SELECT ")
	t.columns(&sql, query, "Other")
	sql.add(" FROM (")
	s.ranked(&sql, t, w)
	sql.add(") AS r WHERE true")
	t.asked(&sql, query)
	sql.add(" GROUP BY Beyond, Names")
	return &sql
}

// ranked is the series of each minute, and whether they are beyond the limit.
func (s *Store) ranked(sql *statement, t *rollupTable, w *window) {
	sql.add("SELECT Minute, Environment")
	for _, key := range t.keys {
		sql.add(", " + key)
	}
	for _, number := range t.numbers {
		sql.add(", sum(r." + number + ") AS " + number)
	}
	if t.durations {
		sql.add(", quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(r.Durations) AS Durations")
	}
	if t.failures {
		sql.add(", groupUniqArrayArray(5)(r.Examples) AS Examples")
	}
	partition, limit := cmp.Or(t.partition, "Minute"), cmp.Or(t.limit, rollup.MaxSeries)
	sql.add(", row_number() OVER (PARTITION BY "+partition+" ORDER BY min(r.First)) > ? AS Other FROM "+s.table(t.name)+" AS r WHERE ", limit)
	w.condition(sql)
	sql.add(t.only + " GROUP BY Minute, Environment")
	for _, key := range t.keys {
		sql.add(", " + key)
	}
}

// addBeyond counts the spans of series beyond the limit, of all environments.
func (s *Store) addBeyond(ctx context.Context, answer *rollup.Answer, w *window) error {
	tables := make([]*rollupTable, 0, len(limited))
	for _, table := range limited {
		tables = append(tables, rollupTables[table])
	}
	if crowded, err := s.crowded(ctx, w, tables...); err != nil || !crowded {
		return err
	}
	for _, table := range limited {
		t := *rollupTables[table]
		t.durations = false
		var sql statement
		sql.add("SELECT sum(" + t.numbers[0] + ") FROM (")
		s.ranked(&sql, &t, w)
		sql.add(") WHERE Other")
		var spans uint64
		if err := s.read(ctx, &sql, func(r driver.Rows) error { return r.Scan(&spans) }); err != nil {
			return err
		}
		answer.AddBeyond(table, spans)
	}
	return nil
}
