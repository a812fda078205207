package servicemapexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/tracewright/tracewright/internal/callexport"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
)

const (
	defaultTimeout         = 30 * time.Second
	defaultMaxVirtualNodes = 1000
	defaultMinutes         = 24 * time.Hour
	defaultRetention       = 168 * time.Hour
	defaultCallIDRetention = 24 * time.Hour
)

// Config is the exporter's configuration.
type Config struct {
	// Neo4j is the server.
	Neo4j neo4jmap.ClientConfig `mapstructure:"neo4j"`
	// MaxVirtualNodes is how many databases, queues and external hosts of a tenant are told apart; calls to others go to one that is
	// called "other". Default 1000; at least 1.
	MaxVirtualNodes int `mapstructure:"max_virtual_nodes"`
	// Minutes is how long calls are known by the minute before they are folded into hours, by whole hours. Default 24h; 0 folds nothing.
	Minutes time.Duration `mapstructure:"minutes"`
	// Retention is how long calls are known at all. Default 168h; 0 is for ever.
	Retention time.Duration `mapstructure:"retention"`
	// CallIDRetention is how long a call that comes again is recognised: longer than any call may wait in a queue. Default 24h; must be
	// positive.
	CallIDRetention time.Duration `mapstructure:"call_id_retention"`
	// Timeout bounds one attempt (timeout). Default 30s; 0 is none.
	Timeout exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// Queue holds calls in front of Neo4j, for exporterhelper's sending_queue. Default: none, so that whoever hands a call on waits for
	// Neo4j. A queue may not merge or split calls: sending_queue::batch is refused.
	Queue callexport.Queue `mapstructure:"sending_queue"`
	// Retry repeats a call that Neo4j does not take for now, for exporterhelper's retry_on_failure. Default: enabled, without end
	// (max_elapsed_time 0).
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		Neo4j:           neo4jmap.NewDefaultClientConfig(),
		MaxVirtualNodes: defaultMaxVirtualNodes,
		Minutes:         defaultMinutes,
		Retention:       defaultRetention,
		CallIDRetention: defaultCallIDRetention,
		Timeout:         exporterhelper.TimeoutConfig{Timeout: defaultTimeout},
		Queue:           callexport.NewDefaultQueue(),
		Retry:           callexport.NewDefaultRetry(),
	}
}

// Validate reports all faults but those of neo4j, one line each.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxVirtualNodes < 1 {
		errs = append(errs, fmt.Errorf("max_virtual_nodes: %d is too few; use 1 or more", c.MaxVirtualNodes))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"minutes", c.Minutes}, {"retention", c.Retention}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is negative; use a duration such as 24h, or 0 for ever", d.key, d.value))
		}
	}
	if c.CallIDRetention <= 0 {
		errs = append(errs, fmt.Errorf("call_id_retention: must be positive, not %s", c.CallIDRetention))
	}
	errs = append(errs, callexport.CheckQueue(&c.Queue), callexport.CheckRetry(&c.Queue, &c.Retry, "Neo4j"))
	return errors.Join(errs...)
}
