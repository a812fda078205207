package skywalkingreceiver

import (
	"context"
	"slices"
	"sync"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/skywalkingreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/hostextension"
	"github.com/tracewright/tracewright/internal/recovering"
	"github.com/tracewright/tracewright/receiver/skywalkingreceiver/internal/metadata"
)

// NewFactory makes the factory of the collector's receiver, guarded. Its configuration is the collector's.
func NewFactory() receiver.Factory {
	inner := upstream.NewFactory()
	create := func(ctx context.Context, set receiver.Settings, config component.Config, next consumer.Traces) (receiver.Traces, error) {
		segments, err := newServer(set, next)
		if err != nil {
			return nil, err
		}
		guarded := *config.(*upstream.Config)
		if guarded.GRPC != nil {
			own := *guarded.GRPC
			recovering.Guard(&own)
			own.Middlewares = append(slices.Clip(own.Middlewares), serverMiddleware)
			guarded.GRPC = &own
		}
		if guarded.HTTP != nil {
			own := *guarded.HTTP
			own.Middlewares = append(slices.Clip(own.Middlewares), serverMiddleware)
			guarded.HTTP = &own
		}
		traces, err := inner.CreateTraces(ctx, set, &guarded, next)
		if err != nil {
			return nil, err
		}
		return &guardedReceiver{Traces: traces, segments: segments, logger: set.Logger}, nil
	}
	return receiver.NewFactory(metadata.Type, inner.CreateDefaultConfig, receiver.WithTraces(create, metadata.TracesStability))
}

// guardedReceiver starts the collector's receiver with a host that has the middlewares.
type guardedReceiver struct {
	receiver.Traces
	segments *server
	logger   *zap.Logger
	close    sync.Once
}

// Start implements component.Component.
func (r *guardedReceiver) Start(ctx context.Context, host component.Host) error {
	host = hostextension.With(host, map[component.ID]component.Component{serverMiddleware.ID: r.segments})
	return r.Traces.Start(ctx, recovering.Host(host, r.logger))
}

// Shutdown implements component.Component. Where the pipeline takes longer than ctx to take what it has, the rest ends behind it.
func (r *guardedReceiver) Shutdown(ctx context.Context) error {
	r.close.Do(func() { close(r.segments.closing) })
	ended := make(chan error, 1)
	go func() { ended <- r.Traces.Shutdown(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
