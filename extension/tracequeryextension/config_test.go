package tracequeryextension

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func loadConfig(t *testing.T, name string) *Config {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	require.NoError(t, confmap.Validate(config))
	return config
}

func TestDefaultConfig(t *testing.T) {
	config := loadConfig(t, "trace_query")
	require.Equal(t, "localhost:16686", config.HTTP.NetAddr.Endpoint)
	require.Equal(t, int64(1<<20), config.HTTP.MaxRequestBodySize)
	require.Equal(t, 30*time.Second, config.HTTP.ReadTimeout)
	require.Equal(t, 2*time.Minute, config.HTTP.WriteTimeout)
	require.Equal(t, "main", config.Storage)
	require.Nil(t, config.Auth)
	require.Nil(t, config.ManageAuth)
	require.Empty(t, config.BackupDir)
	require.Equal(t, "x-tracewright-tenant", config.Tenant.Header)
	require.Equal(t, 30*time.Second, config.QueryTimeout)
	require.Empty(t, config.Prices)
	require.Empty(t, config.AllowedHosts)
	require.Equal(t, LimitsConfig{
		MaxConcurrent: 128, MaxConcurrentPerClient: 32, BurstPerClient: 100, MaxTraceBytes: 128 << 20, MaxTotalTraceBytes: 256 << 20,
	}, config.Limits)
	require.Equal(t, []string{"localhost"}, config.hosts())
}

func TestFullConfig(t *testing.T) {
	config := loadConfig(t, "trace_query/all")
	require.Equal(t, "0.0.0.0:16687", config.HTTP.NetAddr.Endpoint)
	require.Equal(t, int64(65536), config.HTTP.MaxRequestBodySize)
	require.Equal(t, "archive", config.Storage)
	require.Equal(t, component.MustNewIDWithName("bearertokenauth", "readers"), *config.Auth)
	require.Equal(t, component.MustNewIDWithName("bearertokenauth", "managers"), *config.ManageAuth)
	require.Equal(t, "/srv/backups", config.BackupDir)
	require.Equal(t, "x-team", config.Tenant.Header)
	require.Equal(t, 5*time.Second, config.QueryTimeout)
	require.Equal(t, PricesConfig{Currency: "EUR", BusySecond: map[string]float64{"payment": 0.0005, "search.v2": 0}}, config.Prices)
	require.Equal(t, []LinkConfig{
		{Name: "logs", URL: "https://logs.example/?trace={trace_id}&from={from_ms}"},
		{Name: "logs", URL: "https://logs.example/?pod={resource.k8s.pod.name}", On: "span"},
	}, config.Links)
	links, err := makeLinks(config.Links)
	require.NoError(t, err)
	require.Len(t, links.Trace, 1)
	require.Len(t, links.Spans, 1)
	require.Equal(t, []string{"0.0.0.0", "traces.example"}, config.hosts())
	require.Equal(t, LimitsConfig{
		MaxConcurrent: 10, MaxConcurrentPerClient: 5, RatePerClient: 2.5, BurstPerClient: 7, MaxTraceBytes: 1000, MaxTotalTraceBytes: 2000,
	}, config.Limits)
}

func TestConfigFaults(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *Config)
		want   []string // the keys, one line each
	}{
		"nothing is set": {
			func(c *Config) { *c = Config{HTTP: confighttp.NewDefaultServerConfig()} },
			[]string{"http::endpoint: ", "storage: ", "limits::burst_per_client: ", "limits::max_trace_bytes: ", "query_timeout: "},
		},
		"no storage":       {func(c *Config) { c.Storage = "" }, []string{"storage: "}},
		"no header":        {func(c *Config) { c.Tenant.Header = "" }, nil},
		"bad header":       {func(c *Config) { c.Tenant.Header = "x tenant" }, []string{"tenant::header: "}},
		"negative timeout": {func(c *Config) { c.QueryTimeout = -time.Second }, []string{"query_timeout: must be positive"}},
		"timeout beyond the connection's": {
			func(c *Config) { c.QueryTimeout = 2 * time.Minute },
			[]string{"query_timeout: must be less than http::write_timeout"},
		},
		"connection without timeout": {
			func(c *Config) { c.QueryTimeout, c.HTTP.WriteTimeout = 2*time.Hour, 0 },
			nil,
		},
		"prices without a currency": {
			func(c *Config) { c.Prices.BusySecond = map[string]float64{"payment": 1} },
			[]string{"prices::currency: must name"},
		},
		"prices that are none": {
			func(c *Config) {
				c.Prices = PricesConfig{"EUR", map[string]float64{"a": -1, "b": math.NaN(), "c": math.Inf(1), "d": 0}}
			},
			[]string{"prices::busy_second::a: ", "prices::busy_second::b: ", "prices::busy_second::c: "},
		},
		"faulty links": {
			func(c *Config) {
				c.Links = []LinkConfig{
					{Name: "logs", URL: "https://logs.example/{trace_id}"},
					{Name: "logs", URL: "https://logs.example/{span_id}", On: "trace"},
					{URL: "logs.example", On: "host"},
				}
			},
			[]string{
				"links[1]::name: another link on a trace is called \"logs\" too", "links[1]::url: has {span_id}, which only a span has",
				"links[2]::on: must be trace or span", "links[2]::name: ", "links[2]::url: must begin with http",
			},
		},
		"hosts": {func(c *Config) { c.AllowedHosts = []string{"traces.example", "*", "::1"} }, nil},
		"no hosts": {
			func(c *Config) { c.AllowedHosts = []string{"", "http://a.example", "a.example:80", "*.example"} },
			[]string{"allowed_hosts[0]: ", "allowed_hosts[1]: ", "allowed_hosts[2]: ", "allowed_hosts[3]: "},
		},
		"no limits": {func(c *Config) {
			c.Limits.MaxConcurrent, c.Limits.MaxConcurrentPerClient, c.Limits.RatePerClient = 0, 0, 0
		}, nil},
		"bad limits": {
			func(c *Config) {
				c.Limits = LimitsConfig{MaxConcurrent: -1, MaxConcurrentPerClient: -1, RatePerClient: math.NaN(), MaxTraceBytes: 2, MaxTotalTraceBytes: 1}
			},
			[]string{
				"limits::max_concurrent: ", "limits::max_concurrent_per_client: ", "limits::rate_per_client: ", "limits::burst_per_client: ",
				"limits::max_total_trace_bytes: ",
			},
		},
		"confighttp's auth": {
			func(c *Config) { c.HTTP.Auth = configoptional.Some(confighttp.AuthConfig{}) },
			[]string{"http::auth: name the authenticator in auth instead"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			config.Storage = "main"
			test.change(config)
			err := config.Validate()
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(test.want))
			for i, want := range test.want {
				require.True(t, strings.HasPrefix(lines[i], want), lines[i])
			}
		})
	}
}
