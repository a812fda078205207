package stock

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Client asks one database. It is safe for concurrent use.
type Client struct {
	db       driver.Conn
	database string
}

// Open makes a client of a database with the exporter's own tables; it connects with the first question.
func Open(endpoint, database string) (*Client, error) {
	options, err := clickhouse.ParseDSN(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	db, err := clickhouse.Open(options)
	if err != nil {
		return nil, err
	}
	return &Client{db, database}, nil
}

// Close closes the connections.
func (c *Client) Close() error { return c.db.Close() }

func (c *Client) table(name string) string { return `"` + c.database + `"."` + name + `"` }

// each runs a query and calls f for every row.
func (c *Client) each(ctx context.Context, query string, f func(driver.Rows) error, values ...any) (err error) {
	rows, err := c.db.Query(ctx, query, values...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
