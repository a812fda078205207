package clickhousestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// tableOfTraces is a table of which a deletion takes rows.
type tableOfTraces struct {
	name string
	// column is by whose time it is partitioned, and inserts what says which inserts its rows came with.
	column, inserts string
}

// ofTraces are all of them: a trace goes from searches first, then its spans, then what leads to them, so that a deletion that ended in the middle can
// be repeated.
var ofTraces = []tableOfTraces{
	{"traces", "Quarter", "arrayJoin(Inserts)"},
	{"otel_traces", "ReleasedAt", "Insert"},
	{"trace_times", "ReleasedAt", "arrayJoin(Inserts)"},
}

// Delete implements tracestore.Deleter. Before rows go, it is noted which inserts they came with, see repeats.go.
func (s *Store) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	times, err := s.releaseTimes(ctx, tenant, id)
	if err != nil {
		return err
	}
	for _, from := range ofTraces {
		for some := range slices.Chunk(times, timesInText) {
			if err := s.deleteFrom(ctx, &from, tenant, id, some); err != nil {
				return fmt.Errorf("delete trace from %s: %w", from.name, err)
			}
		}
	}
	return nil
}

// deleteFrom takes what was released at some times from a table.
func (s *Store) deleteFrom(ctx context.Context, from *tableOfTraces, tenant string, id pcommon.TraceID, times []time.Time) error {
	values := parameters{}
	where := "Tenant = " + values.text(tenant) + " AND Id = " + values.id(id) + " AND " + from.column + " IN "
	if from.column == "Quarter" {
		where += values.seconds(quartersOf(times))
	} else {
		where += values.moments(times)
	}
	statements := []string{fmt.Sprintf("DELETE FROM %s %s WHERE %s", s.table(from.name), s.schema.onCluster(), where)}
	if s.schema.repeats() {
		// A trace may have been released on more days, and so be noted in more partitions, than a server lets an insert write by default.
		note := fmt.Sprintf("INSERT INTO %s (Insert, Tenant, Id, ReleasedAt) SETTINGS max_partitions_per_insert_block = 0 "+
			"SELECT DISTINCT %s, Tenant, Id, toDateTime(%s, 'UTC') FROM %s WHERE %s",
			s.table("deleted_inserts"), from.inserts, from.column, s.table(from.name), where)
		statements = []string{note, statements[0]}
	}
	for _, text := range statements {
		if err := s.db.Exec(s.limited(ctx, values), text); err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}
