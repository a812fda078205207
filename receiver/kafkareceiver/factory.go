package kafkareceiver

import (
	"context"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkareceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracewright/tracewright/internal/hostextension"
	"github.com/tracewright/tracewright/receiver/kafkareceiver/internal/metadata"
)

// encodings go before those of the collector's receiver, which looks for one among the extensions first.
var encodings = map[component.ID]component.Component{
	component.MustNewID("otlp_proto"): &protobuf{},
	component.MustNewID("otlp_json"):  &json{},
}

// NewFactory makes the factory of the collector's receiver, guarded. Its configuration is the collector's.
func NewFactory() receiver.Factory {
	inner := upstream.NewFactory()
	create := func(ctx context.Context, set receiver.Settings, config component.Config, next consumer.Traces) (receiver.Traces, error) {
		traces, err := inner.CreateTraces(ctx, set, config, next)
		if err != nil {
			return nil, err
		}
		return &guardedReceiver{traces}, nil
	}
	return receiver.NewFactory(metadata.Type, inner.CreateDefaultConfig, receiver.WithTraces(create, metadata.TracesStability))
}

// guardedReceiver starts the collector's receiver with a host that has the encodings.
type guardedReceiver struct{ receiver.Traces }

// Start implements component.Component.
func (r *guardedReceiver) Start(ctx context.Context, host component.Host) error {
	return r.Traces.Start(ctx, hostextension.With(host, encodings))
}
