package clickhousestore

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tracewright/tracewright/internal/tracestore"
)

var _ tracestore.MinutesReader = (*Store)(nil)

// OperationMinutes implements tracestore.MinutesReader: one question, where each minute alone would be two.
func (s *Store) OperationMinutes(ctx context.Context, tenant string, minutes []time.Time) (list []tracestore.OperationMinute, err error) {
	var sql statement
	sql.add("SELECT toUnixTimestamp(Minute), toString(Service), toString(Operation), toString(Kind), toInt64(sum(Calls)), toInt64(sum(SelfTime))"+
		" FROM "+s.table("rollup_operations")+" WHERE Tenant = ?", tenant)
	sql.add(" AND Minute IN " + sql.values.seconds(minutes) + " GROUP BY Minute, Service, Operation, Kind")
	err = s.read(ctx, &sql, func(rows driver.Rows) error {
		var at uint32
		var o tracestore.OperationMinute
		if err := rows.Scan(&at, &o.Service, &o.Operation.Operation, &o.Kind, &o.Calls, &o.SelfTime); err != nil {
			return err
		}
		o.Minute = time.Unix(int64(at), 0).UTC()
		list = append(list, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read operations by the minute: %w", err)
	}
	return list, nil
}
