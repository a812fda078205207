package kafkareceiver

import (
	"context"
	"errors"

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

// NewFactory makes the factory of the collector's receiver, guarded. Its configuration is the collector's, with other defaults.
func NewFactory() receiver.Factory {
	inner := upstream.NewFactory()
	create := func(ctx context.Context, set receiver.Settings, config component.Config, next consumer.Traces) (receiver.Traces, error) {
		own := config.(*Config)
		own.warn(set.Logger)
		guarded := new(guardedReceiver)
		for _, one := range own.byTopic() {
			traces, err := inner.CreateTraces(ctx, set, one, next)
			if err != nil {
				return nil, err
			}
			guarded.topics = append(guarded.topics, traces)
		}
		return guarded, nil
	}
	defaults := func() component.Config { return newConfig(inner.CreateDefaultConfig().(*upstream.Config)) }
	return receiver.NewFactory(metadata.Type, defaults, receiver.WithTraces(create, metadata.TracesStability))
}

// guardedReceiver starts the collector's receivers, one for each topic, with a host that has the encodings.
type guardedReceiver struct {
	topics []receiver.Traces
	failed receiver.Traces // the one that did not start
}

// Start implements component.Component.
func (r *guardedReceiver) Start(ctx context.Context, host component.Host) error {
	host = hostextension.With(host, encodings)
	for _, topic := range r.topics {
		if err := topic.Start(ctx, host); err != nil {
			r.failed = topic
			return err
		}
	}
	return nil
}

// Shutdown implements component.Component.
func (r *guardedReceiver) Shutdown(ctx context.Context) error {
	var errs []error
	for _, topic := range r.topics {
		if topic == r.failed {
			// It frees what it has, and then waits for the end of what it never began.
			ended, end := context.WithCancel(ctx)
			end()
			_ = topic.Shutdown(ended)
			continue
		}
		errs = append(errs, topic.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
