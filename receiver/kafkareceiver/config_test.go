package kafkareceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/receiver/kafkareceiver/internal/metadata"
)

// read is what a user wrote, with the defaults.
func read(t *testing.T, yaml string) *Config {
	t.Helper()
	config := NewFactory().CreateDefaultConfig()
	given, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := given.AsConf()
	require.NoError(t, err)
	require.NoError(t, conf.Unmarshal(config))
	require.NoError(t, confmap.Validate(config))
	return config.(*Config)
}

// A message is kept until its spans were taken, and not tried again at once, whatever of it a user names.
func TestDefaultsLoseNothing(t *testing.T) {
	for name, yaml := range map[string]string{
		"nothing":    `{}`,
		"documented": `{message_marking: {after: true, on_permanent_error: true}, error_backoff: {enabled: true, max_elapsed_time: 0s}}`,
		"one of it":  `{message_marking: {after: true}, error_backoff: {enabled: true}}`,
		"empty":      `{message_marking: , error_backoff: }`,
	} {
		t.Run(name, func(t *testing.T) {
			config := read(t, yaml)
			require.True(t, config.MessageMarking.After)
			require.True(t, config.MessageMarking.OnPermanentError)
			require.False(t, config.MessageMarking.OnError)
			require.True(t, config.ErrorBackOff.Enabled)
			require.Zero(t, config.ErrorBackOff.MaxElapsedTime)
			require.Equal(t, 5*time.Second, config.ErrorBackOff.InitialInterval)
			require.Equal(t, 30*time.Second, config.ErrorBackOff.MaxInterval)
			require.InDelta(t, 1.5, config.ErrorBackOff.Multiplier, 0)
		})
	}
	require.False(t, read(t, `{message_marking: {on_permanent_error: false}}`).MessageMarking.OnPermanentError)
	require.Equal(t, 100*time.Millisecond, read(t, `{error_backoff: {initial_interval: 100ms}}`).ErrorBackOff.InitialInterval)
}

// Whoever turns it off is told what that costs.
func TestWarnings(t *testing.T) {
	for yaml, says := range map[string]string{
		`{}`:                                "",
		`{message_marking: {after: false}}`: "lost in a crash",
		`{message_marking: {on_error: true}, error_backoff: {max_elapsed_time: 1m}}`: "refuses for the moment are lost",
		`{error_backoff: {max_elapsed_time: 1m}}`:                                    "",
		`{error_backoff: {enabled: false}}`:                                          "stops its partition",
	} {
		core, logs := observer.New(zap.WarnLevel)
		set := receivertest.NewNopSettings(metadata.Type)
		set.Logger = zap.New(core)
		_, err := NewFactory().CreateTraces(t.Context(), set, read(t, yaml), consumertest.NewNop())
		require.NoError(t, err)
		if says == "" {
			require.Zero(t, logs.Len(), yaml)
			continue
		}
		require.Equal(t, 1, logs.Len(), yaml)
		require.Contains(t, logs.All()[0].Message, says)
	}
}

// An error of one topic throws away what came with it, which is nothing where each topic has a receiver of its own.
func TestByTopic(t *testing.T) {
	config := read(t, `{traces: {topics: [a, b]}, group_instance_id: one}`)
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
	require.NoError(t, err)
	require.Len(t, r.(*guardedReceiver).topics, 2)
	for i, topic := range []string{"a", "b"} {
		one := config.byTopic()[i]
		require.Equal(t, []string{topic}, one.Traces.Topics)
		require.Equal(t, "one-"+topic, one.ConsumerConfig.GroupInstanceID)
	}
	require.Equal(t, []string{"a", "b"}, config.Traces.Topics, "the configuration is the caller's")
	require.Len(t, read(t, `{traces: {topics: [^a, ^b]}}`).byTopic(), 1)
	require.Equal(t, "one", read(t, `{traces: {topics: [a]}, group_instance_id: one}`).byTopic()[0].ConsumerConfig.GroupInstanceID)
}
