package traceassemblyprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/tracewright/tracewright/processor/traceassemblyprocessor/internal/metadata"
)

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	load := func(id component.ID) *Config {
		sub, err := conf.Sub(id.String())
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, cfg.Validate())
		return cfg
	}
	learned := component.MustNewIDWithName("file_storage", "learned")
	require.Equal(t, createDefaultConfig(), load(component.NewID(metadata.Type)))
	require.Equal(t, &Config{
		Linger: 2 * time.Second, Quiet: QuietConfig{Min: 500 * time.Millisecond, Max: 5 * time.Second},
		MaxWait: 30 * time.Second, InterimInterval: 10 * time.Second, LateWindow: 2 * time.Minute, StorageID: &learned,
		MaxTraceSpans: 50_000, MaxTraceBytes: 8 << 20, MaxPartBytes: 512 << 10, MaxSpanBytes: 1 << 20, MemoryLimitBytes: 256 << 20,
		ReleaseBatch: ReleaseBatchConfig{MaxSpans: 4096, MaxDelay: 20 * time.Millisecond},
		Tenant:       TenantConfig{Header: "x-scope-orgid"}, TrustAnnotations: true, NumShards: 3, ShutdownTimeout: 5 * time.Second,
		Journal: configoptional.Some(JournalConfig{
			Directory: "/var/lib/tracewright/journal", Sync: SyncInterval, SyncInterval: 100 * time.Millisecond, MaxBytes: 1 << 30,
		}),
	}, load(component.NewIDWithName(metadata.Type, "all")))
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Config)
		want   []string // the beginning of each line
	}{
		"negative linger":         {func(c *Config) { c.Linger = -1 }, []string{"linger: must not be negative"}},
		"linger above max_wait":   {func(c *Config) { c.Linger = time.Hour }, []string{"linger: must not exceed max_wait"}},
		"quiet min":               {func(c *Config) { c.Quiet.Min = 0 }, []string{"quiet::min: must be positive"}},
		"quiet max below min":     {func(c *Config) { c.Quiet.Max = 1 }, []string{"quiet::max: must be at least quiet::min"}},
		"quiet max above wait":    {func(c *Config) { c.MaxWait = 5 * time.Second }, []string{"quiet::max: must not exceed max_wait"}},
		"no max_wait":             {func(c *Config) { c.MaxWait = 0 }, []string{"max_wait: must be positive"}},
		"short interim":           {func(c *Config) { c.InterimInterval = 1 }, []string{"interim_interval: must be 0 (never), or at least 1s"}},
		"negative interim":        {func(c *Config) { c.InterimInterval = -1 }, []string{"interim_interval: must be 0"}},
		"interim at max_wait":     {func(c *Config) { c.InterimInterval = time.Minute }, []string{"interim_interval: must be 0 (never), or at least 1s and less than max_wait (1m0s)"}},
		"no late_window":          {func(c *Config) { c.LateWindow = 0 }, []string{"late_window: must be positive"}},
		"no max_trace_spans":      {func(c *Config) { c.MaxTraceSpans = 0 }, []string{"max_trace_spans: must be positive"}},
		"no max_trace_bytes":      {func(c *Config) { c.MaxTraceBytes = 0 }, []string{"max_trace_bytes: must be positive"}},
		"no max_part_bytes":       {func(c *Config) { c.MaxPartBytes = 0 }, []string{"max_part_bytes: must be positive"}},
		"part above trace":        {func(c *Config) { c.MaxPartBytes = 1 << 30 }, []string{"max_part_bytes: must not exceed max_trace_bytes"}},
		"no max_span_bytes":       {func(c *Config) { c.MaxSpanBytes = 0 }, []string{"max_span_bytes: must be positive"}},
		"span above trace":        {func(c *Config) { c.MaxSpanBytes = 32 << 20 }, []string{"max_span_bytes: must not exceed max_trace_bytes"}},
		"span far above":          {func(c *Config) { c.MaxSpanBytes, c.MaxTraceBytes, c.MemoryLimitBytes = 1<<31, 1<<32, 1<<36 }, []string{"max_span_bytes: must be at most"}},
		"memory below a trace":    {func(c *Config) { c.MemoryLimitBytes = 100 << 20 }, []string{"memory_limit_bytes: must be at least 8 times max_trace_bytes"}},
		"no max_spans":            {func(c *Config) { c.ReleaseBatch.MaxSpans = 0 }, []string{"release_batch::max_spans: must be positive"}},
		"negative max_delay":      {func(c *Config) { c.ReleaseBatch.MaxDelay = -1 }, []string{"release_batch::max_delay: must not be negative"}},
		"negative num_shards":     {func(c *Config) { c.NumShards = -1 }, []string{"num_shards: must be between 0"}},
		"a million shards":        {func(c *Config) { c.NumShards = 1e6 }, []string{"num_shards: must be between 0"}},
		"no shutdown_timeout":     {func(c *Config) { c.ShutdownTimeout = 0 }, []string{"shutdown_timeout: must be positive"}},
		"two at once":             {func(c *Config) { c.LateWindow, c.Linger = -1, -1 }, []string{"linger: must not be negative", "late_window: must be positive"}},
		"zeros that mean a thing": {func(c *Config) { c.Linger, c.NumShards, c.Tenant.Header, c.ReleaseBatch.MaxDelay = 0, 0, "", 0 }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			test.change(cfg)
			err := cfg.Validate()
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(test.want))
			for i, want := range test.want {
				require.True(t, strings.HasPrefix(lines[i], want), "%q", lines[i])
			}
		})
	}
}
