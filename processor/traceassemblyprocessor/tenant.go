package traceassemblyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/tracewright/tracewright/internal/tenant"
)

// requestTenant is the tenant that a request belongs to; the default tenant is empty. Its error is permanent: the same
// request will never do.
func requestTenant(ctx context.Context, header string) (string, error) {
	info := client.FromContext(ctx)
	var values []string
	if header != "" {
		values = info.Metadata.Get(header)
	}
	name, err := tenant.Of(info.Auth, header, values)
	if err != nil {
		return "", consumererror.NewPermanent(err)
	}
	return name, nil
}
