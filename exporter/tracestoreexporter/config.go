package tracestoreexporter

import (
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"

	"github.com/tracewright/tracewright/internal/callexport"
)

// Config is the exporter's configuration.
type Config struct {
	// Storage is the name of a backend of the trace_store extension. Required.
	Storage string `mapstructure:"storage"`
	// Queue holds calls in front of the storage, for exporterhelper's sending_queue. Default: none, so that whoever hands a
	// call on learns when it is durable. A queue may not merge or split calls: sending_queue::batch is refused.
	Queue callexport.Queue `mapstructure:"sending_queue"`
	// Retry repeats a call that the storage refuses for now, for exporterhelper's retry_on_failure. Default: not enabled,
	// because trace_assembly repeats; where enabled, without end (max_elapsed_time 0).
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	retry := callexport.NewDefaultRetry()
	retry.Enabled = false
	return &Config{Queue: callexport.NewDefaultQueue(), Retry: retry}
}

// Validate reports all faults, one line each.
func (c *Config) Validate() error {
	var errs []error
	if c.Storage == "" {
		errs = append(errs, errors.New("storage: is empty; name a backend of the trace_store extension, for example main"))
	}
	errs = append(errs, callexport.CheckQueue(&c.Queue), callexport.CheckRetry(&c.Queue, &c.Retry, "the storage"))
	return errors.Join(errs...)
}
