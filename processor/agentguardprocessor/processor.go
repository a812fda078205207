package agentguardprocessor

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/tenant"
)

// guard hands requests on, whole or in parts, or refuses them. It keeps nothing.
type guard struct {
	component.StartFunc
	component.ShutdownFunc
	config *Config
	next   consumer.Traces
}

// Capabilities implements consumer.Traces: spans are moved into parts.
func (*guard) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// ConsumeTraces implements consumer.Traces. Where a part is refused the sender repeats all of them; a gateway knows the spans that it has.
func (g *guard) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	info := client.FromContext(ctx)
	// A gateway refuses the spans of a tenant that is none, when their sender has gone. And a name of any length would be added to each resource.
	if _, err := tenant.Of(info.Auth, tenant.DefaultHeader, info.Metadata.Get(tenant.DefaultHeader)); err != nil {
		return refuse("%s", err.Error())
	}
	weight := weigh(td)
	if weight <= g.config.MaxPartBytes {
		return g.next.ConsumeTraces(ctx, td)
	}
	if weight > g.config.MaxRequestBytes {
		return refuse("the request takes %d bytes when its resources stand with each of their scopes, max_request_bytes of agent_guard is %d: "+
			"send it in smaller ones", weight, g.config.MaxRequestBytes)
	}
	for part := range parts(td, g.config.MaxPartBytes) {
		if err := g.next.ConsumeTraces(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func refuse(format string, args ...any) error {
	return consumererror.NewPermanent(status.Errorf(codes.InvalidArgument, format, args...))
}
