package traceassemblyprocessor

import (
	"context"
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

const (
	// tenantAttribute is an authenticator's attribute that names the tenant.
	tenantAttribute = "tenant"
	// maxTenantBytes bounds a name that stands in every key of every store.
	maxTenantBytes = 256
)

// requestTenant is the tenant that a request belongs to; the default tenant is empty. Its error is permanent: the same
// request will never do.
func requestTenant(ctx context.Context, header string) (string, error) {
	info := client.FromContext(ctx)
	if info.Auth != nil {
		if tenant := authTenant(info.Auth.GetAttribute(tenantAttribute)); tenant != "" {
			return checkTenant("the authenticator's attribute "+tenantAttribute, tenant)
		}
	}
	if header != "" {
		if values := info.Metadata.Get(header); len(values) > 0 {
			return checkTenant("the header "+header, values[0])
		}
	}
	return "", nil
}

// authTenant reads the forms in which authenticators give an attribute.
func authTenant(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []string:
		if len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

func checkTenant(source, tenant string) (string, error) {
	if len(tenant) > maxTenantBytes || !utf8.ValidString(tenant) {
		return "", consumererror.NewPermanent(fmt.Errorf(
			"%s is no tenant: it must be UTF-8 of at most %d bytes", source, maxTenantBytes))
	}
	return tenant, nil
}
