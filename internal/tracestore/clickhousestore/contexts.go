package clickhousestore

import (
	"context"
	"encoding/json"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// addContexts adds up what operations, edges and rollup_contexts say of contexts. Which service a peer is is decided minute by minute, so
// what that takes is read by the minute; the rest is added up before.
func (s *Store) addContexts(ctx context.Context, answer *rollup.Answer, w *window, query *tracestore.AggregateQuery) error {
	anyService := *query // that of the answer is known when the peers are
	anyService.Service = ""
	var sql statement
	part := func(columns, table, condition, group string) {
		if sql.Len() == 0 {
			sql.add("SELECT * FROM (")
		} else {
			sql.add(" UNION ALL ")
		}
		sql.add("SELECT " + columns + " FROM " + s.table(table) + " AS r WHERE ")
		w.condition(&sql)
		(&rollupTable{}).asked(&sql, &anyService)
		sql.add(condition + " GROUP BY " + group)
	}
	const minute = "toUInt32(toUnixTimestamp(Minute) / 60) AS At, "
	part(minute+"['', toString(Service), '', '']::Array(String) AS Names, [sum(r.Calls), 0, 0]::Array(UInt64) AS Numbers",
		"rollup_operations", "", "Minute, Service")
	part(minute+"['', toString(Child), '', Peer]::Array(String), [sum(r.Spans), 0, 0]::Array(UInt64)",
		"rollup_contexts", " AND Peer != ''", "Minute, Child, Peer")
	part(minute+"[toString(Parent), toString(Child), '', '']::Array(String), [0, sum(r.Calls), sum(r.Retracted)]::Array(UInt64)",
		"rollup_edges", " AND Parent != '' AND ChildKind = 'external'", "Minute, Parent, Child")
	part("0::UInt32, [toString(Parent), toString(Child), '', '']::Array(String), [sum(r.Calls), 0, 0]::Array(UInt64)",
		"rollup_edges", " AND Parent != '' AND ChildKind = 'service'", "Parent, Child")
	part("0::UInt32, [toString(Parent), toString(Child), toString(Violation), '']::Array(String), [sum(r.Spans), 0, 0]::Array(UInt64)",
		"rollup_contexts", " AND Violation != ''", "Parent, Child, Violation")
	sql.add(") ORDER BY At")

	var of []*rollup.Series // of one minute
	last := uint32(0)
	finish := func() {
		answer.AddMinute(func(yield func(*rollup.Series) bool) {
			for _, series := range of {
				if !yield(series) {
					return
				}
			}
		})
		of = of[:0]
	}
	peers := make(map[string]string)
	err := s.read(ctx, &sql, func(rows driver.Rows) error {
		var at uint32
		series := new(rollup.Series)
		if err := rows.Scan(&at, &series.Key, &series.Numbers); err != nil {
			return err
		}
		if at != last {
			finish()
			last = at
		}
		if attributes := series.Key[3]; attributes != "" {
			if _, known := peers[attributes]; !known {
				peers[attributes] = peerName(attributes)
			}
			if series.Key[3] = peers[attributes]; series.Key[3] == "" {
				return nil
			}
		}
		of = append(of, series)
		return nil
	})
	finish()
	return err
}

// peerName is what a client span with these attributes, a map as JSON, calls its peer; empty where that is no other service.
func peerName(attributes string) string {
	var named map[string]string
	if json.Unmarshal([]byte(attributes), &named) != nil {
		return ""
	}
	span := ptrace.NewSpan()
	span.SetKind(ptrace.SpanKindClient)
	for key, value := range named {
		span.Attributes().PutStr(key, value)
	}
	facts := conventions.ReadSpan(span)
	peer, kind := facts.Peer()
	if kind != conventions.KindExternal {
		return ""
	}
	return conventions.ShortName(peer)
}
