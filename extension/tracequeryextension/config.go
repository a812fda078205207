package tracequeryextension

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"golang.org/x/net/http/httpguts"

	"github.com/tracewright/tracewright/internal/tenant"
)

const (
	defaultEndpoint = "localhost:16686"
	// A search is a small document; confighttp's own default is for telemetry.
	defaultMaxRequestBodySize = 1 << 20
	defaultReadTimeout        = 30 * time.Second
	defaultQueryTimeout       = 30 * time.Second
	// A large trace over a slow line takes its time; the query's own time is part of it.
	defaultWriteTimeout = 2 * time.Minute

	defaultMaxConcurrent          = 128
	defaultMaxConcurrentPerClient = 32
	defaultBurstPerClient         = 100
	defaultMaxTraceBytes          = 128 << 20
	defaultMaxTotalTraceBytes     = 256 << 20
	// maxRate is more than any server answers.
	maxRate = 1e6
)

// Config is what a user configures under extensions::trace_query.
type Config struct {
	// HTTP is the server: endpoint (default localhost:16686), tls, cors, max_request_body_size (default 1 MiB; 0 is
	// confighttp's 20 MiB), read_timeout (default 30s), write_timeout (default 2m, 0 is none), response_headers, keepalive
	// and the rest of confighttp. Its own auth section is not used: see Auth.
	HTTP confighttp.ServerConfig `mapstructure:"http"`

	// Storage names the backend of the trace_store extension that is read. Required.
	Storage string `mapstructure:"storage"`

	// ServiceMap names a backend of the trace_store extension whose map of services is read, such as a neo4j one. Default: the rollups
	// of Storage.
	ServiceMap string `mapstructure:"service_map"`

	// Auth names an authenticator extension (bearertokenauth, oidc, …) that every request has to satisfy. Default none:
	// whoever reaches the endpoint can read.
	Auth *component.ID `mapstructure:"auth"`

	// ManageAuth names an authenticator extension that requests which change something (deletions, backups) have to satisfy in
	// place of Auth. Default none: whoever may read may change, but only while http::endpoint is a loopback address.
	ManageAuth *component.ID `mapstructure:"manage_auth"`

	// BackupDir is the folder below which backups are made; it is made with the first. Default none: no backups.
	BackupDir string `mapstructure:"backup_dir"`

	// Tenant says whose traces a request asks for.
	Tenant TenantConfig `mapstructure:"tenant"`

	// Links are templates of links to the logs and metrics of a trace or span in other systems. Default none.
	Links []LinkConfig `mapstructure:"links"`

	// AllowedHosts are the names, without ports, by which clients may name the server (the Host header), besides localhost, the name in
	// http::endpoint, and all addresses, which are always allowed. "*" allows any name; a site whose name leads to this address
	// (DNS rebinding) can then read what a browser that reaches the server can read. Default none.
	AllowedHosts []string `mapstructure:"allowed_hosts"`

	// Limits bounds what clients can ask of the server at a time.
	Limits LimitsConfig `mapstructure:"limits"`

	// QueryTimeout bounds the reading of the storage for one request. Default 30s; must be positive, and less than
	// http::write_timeout so that a client can be told.
	QueryTimeout time.Duration `mapstructure:"query_timeout"`

	// Prices say what services cost, for GET /traces/performance. Default none: costs are left out.
	Prices PricesConfig `mapstructure:"prices"`
}

// PricesConfig is a table of prices.
type PricesConfig struct {
	// Currency is that of the prices, in any words. Required where there are prices.
	Currency string `mapstructure:"currency"`

	// BusySecond is what one second costs in which a service works on a call, by the name of the service. At least 0. The time of services without a price
	// is stated beside the costs.
	BusySecond map[string]float64 `mapstructure:"busy_second"`
}

// TenantConfig says where a request names its tenant.
type TenantConfig struct {
	// Header is the HTTP header that names the tenant; requests without it ask for the default tenant. A "tenant"
	// attribute of the authenticator overrules it. Default x-tracewright-tenant; empty reads no header.
	Header string `mapstructure:"header"`
}

// hosts are AllowedHosts and the name in the endpoint, where there is one.
func (c *Config) hosts() []string {
	if name, _, err := net.SplitHostPort(c.HTTP.NetAddr.Endpoint); err == nil && name != "" {
		return append([]string{name}, c.AllowedHosts...)
	}
	return c.AllowedHosts
}

// LimitsConfig bounds what is served at a time. A client is who the authenticator says it is (its subject), else whoever comes from one
// address. What is refused is told so with status 429 and when to come back.
type LimitsConfig struct {
	// MaxConcurrent is how many requests are served at once. Default 128; 0 is no bound.
	MaxConcurrent int `mapstructure:"max_concurrent"`
	// MaxConcurrentPerClient is how many of them may be one client's. Default 32; 0 is no bound.
	MaxConcurrentPerClient int `mapstructure:"max_concurrent_per_client"`
	// RatePerClient is how many requests a client may send in a second, in the mean. Default 0, no bound.
	RatePerClient float64 `mapstructure:"rate_per_client"`
	// BurstPerClient is how many it may send at a time within that. Default 100; at least 1.
	BurstPerClient int `mapstructure:"burst_per_client"`
	// MaxTraceBytes is how much of one trace, as OTLP protobuf, is read to answer a request; the answer says that it is truncated.
	// In memory it takes some five times as much. Default 128 MiB; must be positive.
	MaxTraceBytes int64 `mapstructure:"max_trace_bytes"`
	// MaxTotalTraceBytes is the same for all requests at a time. A request that finds no room is refused with status 503. Default
	// 256 MiB; at least MaxTraceBytes.
	MaxTotalTraceBytes int64 `mapstructure:"max_total_trace_bytes"`
}

// validate reports all faults.
func (c *LimitsConfig) validate() (errs []error) {
	if c.MaxConcurrent < 0 {
		errs = append(errs, fmt.Errorf("limits::max_concurrent: must be a number of requests, or 0 for no bound, not %d", c.MaxConcurrent))
	}
	if c.MaxConcurrentPerClient < 0 {
		errs = append(errs, fmt.Errorf("limits::max_concurrent_per_client: must be a number of requests, or 0 for no bound, not %d",
			c.MaxConcurrentPerClient))
	}
	if !(c.RatePerClient >= 0 && c.RatePerClient <= maxRate) {
		errs = append(errs, fmt.Errorf("limits::rate_per_client: must be a number of requests a second of at most %g, or 0 for no bound, not %g",
			maxRate, c.RatePerClient))
	}
	if c.BurstPerClient < 1 {
		errs = append(errs, fmt.Errorf("limits::burst_per_client: must be at least 1, not %d", c.BurstPerClient))
	}
	if c.MaxTraceBytes <= 0 {
		errs = append(errs, fmt.Errorf("limits::max_trace_bytes: must be positive, not %d", c.MaxTraceBytes))
	}
	if c.MaxTotalTraceBytes < c.MaxTraceBytes {
		errs = append(errs, fmt.Errorf("limits::max_total_trace_bytes: must be at least max_trace_bytes (%d), not %d",
			c.MaxTraceBytes, c.MaxTotalTraceBytes))
	}
	return errs
}

var _ component.Config = (*Config)(nil)

// Validate reports everything that cannot work, one line each.
func (c *Config) Validate() error {
	var errs []error
	if c.HTTP.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("http::endpoint: must name what to listen on, such as "+defaultEndpoint))
	}
	if c.HTTP.Auth.HasValue() {
		errs = append(errs, errors.New("http::auth: name the authenticator in auth instead"))
	}
	if c.Storage == "" {
		errs = append(errs, errors.New("storage: must name a backend of the trace_store extension"))
	}
	if header := c.Tenant.Header; header != "" && !httpguts.ValidHeaderFieldName(header) {
		errs = append(errs, fmt.Errorf("tenant::header: %q is not the name of an HTTP header; the default is %s",
			header, tenant.DefaultHeader))
	}
	if _, err := makeLinks(c.Links); err != nil {
		errs = append(errs, err)
	}
	for i, host := range c.AllowedHosts {
		if host != "*" && (host == "" || strings.ContainsAny(host, "*/@ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil) {
			errs = append(errs, fmt.Errorf("allowed_hosts[%d]: %q is not a name; use one without scheme and port such as traces.example, or \"*\" for any",
				i, host))
		}
	}
	errs = append(errs, c.Limits.validate()...)
	switch {
	case c.QueryTimeout <= 0:
		errs = append(errs, fmt.Errorf("query_timeout: must be positive, not %s", c.QueryTimeout))
	case c.HTTP.WriteTimeout > 0 && c.QueryTimeout >= c.HTTP.WriteTimeout:
		errs = append(errs, fmt.Errorf("query_timeout: must be less than http::write_timeout (%s), not %s",
			c.HTTP.WriteTimeout, c.QueryTimeout))
	}
	return errors.Join(append(errs, c.Prices.faults()...)...)
}

func (c *PricesConfig) faults() (errs []error) {
	if len(c.BusySecond) > 0 && c.Currency == "" {
		errs = append(errs, errors.New("prices::currency: must name that of prices::busy_second, such as EUR"))
	}
	for _, service := range slices.Sorted(maps.Keys(c.BusySecond)) {
		if price := c.BusySecond[service]; !(price >= 0) || math.IsInf(price, 0) {
			errs = append(errs, fmt.Errorf("prices::busy_second::%s: must be a number of at least 0, not %g", service, price))
		}
	}
	return errs
}
