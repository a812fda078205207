package tracesourcesreceiver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// fakeFactory is of a receiver of this type, with the configuration of the real one as far as it matters.
func fakeFactory(typ string, config func() component.Config) receiver.Factory {
	return receiver.NewFactory(component.MustNewType(typ), config,
		receiver.WithTraces(func(context.Context, receiver.Settings, component.Config, consumer.Traces) (receiver.Traces, error) {
			return &reporting{}, nil
		}, component.StabilityLevelAlpha))
}

// SkyWalking's receiver listens for gRPC on every address, whatever host is named; what counts is where it listens.
func TestListensEverywhere(t *testing.T) {
	type config struct {
		Protocols struct {
			GRPC *configgrpc.ServerConfig `mapstructure:"grpc"`
			HTTP *configgrpc.ServerConfig `mapstructure:"http"`
		} `mapstructure:"protocols"`
	}
	skywalking := fakeFactory("skywalking", func() component.Config { return &config{} })
	source := func(protocol string) tracesources.Source {
		return tracesources.Source{Name: protocol, Type: "skywalking", Enabled: true, Configuration: map[string]any{
			"protocols": map[string]any{protocol: map[string]any{"endpoint": "localhost:11800", "transport": "tcp"}},
		}}
	}
	r := start(t, newTestHost(newStore(), skywalking), new(consumertest.TracesSink), func(c *Config) { c.AllowedTypes = []string{"skywalking"} })
	refusal := refused(t, r, source("grpc"), 0)
	require.Equal(t, tracesources.Forbidden, refusal.Kind)
	require.Equal(t, "configuration.protocols.grpc.endpoint", refusal.Field)
	require.Contains(t, refusal.Detail, "0.0.0.0:11800, where it would listen")
	put(t, r, source("http"), 0)

	r = start(t, newTestHost(newStore(), skywalking), new(consumertest.TracesSink), func(c *Config) {
		c.AllowedTypes, c.AllowedListen = []string{"skywalking"}, []string{"0.0.0.0"}
	})
	_, err := r.Put(t.Context(), source("grpc"), 0, true)
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, refusal.Detail, "manage_auth", "others reach it")
	put(t, r, source("grpc"), 0)
}

// Datadog's receiver hands requests on to Datadog if it is told to.
func TestConnectsUnnamed(t *testing.T) {
	type config struct {
		Intake struct {
			Behavior string `mapstructure:"behavior"`
		} `mapstructure:"intake"`
	}
	datadog := fakeFactory("datadog", func() component.Config { return &config{} })
	r := start(t, newTestHost(newStore(), datadog), new(consumertest.TracesSink), func(c *Config) { c.AllowedTypes = []string{"datadog"} })
	source := tracesources.Source{Name: "s", Type: "datadog", Enabled: true, Configuration: map[string]any{"intake": map[string]any{"behavior": "proxy"}}}
	refusal := refused(t, r, source, 0)
	require.Equal(t, tracesources.Forbidden, refusal.Kind)
	require.Equal(t, "configuration.intake.behavior", refusal.Field)
	source.Configuration = map[string]any{"intake": map[string]any{"behavior": "disable"}}
	put(t, r, source, 0)
}
