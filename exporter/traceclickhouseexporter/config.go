package traceclickhouseexporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracewright/tracewright/internal/callexport"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
)

const defaultTimeout = time.Minute

// Config is the exporter's configuration.
type Config struct {
	// Endpoint is where the server is: clickhouse://host:9000, or tcp, http or https, with parameters of the connection behind a question mark.
	// Only with the replicated variant it may be several, with commas between them. Required.
	Endpoint string `mapstructure:"endpoint"`
	// Database holds the tables, which trace_store makes there. Default tracewright.
	Database string `mapstructure:"database"`
	// Username and Password, where set, go before those of the endpoint.
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
	// TLS encrypts the connections; where nothing is set, the endpoint says (?secure=true, https).
	TLS configtls.ClientConfig `mapstructure:"tls"`
	// Compress is how what is sent is compressed: none, zstd, lz4, gzip, deflate, br. Default lz4.
	Compress string `mapstructure:"compress"`
	// Variant is that of the tables, as trace_store has it. Default plain.
	Variant clickhousestore.Variant `mapstructure:"variant"`
	// Timeout bounds one attempt (timeout). Default 60s; 0 is none.
	Timeout exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// Queue holds calls in front of ClickHouse, for exporterhelper's sending_queue. Default: none, so that whoever hands a call on waits
	// for ClickHouse. A queue may not merge or split calls: sending_queue::batch is refused.
	Queue callexport.Queue `mapstructure:"sending_queue"`
	// Retry repeats a call that ClickHouse does not take for now, for exporterhelper's retry_on_failure. Default: enabled, without end
	// (max_elapsed_time 0).
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		Database: clickhousestore.DefaultDatabase,
		Compress: "lz4",
		Variant:  clickhousestore.VariantPlain,
		Timeout:  exporterhelper.TimeoutConfig{Timeout: defaultTimeout},
		Queue:    callexport.NewDefaultQueue(),
		Retry:    callexport.NewDefaultRetry(),
	}
}

// Validate reports all faults, one line each.
func (c *Config) Validate() error {
	var errs []error
	if c.Endpoint == "" {
		errs = append(errs, errors.New("endpoint: is empty; name a server, for example clickhouse://localhost:9000"))
	} else if err := clickhousestore.CheckWritten(c.Endpoint, c.Variant); err != nil {
		errs = append(errs, fmt.Errorf("endpoint: %w", err))
	} else if err := c.inserting(clickhousestore.Table).Validate(); err != nil {
		errs = append(errs, err)
	}
	if c.Database == "" {
		errs = append(errs, errors.New("database: is empty; name the one of trace_store"))
	}
	if !clickhousestore.IsVariant(c.Variant) {
		errs = append(errs, fmt.Errorf("variant: %q is none; use one of %q", c.Variant, clickhousestore.Variants))
	}
	errs = append(errs, callexport.CheckQueue(&c.Queue), callexport.CheckRetry(&c.Queue, &c.Retry, "ClickHouse"))
	return errors.Join(errs...)
}

// schema says where the tables are.
func (c *Config) schema(ctx context.Context) (clickhousestore.Options, error) {
	options := clickhousestore.Options{
		Endpoint: c.Endpoint, Database: c.Database, Username: c.Username, Password: string(c.Password), Variant: c.Variant,
	}
	// As the exporter that inserts has it: where nothing is set, the endpoint says.
	if c.TLS.CertFile != "" || c.TLS.KeyFile != "" || c.TLS.CAFile != "" || c.TLS.ServerName != "" || c.TLS.Insecure || c.TLS.InsecureSkipVerify {
		tls, err := c.TLS.LoadTLSConfig(ctx)
		if err != nil {
			return options, fmt.Errorf("tls: %w", err)
		}
		options.TLS = tls
	}
	return options, nil
}

// inserting is the configuration of the exporter that inserts into the table. It waits for nobody and repeats nothing itself.
func (c *Config) inserting(table string) *clickhouseexporter.Config {
	config := clickhouseexporter.NewFactory().CreateDefaultConfig().(*clickhouseexporter.Config)
	config.Endpoint, config.Database, config.Username, config.Password = c.Endpoint, c.Database, c.Username, c.Password
	config.TLS, config.Compress, config.TracesTableName = c.TLS, c.Compress, table
	config.CreateSchema, config.AsyncInsert = false, false
	config.TimeoutSettings.Timeout = 0
	config.BackOffConfig.Enabled = false
	config.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
	return config
}
