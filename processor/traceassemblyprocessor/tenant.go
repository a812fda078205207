package traceassemblyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/tenant"
)

// requestTenant is the tenant that a request belongs to; the default tenant is empty. Its error is permanent, for the same
// request will never do, and has the status that makes receivers blame the sender and not themselves.
func requestTenant(ctx context.Context, header string) (string, error) {
	info := client.FromContext(ctx)
	var values []string
	if header != "" {
		values = info.Metadata.Get(header)
	}
	name, err := tenant.Of(info.Auth, header, values)
	if err != nil {
		return "", consumererror.NewPermanent(status.Error(codes.InvalidArgument, err.Error()))
	}
	return name, nil
}
