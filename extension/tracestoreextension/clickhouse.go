package tracestoreextension

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
)

// ClickHouseConfig is a ClickHouse that the trace_clickhouse exporter writes.
type ClickHouseConfig struct {
	// Endpoint is where the servers are: clickhouse://host:9000, or tcp, http or https; several hosts, with commas between them, are replicas of
	// one shard. Required.
	Endpoint string `mapstructure:"endpoint"`
	// Database holds the tables; it is the exporter's database too. Default tracewright.
	Database string `mapstructure:"database"`
	// Username and Password, where set, go before those of the endpoint.
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
	// TLS encrypts the connections. Where the section is absent, the endpoint says (?secure=true, https).
	TLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"tls"`
	// CreateSchema makes and changes database, tables and views at the start. Otherwise an administrator runs what
	// `tracewrightctl schema` prints. Default true.
	CreateSchema bool `mapstructure:"create_schema"`
	// Variant is plain for one server, on_cluster to make the tables on all servers of a cluster, replicated to replicate them there too.
	// Default plain.
	Variant clickhousestore.Variant `mapstructure:"variant"`
	// Cluster is the cluster's name in the servers' configuration, where Variant is not plain.
	Cluster string `mapstructure:"cluster"`
	// Retention is how long traces are kept, counted from their release. Days (UTC) are dropped whole, so at most a day later. 0 keeps them
	// for ever. Default 168h.
	Retention time.Duration `mapstructure:"retention"`
	// Limits bound each query.
	Limits LimitsConfig `mapstructure:"limits"`
}

// LimitsConfig bounds a query in the server.
type LimitsConfig struct {
	// MaxRows is how many rows a query reads, in all tables. Default 200,000,000.
	MaxRows uint64 `mapstructure:"max_rows"`
	// MaxMemoryBytes is how much memory it uses. Default 4 GiB.
	MaxMemoryBytes uint64 `mapstructure:"max_memory_bytes"`
	// MaxTime is how long it runs. Default 30s.
	MaxTime time.Duration `mapstructure:"max_time"`
}

var _ confmap.Unmarshaler = (*ClickHouseConfig)(nil)

// Unmarshal sets the defaults, which a map's values cannot have otherwise.
func (c *ClickHouseConfig) Unmarshal(conf *confmap.Conf) error {
	c.Database, c.Retention = clickhousestore.DefaultDatabase, defaultRetention
	c.CreateSchema, c.Variant = true, clickhousestore.VariantPlain
	c.Limits = LimitsConfig{
		MaxRows: clickhousestore.DefaultMaxRows, MaxMemoryBytes: clickhousestore.DefaultMaxMemory, MaxTime: clickhousestore.DefaultMaxTime,
	}
	return conf.Unmarshal(c)
}

// validate reports all faults; key is where the section stands.
func (c *ClickHouseConfig) validate(key string) (errs []error) {
	if c.Endpoint == "" {
		errs = append(errs, fmt.Errorf("%s::endpoint: is empty; name a server, for example clickhouse://localhost:9000", key))
	} else if err := clickhousestore.CheckEndpoint(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("%s::endpoint: %w", key, err))
	}
	schema := clickhousestore.Schema{Database: c.Database, Variant: c.Variant, Cluster: c.Cluster}
	if err := schema.Check(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", key, err))
	}
	if c.Retention < 0 {
		errs = append(errs, fmt.Errorf("%s::retention: %s is negative; use a duration such as 168h, or 0 to keep traces for ever", key, c.Retention))
	}
	if c.Limits.MaxRows == 0 || c.Limits.MaxMemoryBytes == 0 || c.Limits.MaxTime <= 0 {
		errs = append(errs, fmt.Errorf("%s::limits: max_rows, max_memory_bytes and max_time must be above 0", key))
	}
	return errs
}

// openClickHouse makes the store, whose server need not answer yet.
func (e *storeExtension) openClickHouse(ctx context.Context, name string, health *health) (*clickhousestore.Store, error) {
	config := e.config.Backends[name].ClickHouse
	options := clickhousestore.Options{
		Endpoint: config.Endpoint, Database: config.Database, Username: config.Username, Password: string(config.Password),
		Retention: config.Retention, CreateSchema: config.CreateSchema, Variant: config.Variant, Cluster: config.Cluster,
		Limits: clickhousestore.Limits{
			MaxRows: config.Limits.MaxRows, MaxMemory: config.Limits.MaxMemoryBytes, MaxTime: config.Limits.MaxTime,
		},
		Logger:   e.telemetry.Logger.With(zap.String("backend", name)),
		OnHealth: func(err error) { health.report(name, err) },
	}
	if config.TLS.HasValue() {
		tls, err := config.TLS.Get().LoadTLSConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("backends::%s::clickhouse::tls: %w", name, err)
		}
		options.TLS = tls
	}
	store, err := clickhousestore.Open(options)
	if err != nil {
		return nil, fmt.Errorf("backends::%s::clickhouse: %w", name, err)
	}
	return store, nil
}
