package kafkareceiver

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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

	config := NewFactory().CreateDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"brokers": []string{kafka.Broker}, "traces": map[string]any{"topics": []string{"spans"}}, "initial_offset": "earliest",
	}).Unmarshal(config))
	sink := new(consumertest.TracesSink)
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, r.Shutdown(context.Background())) }()
	require.Eventually(t, func() bool { return sink.SpanCount() == 1 }, time.Minute, 50*time.Millisecond)
}

// A receiver that does not start can be shut down, by whoever has all the time in the world.
func TestDoesNotStart(t *testing.T) {
	config := read(t, `{traces: {topics: [a, b], encoding: unheard_of}}`)
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "unheard_of")
	require.NoError(t, r.Shutdown(context.Background()))
	require.NoError(t, r.Shutdown(context.Background()), "again")
}

// A topic that nobody can read has an error come with what is read of the others, again and again; none of that is thrown away.
func TestTopicThatCannotBeRead(t *testing.T) {
	kafka := testservers.StartKafka(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Broker), kgo.DefaultProduceTopic("spans"))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "spans")
	require.NoError(t, err)
	send := func() {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Value: request(nil, nil, nil)}).FirstErr())
	}

	core, logs := observer.New(zap.InfoLevel)
	errorsSoFar := func() int { return logs.FilterMessageSnippet("injecting fake fetch").Len() }
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	config := read(t, fmt.Sprintf(`{brokers: [%q], traces: {topics: [spans, no/topic]}, initial_offset: earliest, metadata: {refresh_interval: 5s}}`, kafka.Broker))
	arrived, goOn := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(goOn) })
	next, err := consumer.NewTraces(func(ctx context.Context, _ ptrace.Traces) error {
		select {
		case arrived <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		<-goOn
		return nil
	})
	require.NoError(t, err)
	r, err := NewFactory().CreateTraces(t.Context(), set, config, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	defer func() {
		letGo()
		require.NoError(t, r.Shutdown(context.Background()))
	}()
	require.Eventually(t, func() bool { return errorsSoFar() > 0 }, time.Minute, 50*time.Millisecond)
	send()
	<-arrived
	// While its spans are taken the next one comes, and then the error.
	send()
	before := errorsSoFar()
	require.Eventually(t, func() bool { return errorsSoFar() > before+1 }, time.Minute, 50*time.Millisecond)
	letGo()
	select {
	case <-arrived:
	case <-time.After(time.Minute):
		require.Fail(t, "the second message is lost")
	}
}
