package tracesourcesreceiver

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/address"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

const (
	defaultPollInterval = 10 * time.Second
	defaultMaxSources   = 100
)

// Config is what a user configures under receivers::trace_sources.
type Config struct {
	// Storage names the backend of the trace_store extension that keeps the sources. Required.
	Storage string `mapstructure:"storage"`

	// AllowedTypes are the receivers that a source may be. Default otlp, jaeger, zipkin, kafka.
	AllowedTypes []string `mapstructure:"allowed_types"`

	// AllowedListen are the addresses on which a source may listen: host, host:port, or host:port-port. localhost stands for all
	// loopback addresses, 0.0.0.0 and [::] for every address. Default localhost.
	AllowedListen []string `mapstructure:"allowed_listen"`

	// AllowedHosts are the hosts to which a source may connect: as above, or *.domain, a network (10.0.0.0/8), or * for every host.
	// Default none.
	AllowedHosts []string `mapstructure:"allowed_hosts"`

	// SecretsDir is the folder of the files that a source's configuration may name: secrets, by their names in it, and certificates.
	// Default none: no source has either.
	SecretsDir string `mapstructure:"secrets_dir"`

	// MaxSources bounds how many sources there may be. Default 100.
	MaxSources int `mapstructure:"max_sources"`

	// PollInterval is how often the storage is asked for changes that other instances made. Default 10s.
	PollInterval time.Duration `mapstructure:"poll_interval"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		AllowedTypes:  []string{"otlp", "jaeger", "zipkin", "kafka"},
		AllowedListen: []string{"localhost"},
		MaxSources:    defaultMaxSources,
		PollInterval:  defaultPollInterval,
	}
}

// typePattern is what types of components are like.
var typePattern = regexp.MustCompile(`^[a-zA-Z][0-9a-zA-Z_]{0,62}$`)

// Validate reports all faults, one line each.
func (c *Config) Validate() error {
	var errs []error
	if c.Storage == "" {
		errs = append(errs, errors.New("storage: is empty; name a backend of the trace_store extension, for example main"))
	}
	for _, name := range c.AllowedTypes {
		switch {
		case !typePattern.MatchString(name):
			errs = append(errs, fmt.Errorf("allowed_types: %q is not the type of a receiver; name one such as otlp", name))
		case name == metadata.Type.String():
			errs = append(errs, fmt.Errorf("allowed_types: %s holds sources and cannot be one; take it out", name))
		}
	}
	if _, err := address.ParseList(c.AllowedListen, address.Listen); err != nil {
		errs = append(errs, fmt.Errorf("allowed_listen: %w", err))
	}
	if _, err := address.ParseList(c.AllowedHosts, address.Dial); err != nil {
		errs = append(errs, fmt.Errorf("allowed_hosts: %w", err))
	}
	if c.MaxSources < 1 {
		errs = append(errs, fmt.Errorf("max_sources: must be at least 1, not %d", c.MaxSources))
	}
	if c.PollInterval <= 0 {
		errs = append(errs, fmt.Errorf("poll_interval: must be positive, not %s", c.PollInterval))
	}
	return errors.Join(errs...)
}
