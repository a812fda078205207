package tracequeryextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
	"github.com/tracewright/tracewright/internal/tenant"
)

// NewFactory makes the factory of trace_query.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, createExtension, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	http := confighttp.NewDefaultServerConfig()
	http.NetAddr.Endpoint = defaultEndpoint
	http.MaxRequestBodySize = defaultMaxRequestBodySize
	http.ReadTimeout = defaultReadTimeout
	http.WriteTimeout = defaultWriteTimeout
	return &Config{
		HTTP:   http,
		Tenant: TenantConfig{Header: tenant.DefaultHeader},
		Limits: LimitsConfig{
			MaxConcurrent:          defaultMaxConcurrent,
			MaxConcurrentPerClient: defaultMaxConcurrentPerClient,
			BurstPerClient:         defaultBurstPerClient,
			MaxTraceBytes:          defaultMaxTraceBytes,
			MaxTotalTraceBytes:     defaultMaxTotalTraceBytes,
		},
		QueryTimeout: defaultQueryTimeout,
	}
}

func createExtension(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(set, cfg.(*Config)), nil
}
