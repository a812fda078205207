package agentguardprocessor

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
)

// Config is what users write under processors::agent_guard. Both count a resource again with each of its scopes, as load_balancing copies it,
// and more for each of these and for each span: see weights.
type Config struct {
	// MaxPartBytes is how much goes on at once. A larger request goes on in parts, which are queued and sent one by one.
	MaxPartBytes int `mapstructure:"max_part_bytes"`
	// MaxRequestBytes is from where on a request is refused for good.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{MaxPartBytes: 2 << 20, MaxRequestBytes: 64 << 20}
}

// Validate says what is wrong with the configuration.
func (c *Config) Validate() error {
	var err error
	if c.MaxPartBytes < 1 {
		err = fmt.Errorf("max_part_bytes is %d, must be at least 1", c.MaxPartBytes)
	}
	if c.MaxRequestBytes < c.MaxPartBytes {
		err = errors.Join(err, fmt.Errorf("max_request_bytes is %d, must be at least max_part_bytes, %d", c.MaxRequestBytes, c.MaxPartBytes))
	}
	return err
}
