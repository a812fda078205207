package tracequeryextension

import (
	"errors"
	"fmt"
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
)

// Config is what a user configures under extensions::trace_query.
type Config struct {
	// HTTP is the server: endpoint (default localhost:16686), tls, cors, max_request_body_size (default 1 MiB; 0 is
	// confighttp's 20 MiB), read_timeout (default 30s), write_timeout (default 2m, 0 is none), response_headers, keepalive
	// and the rest of confighttp. Its own auth section is not used: see Auth.
	HTTP confighttp.ServerConfig `mapstructure:"http"`

	// Storage names the backend of the trace_store extension that is read. Required.
	Storage string `mapstructure:"storage"`

	// Auth names an authenticator extension (bearertokenauth, oidc, …) that every request has to satisfy. Default none:
	// whoever reaches the endpoint can read.
	Auth *component.ID `mapstructure:"auth"`

	// ManageAuth names an authenticator extension that requests which change something (deletions, backups, sources) have to satisfy in
	// place of Auth. Default none: whoever may read may change, but only while http::endpoint is a loopback address.
	ManageAuth *component.ID `mapstructure:"manage_auth"`

	// BackupDir is the folder below which backups are made; it is made with the first. Default none: no backups.
	BackupDir string `mapstructure:"backup_dir"`

	// Tenant says whose traces a request asks for.
	Tenant TenantConfig `mapstructure:"tenant"`

	// QueryTimeout bounds the reading of the storage for one request. Default 30s; must be positive, and less than
	// http::write_timeout so that a client can be told.
	QueryTimeout time.Duration `mapstructure:"query_timeout"`
}

// TenantConfig says where a request names its tenant.
type TenantConfig struct {
	// Header is the HTTP header that names the tenant; requests without it ask for the default tenant. A "tenant"
	// attribute of the authenticator overrules it. Default x-tracewright-tenant; empty reads no header.
	Header string `mapstructure:"header"`
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
	switch {
	case c.QueryTimeout <= 0:
		errs = append(errs, fmt.Errorf("query_timeout: must be positive, not %s", c.QueryTimeout))
	case c.HTTP.WriteTimeout > 0 && c.QueryTimeout >= c.HTTP.WriteTimeout:
		errs = append(errs, fmt.Errorf("query_timeout: must be less than http::write_timeout (%s), not %s",
			c.HTTP.WriteTimeout, c.QueryTimeout))
	}
	return errors.Join(errs...)
}
