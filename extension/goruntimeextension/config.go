package goruntimeextension

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
)

// Config is the configuration of the extension.
type Config struct {
	// GCPercent is by how much the heap may grow, in percent of what is live, before garbage is collected. It is what the
	// environment variable GOGC sets, which goes before it.
	GCPercent int `mapstructure:"gc_percent"`
	// MaxHeadroomMiB bounds that growth, so that a heap of which much is live does not take as much again. 0 is no bound. GOGC goes
	// before it, too.
	MaxHeadroomMiB int `mapstructure:"max_headroom_mib"`
	// MinGCPercent is by how much the heap may grow at least, whatever MaxHeadroomMiB says: it bounds what collecting a large heap costs.
	// More than GCPercent is as much as GCPercent.
	MinGCPercent int `mapstructure:"min_gc_percent"`
	// MemoryLimitPercentage is the share of the container's memory, or of the machine's where there is no container, from which on
	// garbage is collected more often than GCPercent says, so that the memory is enough. It is what GOMEMLIMIT sets, which goes
	// before it. 0 sets no limit.
	MemoryLimitPercentage int `mapstructure:"memory_limit_percentage"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{GCPercent: 120, MaxHeadroomMiB: 176, MinGCPercent: 25, MemoryLimitPercentage: 55}
}

// Validate says what is wrong with the configuration.
func (c *Config) Validate() error {
	var err error
	if c.GCPercent < 1 {
		err = fmt.Errorf("gc_percent is %d, must be at least 1; Go's own value is 100", c.GCPercent)
	}
	if c.MaxHeadroomMiB < 0 {
		err = errors.Join(err, fmt.Errorf("max_headroom_mib is %d, must be positive, or 0 for no bound", c.MaxHeadroomMiB))
	}
	if c.MinGCPercent < 1 {
		err = errors.Join(err, fmt.Errorf("min_gc_percent is %d, must be at least 1", c.MinGCPercent))
	}
	if c.MemoryLimitPercentage < 0 || c.MemoryLimitPercentage > 100 {
		err = errors.Join(err, fmt.Errorf("memory_limit_percentage is %d, must be from 0 (no limit) to 100", c.MemoryLimitPercentage))
	}
	return err
}
