package stock

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Table is what a table takes.
type Table struct {
	Name  string
	Rows  uint64
	Bytes uint64 // on disk, indexes included
	// MostParts is how many active parts the fullest of its partitions has.
	MostParts uint64
}

// Tables lists those of the database that hold rows.
func (c *Client) Tables(ctx context.Context, database string) (tables []Table, err error) {
	err = c.each(ctx, `SELECT table, sum(r), sum(b), max(n) FROM (
    SELECT table, partition, sum(rows) AS r, sum(bytes_on_disk) AS b, count() AS n FROM system.parts WHERE active AND database = $1 GROUP BY table, partition
) GROUP BY table ORDER BY table`, func(rows driver.Rows) error {
		var t Table
		if err := rows.Scan(&t.Name, &t.Rows, &t.Bytes, &t.MostParts); err != nil {
			return err
		}
		tables = append(tables, t)
		return nil
	}, database)
	if err != nil {
		return nil, fmt.Errorf("read sizes of tables: %w", err)
	}
	return tables, nil
}

// Merges is how many parts the server merges now.
func (c *Client) Merges(ctx context.Context) (merges uint64, err error) {
	err = c.each(ctx, "SELECT count() FROM system.merges", func(rows driver.Rows) error { return rows.Scan(&merges) })
	return merges, err
}
