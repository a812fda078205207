package tracesourcesreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *Config)
		want   string
	}{
		"no storage":    {func(c *Config) { c.Storage = "" }, "storage: is empty"},
		"no type":       {func(c *Config) { c.AllowedTypes = []string{"otlp/2"} }, `allowed_types: "otlp/2" is not the type of a receiver`},
		"itself":        {func(c *Config) { c.AllowedTypes = []string{"trace_sources"} }, "allowed_types: trace_sources holds sources"},
		"bad listen":    {func(c *Config) { c.AllowedListen = []string{"localhost:x"} }, `allowed_listen: "localhost:x": "x" are no ports`},
		"bad host":      {func(c *Config) { c.AllowedHosts = []string{"10.0.0.0/40"} }, `allowed_hosts: "10.0.0.0/40": is no network`},
		"no sources":    {func(c *Config) { c.MaxSources = 0 }, "max_sources: must be at least 1, not 0"},
		"never polling": {func(c *Config) { c.PollInterval = -time.Second }, "poll_interval: must be positive, not -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			c.Storage = "main"
			require.NoError(t, c.Validate())
			test.change(c)
			require.ErrorContains(t, c.Validate(), test.want)
		})
	}
}
