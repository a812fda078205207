package clickhousestore

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Delete implements tracestore.Deleter. The trace goes from searches first, then its spans, then what leads to them, so that a deletion
// that ended in the middle can be repeated.
func (s *Store) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	times, err := s.releaseTimes(ctx, tenant, id)
	if err != nil {
		return err
	}
	for _, from := range []struct {
		table string
		where func(values parameters) string
	}{
		{"traces", func(values parameters) string { return "Quarter IN " + values.seconds(quartersOf(times)) }},
		{"otel_traces", func(values parameters) string { return "ReleasedAt IN " + values.moments(times) }},
		{"trace_times", func(values parameters) string { return "ReleasedAt IN " + values.moments(times) }},
	} {
		values := parameters{}
		text := fmt.Sprintf("DELETE FROM %s %s WHERE Tenant = %s AND Id = %s AND %s",
			s.table(from.table), s.schema.onCluster(), values.text(tenant), values.id(id), from.where(values))
		if err := s.db.Exec(s.limited(ctx, values), text); err != nil {
			return fmt.Errorf("delete trace from %s: %w", from.table, s.failed(ctx, err))
		}
	}
	return nil
}
