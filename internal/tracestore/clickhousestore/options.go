package clickhousestore

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"
)

// DefaultDatabase is the database where Options names none.
const DefaultDatabase = "tracewright"

// Options say where a ClickHouse is and how it is used.
type Options struct {
	// Endpoint is where the servers are, as the trace_clickhouse exporter takes it: clickhouse://host:9000, tcp:// or http(s)://, replicas of
	// one shard with commas between them, parameters of the connection behind a question mark.
	Endpoint string
	// Database holds the tables, by default DefaultDatabase.
	Database string
	// Username and Password, where set, go before those of the endpoint.
	Username, Password string
	// TLS encrypts the connection. nil leaves it to the endpoint (?secure=true).
	TLS *tls.Config
	// Retention is how long traces are kept, counted from their release; days (UTC) are dropped whole. 0 keeps them for ever.
	Retention time.Duration
	// CreateSchema makes and changes the tables as this version of the package has them. Otherwise somebody else does.
	CreateSchema bool
	// Variant and Cluster say how tables are made.
	Variant Variant
	Cluster string
	// Limits bound every query.
	Limits Limits
	// Logger is told of changes of state; nil is silent.
	Logger *zap.Logger
	// OnHealth is called when the server, or its schema, begins to fail, with the reason, and with nil when it works. It must not
	// block. nil is allowed.
	OnHealth func(error)

	upTo          int           // see Schema
	tailInterval  time.Duration // by default the constant; tests wait less
	checkInterval time.Duration
	firstReach    uint64 // by default the constants; tests have fewer spans
	firstSlice    uint64
}

// Limits bound one query in the server. What is 0 has the default.
type Limits struct {
	// MaxRows is how many rows are read, by default 200 million.
	MaxRows uint64
	// MaxMemory is how much memory is used, in bytes, by default 4 GiB.
	MaxMemory uint64
	// MaxTime is how long the query runs, by default 30 s.
	MaxTime time.Duration
}

// Defaults of Limits.
const (
	DefaultMaxRows   = 200_000_000
	DefaultMaxMemory = 4 << 30
	DefaultMaxTime   = 30 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Database == "" {
		o.Database = DefaultDatabase
	}
	if o.Limits.MaxRows == 0 {
		o.Limits.MaxRows = DefaultMaxRows
	}
	if o.Limits.MaxMemory == 0 {
		o.Limits.MaxMemory = DefaultMaxMemory
	}
	if o.Limits.MaxTime == 0 {
		o.Limits.MaxTime = DefaultMaxTime
	}
	if o.tailInterval == 0 {
		o.tailInterval = tailInterval
	}
	if o.checkInterval == 0 {
		o.checkInterval = checkInterval
	}
	if o.firstReach == 0 {
		o.firstReach = firstReach
	}
	if o.firstSlice == 0 {
		o.firstSlice = firstSlice
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.OnHealth == nil {
		o.OnHealth = func(error) {}
	}
	return o
}

// CheckEndpoint says what is wrong with an endpoint.
func CheckEndpoint(endpoint string) error {
	_, err := clickhouse.ParseDSN(endpoint)
	return err
}

// CheckWritten says what is wrong with an endpoint to which calls are written.
func CheckWritten(endpoint string, variant Variant) error {
	client, err := clickhouse.ParseDSN(endpoint)
	if err != nil {
		return err
	}
	if len(client.Addr) > 1 && variant != VariantReplicated {
		return fmt.Errorf("names %d servers, which have not the same in them: a call that is repeated to another one would count twice; "+
			"name one, or use the variant %s", len(client.Addr), VariantReplicated)
	}
	return nil
}

// dialTimeout is for how long a query waits for a connection to the server, unless the endpoint says so (dial_timeout).
const dialTimeout = 10 * time.Second

// connect makes the client, which connects to nothing yet. The database need not exist yet, so it is named in every statement and not in
// the connection.
func (o *Options) connect() (driver.Conn, error) {
	client, err := clickhouse.ParseDSN(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	client.Auth.Database = "default"
	if o.Username != "" {
		client.Auth.Username, client.Auth.Password = o.Username, o.Password
	}
	if o.TLS != nil {
		client.TLS = o.TLS
	}
	if client.Compression == nil {
		client.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	if client.DialTimeout == 0 { // the driver's own is as long as a query may take: that the server is away would not be known in time
		client.DialTimeout = dialTimeout
	}
	client.ClientInfo.Products = append(client.ClientInfo.Products, struct{ Name, Version string }{Name: "tracewright"})
	db, err := clickhouse.Open(client)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	return db, nil
}
