package clickhousestore

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// An hourEntry is the traces of an entry in an hour.
type hourEntry struct {
	hour      uint32 // since 1970
	operation tracestore.Operation
}

// addContrasts adds up contrasts hour by hour, because which traces are slow is a matter of the hour before.
func (s *Store) addContrasts(ctx context.Context, answer *rollup.Answer, w *window, query *tracestore.AggregateQuery) error {
	usual, err := s.usual(ctx, w)
	if err != nil {
		return err
	}
	t := rollupTables[rollup.Contrasts]
	var sql statement
	crowded, err := s.manyValues(ctx, w)
	if err != nil {
		return err
	}
	sql.add("SELECT toUInt32(toUnixTimestamp(Minute) DIV 3600) AS Hour, [EntryService, EntryOperation, Service, Key, ")
	if crowded {
		sql.add("if(Other, ?, Value)", rollup.OtherName)
	} else {
		sql.add("Value")
	}
	sql.add("]::Array(String) AS Names, [sum(r.Traces), sum(r.Errors)] AS Numbers, " +
		"unhex(hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(Durations))) FROM ")
	if crowded {
		sql.add("(")
		s.ranked(&sql, t, w)
		sql.add(") AS r WHERE true")
	} else {
		sql.add(s.table(t.name) + " AS r WHERE ")
		w.condition(&sql)
		sql.add(t.only)
	}
	t.asked(&sql, query)
	sql.add(" GROUP BY Hour, Names")
	return s.read(ctx, &sql, func(rows driver.Rows) error {
		var hour uint32
		var state string
		series := rollup.Series{}
		if err := rows.Scan(&hour, &series.Key, &series.Numbers, &state); err != nil {
			return err
		}
		durations, err := readSketch([]byte(state))
		if err != nil {
			return err
		}
		slow, judged := uint64(0), uint64(0)
		if longest, known := usual[hourEntry{hour, tracestore.Operation{Service: series.Key[0], Operation: series.Key[1]}}]; known {
			slow, judged = durations.Above(longest), series.Numbers[0]
		}
		series.Numbers = append(series.Numbers, slow, judged)
		answer.Add(&series)
		return nil
	})
}

// usual is, by the hours of the window, the last bin of durations that are not slow.
func (s *Store) usual(ctx context.Context, w *window) (map[hourEntry]int64, error) {
	before := *w
	before.first = max(60, w.first-w.first%60) - 60
	before.last = max(1, w.last-w.last%60) - 1
	var sql statement
	sql.add("SELECT toUInt32(toUnixTimestamp(Minute) DIV 3600) AS Hour, toString(EntryService) AS S, toString(EntryOperation) AS O, " +
		"toInt64(sum(Traces)) - toInt64(sum(Retracted)), unhex(hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(Durations))) FROM " +
		s.table("rollup_entries") + " WHERE ")
	before.condition(&sql)
	sql.add(rollupTables[rollup.Entries].only + " GROUP BY Hour, S, O")
	usual := make(map[hourEntry]int64)
	err := s.read(ctx, &sql, func(rows driver.Rows) error {
		var at hourEntry
		var traces int64
		var state string
		if err := rows.Scan(&at.hour, &at.operation.Service, &at.operation.Operation, &traces, &state); err != nil {
			return err
		}
		durations, err := readSketch([]byte(state))
		if err != nil {
			return err
		}
		if longest, known := rollup.SlowAbove(durations, traces); known {
			at.hour++
			usual[at] = longest
		}
		return nil
	})
	return usual, err
}

// manyValues says whether a minute of the window holds more values of a key than are told apart, or may do so.
func (s *Store) manyValues(ctx context.Context, w *window) (many bool, err error) {
	var sql statement
	t := rollupTables[rollup.Contrasts]
	sql.add("SELECT count() > 0 FROM (SELECT 1 FROM " + s.table(t.name) + " WHERE ")
	w.condition(&sql)
	sql.add(t.only+" GROUP BY "+t.partition+" HAVING uniqExact(Value) > ? LIMIT 1)", t.limit)
	err = s.read(ctx, &sql, func(rows driver.Rows) error { return rows.Scan(&many) })
	return many, err
}
