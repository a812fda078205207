package kafkareceiver

import (
	"context"
	"testing"
	"time"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkareceiver"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/receiver/kafkareceiver/internal/metadata"
)

// A message that would end the process, and one that is none, are passed over; the next one is taken.
func TestMalformedMessages(t *testing.T) {
	kafka := testservers.StartKafka(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Broker), kgo.DefaultProduceTopic("spans"), kgo.ProducerBatchMaxBytes(32<<20))
	require.NoError(t, err)
	defer client.Close()
	limit := "33554432"
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, "spans")
	require.NoError(t, err)
	for _, message := range [][]byte{request(nil, nil, message(9, nested(16<<20))), []byte("{}"), request(nil, nil, nil)} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Value: message}).FirstErr())
	}

	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"brokers": []string{kafka.Broker}, "traces": map[string]any{"topics": []string{"spans"}}, "initial_offset": "earliest",
		"message_marking": map[string]any{"after": true, "on_permanent_error": true},
	}).Unmarshal(config))
	sink := new(consumertest.TracesSink)
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, r.Shutdown(context.Background())) }()
	require.Eventually(t, func() bool { return sink.SpanCount() == 1 }, time.Minute, 50*time.Millisecond)
}
