package tracesummaryconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	for name, want := range map[string]MetricsConfig{
		"tracesummary":            {15 * time.Second, TemporalityDelta, 10_000, 160},
		"tracesummary/cumulative": {time.Minute, TemporalityCumulative, 500, 40},
	} {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.Equal(t, &Config{want}, cfg)
		require.NoError(t, confmap.Validate(cfg))
	}
}

func TestInvalidConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*MetricsConfig)
		want   string
	}{
		"interval":    {func(m *MetricsConfig) { m.FlushInterval = 0 }, "metrics::flush_interval is 0s: give a positive time, such as 15s"},
		"temporality": {func(m *MetricsConfig) { m.Temporality = "Delta" }, `metrics::temporality is "Delta": give delta or cumulative`},
		"series":      {func(m *MetricsConfig) { m.MaxSeries = -1 }, "metrics::max_series is -1: give a positive number, such as 10000"},
		"few buckets": {func(m *MetricsConfig) { m.MaxBuckets = 1 }, "metrics::max_buckets is 1: give a number from 2 to 1024"},
		"many":        {func(m *MetricsConfig) { m.MaxBuckets = 1025 }, "metrics::max_buckets is 1025: give a number from 2 to 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			test.change(&cfg.Metrics)
			require.EqualError(t, cfg.Validate(), test.want)
		})
	}
}
