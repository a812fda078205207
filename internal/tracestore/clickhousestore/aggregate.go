package clickhousestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// A rollupTable is one of the rollups as the tables of sql/0003_rollups.sql have it.
type rollupTable struct {
	name string
	// only is the condition on the rows of the table that are the rollup's; empty for all.
	only string
	// keys tell series apart, in the order of rollup.Series; they are told apart by the environment as well.
	keys []string
	// numbers are the sums in the order of rollup.Series, the first is what the series counts.
	numbers   []string
	durations bool
	failures  bool
	// services are the keys of which one is the service that a query names.
	services []string
	// limit is how many series there are for each partition, by default rollup.MaxSeries for a minute.
	limit     int
	partition string
}

var rollupTables = map[rollup.Table]*rollupTable{
	rollup.Operations: {
		name: "rollup_operations", keys: []string{"Service", "ServiceVersion", "Operation", "Kind"},
		numbers: []string{"Calls", "Errors", "SelfTime", "PathTime", "Roots", "Excess"}, durations: true, services: []string{"Service"},
	},
	rollup.Edges: {
		name: "rollup_edges", keys: []string{"Parent", "ParentOperation", "Child", "ChildOperation", "ChildKind", "Protocol"},
		numbers: []string{"Calls", "Errors", "Retracted", "RetractedErrors"}, durations: true, services: []string{"Parent", "Child"},
	},
	rollup.Entries: {
		name: "rollup_entries", only: " AND Key = ''", keys: []string{"EntryService", "EntryOperation", "Value"},
		numbers: []string{"Traces", "Errors", "Retracted", "RetractedErrors"}, durations: true, services: []string{"EntryService"},
	},
	rollup.EntryOperations: {
		name: "rollup_entry_operations", only: " AND NOT Failure", keys: []string{"EntryService", "EntryOperation", "Service", "Operation"},
		numbers: []string{"Calls", "Errors", "SelfTime", "PathTime", "Traces"}, services: []string{"Service"},
	},
	rollup.Errors: {
		name: "rollup_entry_operations", only: " AND Failure",
		keys:    []string{"Fingerprint", "Service", "Operation", "EntryService", "EntryOperation"},
		numbers: []string{"Calls"}, failures: true, services: []string{"Service"},
	},
	rollup.Spans: {name: "rollup_operations", numbers: []string{"Calls", "Partial", "Orphans", "Repaired"}},
	rollup.Contrasts: {
		name: "rollup_entries", only: " AND Key != ''", keys: []string{"EntryService", "EntryOperation", "Service", "Key", "Value"},
		numbers: []string{"Traces", "Errors"}, durations: true, services: []string{"Service"},
		limit: tracestore.MaxContrastValues, partition: "Minute, Environment, EntryService, EntryOperation, Service, Key",
	},
}

// limited are the tables that a minute holds rollup.MaxSeries series of at most.
var limited = []rollup.Table{rollup.Operations, rollup.Edges, rollup.Entries, rollup.EntryOperations, rollup.Errors}

// statement is SQL with its values.
type statement struct {
	strings.Builder
	values []any
}

func (s *statement) add(sql string, values ...any) {
	s.WriteString(sql)
	s.values = append(s.values, values...)
}

// rollups answers a table's rollup.Answer.
func (s *Store) rollups(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery, table rollup.Table,
) (answer *rollup.Answer, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer = rollup.NewAnswer(table, query)
	w, ok := windowOf(tenant, query)
	if !ok {
		return answer, nil
	}
	switch table {
	case rollup.Contexts:
		err = s.addContexts(ctx, answer, &w, query)
	case rollup.Contrasts:
		err = s.addContrasts(ctx, answer, &w, query)
	default:
		err = s.addSeries(ctx, answer, &w, query, table)
	}
	if err == nil && table == rollup.Spans {
		err = s.addBeyond(ctx, answer, &w)
	}
	if err != nil {
		return nil, fmt.Errorf("add up rollups: %w", s.closed(err))
	}
	return answer, nil
}

// window is the rows of a tenant and some minutes.
type window struct {
	tenant      string
	first, last uint32 // minutes, both inclusive
}

func windowOf(tenant string, query *tracestore.AggregateQuery) (w window, ok bool) {
	first, last, ok := rollup.Window(query)
	const end = math.MaxUint32 / 60 // of the type DateTime
	return window{tenant, min(first, end), min(last, end)}, ok
}

// condition is one on the table's first columns and its partitions.
func (w *window) condition(s *statement) {
	s.add("Tenant = ? AND Minute BETWEEN toDateTime(?, 'UTC') AND toDateTime(?, 'UTC')", w.tenant, w.first*60, w.last*60)
}

// asked are the conditions of the query on the environment and the service.
func (t *rollupTable) asked(s *statement, query *tracestore.AggregateQuery) {
	if query.Environment != nil {
		s.add(" AND Environment = ?", *query.Environment)
	}
	if query.Service == "" || len(t.services) == 0 {
		return
	}
	s.add(" AND (")
	for i, service := range t.services {
		if i > 0 {
			s.add(" OR ")
		}
		s.add(service+" = ?", query.Service)
	}
	s.add(")")
}

// kept says whether the query tells a key apart.
func kept(query *tracestore.AggregateQuery, key string) bool {
	switch key {
	case "ServiceVersion":
		return query.ByVersion
	case "ParentOperation", "ChildOperation":
		return query.ByOperation
	}
	return true
}

// columns are what readSeries reads, of rows that are grouped by Beyond and Names. other is the condition on rows to be counted as "other".
func (t *rollupTable) columns(s *statement, query *tracestore.AggregateQuery, other string) {
	s.add(other + " AS Beyond, if(Beyond, [], [")
	for i, key := range t.keys {
		if i > 0 {
			s.add(", ")
		}
		if kept(query, key) {
			s.add("toString(" + key + ")")
		} else {
			s.add("''")
		}
	}
	s.add("]::Array(String)) AS Names, [")
	for i, number := range t.numbers {
		if i > 0 {
			s.add(", ")
		}
		s.add("sum(r." + number + ")")
	}
	s.add("] AS Numbers")
	if t.durations {
		s.add(", unhex(hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(Durations)))")
	} else {
		s.add(", ''")
	}
	if t.failures {
		s.add(", toUInt32(min(toUnixTimestamp(Minute)) / 60), toUInt32(max(toUnixTimestamp(Minute)) / 60), groupUniqArrayArray(5)(Examples)")
	} else {
		s.add(", 0::UInt32, 0::UInt32, []::Array(FixedString(16))")
	}
}

// plain adds up the rows of the window.
func (s *Store) plain(t *rollupTable, w *window, query *tracestore.AggregateQuery) *statement {
	var sql statement
	sql.add("SELECT ")
	t.columns(&sql, query, "false")
	sql.add(" FROM " + s.table(t.name) + " AS r WHERE ")
	w.condition(&sql)
	sql.add(t.only)
	t.asked(&sql, query)
	sql.add(" GROUP BY Beyond, Names")
	return &sql
}

// addSeries adds up the rows of the query.
func (s *Store) addSeries(
	ctx context.Context, answer *rollup.Answer, w *window, query *tracestore.AggregateQuery, table rollup.Table,
) error {
	t := rollupTables[table]
	sql := s.plain(t, w, query)
	if len(t.keys) > 0 {
		crowded, err := s.crowded(ctx, w, t)
		if err != nil {
			return err
		}
		if crowded {
			sql = s.capped(t, w, query)
		}
	}
	return s.readSeries(ctx, sql, func(series *rollup.Series, other bool) error {
		if other {
			answer.AddOther(series)
		} else {
			answer.Add(series)
		}
		return nil
	})
}

// readSeries calls f for every series. It is valid until f returns.
func (s *Store) readSeries(ctx context.Context, sql *statement, f func(series *rollup.Series, other bool) error) error {
	var series rollup.Series
	var state string
	var traces []string
	var other bool
	return s.read(ctx, sql, func(rows driver.Rows) error {
		if err := rows.Scan(&other, &series.Key, &series.Numbers, &state, &series.First, &series.Last, &traces); err != nil {
			return err
		}
		series.Durations = rollup.Bins{}
		if state != "" {
			var err error
			if series.Durations, err = readSketch([]byte(state)); err != nil {
				return err
			}
		}
		series.Traces = series.Traces[:0]
		for _, id := range traces {
			var trace pcommon.TraceID
			copy(trace[:], id)
			series.Traces = append(series.Traces, trace)
		}
		return f(&series, other)
	})
}

// read runs a query and calls f for every row.
func (s *Store) read(ctx context.Context, sql *statement, f func(driver.Rows) error) (err error) {
	rows, err := s.db.Query(s.bounded(ctx), sql.String(), sql.values...)
	if err != nil {
		return contextError(ctx, err)
	}
	defer func() { err = contextError(ctx, errors.Join(err, rows.Close())) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// contextError is the context's error where that has ended a query: the client may tell it otherwise.
func contextError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
