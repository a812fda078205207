package tracequeryextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"golang.org/x/net/http/httpguts"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/correlation"
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

	// ManageAuth names an authenticator extension that requests which change something (deletions, backups) have to satisfy in
	// place of Auth. Default none: whoever may read may change, but only while http::endpoint is a loopback address.
	ManageAuth *component.ID `mapstructure:"manage_auth"`

	// BackupDir is the folder below which backups are made; it is made with the first. Default none: no backups.
	BackupDir string `mapstructure:"backup_dir"`

	// Tenant says whose traces a request asks for.
	Tenant TenantConfig `mapstructure:"tenant"`

	// Links are templates of links to the logs and metrics of a trace or span in other systems. Default none.
	Links []LinkConfig `mapstructure:"links"`

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

// LinkConfig is one template of a link.
type LinkConfig struct {
	// Name is what the link is called in answers; each once for traces, and once for spans. Required.
	Name string `mapstructure:"name"`

	// URL is the link, with placeholders in braces for what the trace or span says of itself, such as
	// https://logs.example/search?trace={trace_id}&from={from_ms}&to={to_ms}. The README lists them. Required.
	URL string `mapstructure:"url"`

	// On says what has the link: trace, or span. Default trace.
	On string `mapstructure:"on"`
}

// What has a link.
const (
	onTrace = "trace"
	onSpan  = "span"
)

// makeLinks reads the templates; nil where there are none.
func makeLinks(configured []LinkConfig) (*api.Links, error) {
	if len(configured) == 0 {
		return nil, nil
	}
	var links api.Links
	var errs []error
	known := make(map[string]bool)
	for i, link := range configured {
		key := fmt.Sprintf("links[%d]", i)
		on := link.On
		switch {
		case on == "":
			on = onTrace
		case on != onTrace && on != onSpan:
			errs = append(errs, fmt.Errorf("%s::on: must be %s or %s, not %q", key, onTrace, onSpan, on))
		}
		switch {
		case link.Name == "":
			errs = append(errs, fmt.Errorf("%s::name: must say what the link is called, such as logs", key))
		case known[on+" "+link.Name]:
			errs = append(errs, fmt.Errorf("%s::name: another link on a %s is called %q too", key, on, link.Name))
		}
		known[on+" "+link.Name] = true
		template, err := correlation.New(link.Name, link.URL, on == onSpan)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s::url: %w", key, err))
			continue
		}
		if on == onSpan {
			links.Spans = append(links.Spans, template)
		} else {
			links.Trace = append(links.Trace, template)
		}
	}
	return &links, errors.Join(errs...)
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
	switch {
	case c.QueryTimeout <= 0:
		errs = append(errs, fmt.Errorf("query_timeout: must be positive, not %s", c.QueryTimeout))
	case c.HTTP.WriteTimeout > 0 && c.QueryTimeout >= c.HTTP.WriteTimeout:
		errs = append(errs, fmt.Errorf("query_timeout: must be less than http::write_timeout (%s), not %s",
			c.HTTP.WriteTimeout, c.QueryTimeout))
	}
	return errors.Join(errs...)
}
