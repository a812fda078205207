package clickhousestore

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// bounded is the context of a query with the limits of the store.
func (s *Store) bounded(ctx context.Context) context.Context {
	limits := &s.options.Limits
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_rows_to_read": limits.MaxRows, "read_overflow_mode": "throw", "max_memory_usage": limits.MaxMemory,
		"max_execution_time": max(1, int(limits.MaxTime.Seconds())), "timeout_overflow_mode": "throw",
	}))
}
