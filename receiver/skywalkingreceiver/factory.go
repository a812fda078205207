package skywalkingreceiver

import (
	"context"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/skywalkingreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/recovering"
	"github.com/tracewright/tracewright/receiver/skywalkingreceiver/internal/metadata"
)

// NewFactory makes the factory of the collector's receiver, guarded. Its configuration is the collector's.
func NewFactory() receiver.Factory {
	inner := upstream.NewFactory()
	create := func(ctx context.Context, set receiver.Settings, config component.Config, next consumer.Traces) (receiver.Traces, error) {
		guarded := *config.(*upstream.Config)
		if guarded.GRPC != nil {
			server := *guarded.GRPC
			recovering.Guard(&server)
			guarded.GRPC = &server
		}
		traces, err := inner.CreateTraces(ctx, set, &guarded, next)
		if err != nil {
			return nil, err
		}
		return &guardedReceiver{Traces: traces, logger: set.Logger}, nil
	}
	return receiver.NewFactory(metadata.Type, inner.CreateDefaultConfig, receiver.WithTraces(create, metadata.TracesStability))
}

// guardedReceiver starts the collector's receiver with a host that has the middleware.
type guardedReceiver struct {
	receiver.Traces
	logger *zap.Logger
}

// Start implements component.Component.
func (r *guardedReceiver) Start(ctx context.Context, host component.Host) error {
	return r.Traces.Start(ctx, recovering.Host(host, r.logger))
}
