package awsxrayreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/awsxrayreceiver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tracewright/tracewright/receiver/awsxrayreceiver/internal/metadata"
)

const header = `{"format": "json", "version": 1}` + "\n"

// sound is a segment of three spans with an id, and whatever else.
func sound(id, more string) string {
	return fmt.Sprintf(`{"name": "shop", "id": %q, "trace_id": "1-5f84c7a1-e7d1852db8c4fd35d88bf49a", "start_time": 1.6e9, "end_time": 1600000001,
		"subsegments": [{"name": "bank", "id": "00000000000000b1", "start_time": 1.6e9, "namespace": "remote", "cause": "0123456789abcdef"},
			{"name": "stock", "id": "00000000000000b2", "start_time": 1.6e9, "cause": {"exceptions": [{"id": "00000000000000c1"}]}}]%s}`, id, more)
}

// bad are segments that end the process where nothing guards the collector's receiver, with what the guard says of them.
var bad = map[string]string{
	`{"id": "00000000000000a1", "trace_id": "1-5f84c7a1-e7d1852db8c4fd35d88bf49a", "name": "shop", "start_time": 1,
		"subsegments": [{"id": "00000000000000b1", "start_time": 1}]}`: "a segment has no name",
	`{"id": "00000000000000a1", "trace_id": "1-5f84c7a1-e7d1852db8c4fd35d88bf49a", "name": "shop", "start_time": 1,
		"subsegments": [{"id": "00000000000000b1", "name": "bank"}]}`: "a segment has no start_time",
	sound("00000000000000a1", `, "cause": {"exceptions": [{"message": "odd"}]}`):               "an exception has no id",
	sound("00000000000000a1", `, "TRACE_ID": "1-5f84c7a1-e7d1852db8c4fd35d88bf49aff"`):         "a trace_id has 37 characters instead of 35",
	`{"subsegments":[` + strings.Repeat(`{"subsegments":[`, 3000) + strings.Repeat(`]}`, 3001): "a segment has no name",
}

// others are refused whoever reads them.
var others = []string{"", "{", "null", "[]", `"text"`, `{"name": 1}`, sound("a1", ""), sound("00000000000000a1", `, "cause": 7`)}

// started is a receiver, with the metrics that it reports.
type started struct {
	*guard
	sink      *consumertest.TracesSink
	telemetry *componenttest.Telemetry
	conn      net.Conn
}

func start(tb testing.TB) *started {
	tb.Helper()
	sink := new(consumertest.TracesSink)
	s := startBefore(tb, sink)
	s.sink = sink
	return s
}

func startBefore(tb testing.TB, next consumer.Traces) *started {
	tb.Helper()
	s := &started{telemetry: componenttest.NewTelemetry()}
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = s.telemetry.NewTelemetrySettings()
	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	config.AddrConfig.Endpoint = "127.0.0.1:0"
	config.ProxyServer.Endpoint, config.ProxyServer.Region, config.ProxyServer.LocalMode = "127.0.0.1:0", "eu-central-1", true
	r, err := NewFactory().CreateTraces(tb.Context(), set, config, next)
	require.NoError(tb, err)
	s.guard = r.(*guard)
	require.NoError(tb, r.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() {
		require.NoError(tb, r.Shutdown(context.Background()))
		require.NoError(tb, r.Shutdown(context.Background()), "again")
		require.NoError(tb, s.telemetry.Shutdown(context.Background()))
	})
	s.conn, err = new(net.Dialer).DialContext(tb.Context(), "udp", s.from.LocalAddr().String())
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.conn.Close()) })
	return s
}

func (s *started) send(tb testing.TB, packet string) {
	tb.Helper()
	_, err := s.conn.Write([]byte(packet))
	require.NoError(tb, err)
}

// arrives waits until a segment has arrived with all its spans.
func (s *started) arrives(tb testing.TB, id string) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		for _, td := range s.sink.AllTraces() {
			spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			if spans.At(0).SpanID().String() == id {
				return spans.Len() == 3 && spans.At(1).Kind() == ptrace.SpanKindClient && spans.At(2).Events().Len() == 1
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
}

func TestMalformedPackets(t *testing.T) {
	s := start(t)
	for segment, says := range bad {
		_, err := prepare([]byte(header + segment))
		require.ErrorContains(t, err, says)
		s.send(t, header+segment)
	}
	for _, segment := range others {
		s.send(t, header+segment)
		s.send(t, segment)
	}
	s.send(t, header+sound("00000000000000a2", ""))
	s.arrives(t, "00000000000000a2")
	require.Len(t, s.sink.AllTraces(), 1)
	require.GreaterOrEqual(t, s.counted("otelcol_receiver_refused_spans"), int64(len(bad)+len(others)))
	require.Eventually(t, func() bool { return s.counted("otelcol_receiver_accepted_spans") == 3 }, 10*time.Second, time.Millisecond)
}

// counted is 0 where nothing was.
func (s *started) counted(name string) (sum int64) {
	counted, err := s.telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	for _, point := range counted.Data.(metricdata.Sum[int64]).DataPoints {
		sum += point.Value
	}
	return sum
}

// What the pipeline refuses counts as that alone.
func TestRefusedByThePipeline(t *testing.T) {
	s := startBefore(t, consumertest.NewErr(errors.New("memory is short")))
	s.send(t, header+sound("00000000000000a1", ""))
	require.Eventually(t, func() bool { return s.counted("otelcol_receiver_refused_spans") == 3 }, 10*time.Second, time.Millisecond)
	require.Zero(t, s.counted("otelcol_receiver_accepted_spans"))
}

// What was relayed is taken before the receiver ends.
func TestShutdownDrains(t *testing.T) {
	const packets = 9
	goOn := make(chan struct{})
	var taken atomic.Int64
	next, err := consumer.NewTraces(func(ctx context.Context, _ ptrace.Traces) error {
		<-goOn
		taken.Add(1)
		return ctx.Err()
	})
	require.NoError(t, err)
	s := startBefore(t, next)
	for range packets {
		s.send(t, header+sound("00000000000000a1", ""))
	}
	s.send(t, header+"{}") // is refused by the guard, behind the others
	require.Eventually(t, func() bool { return s.counted("otelcol_receiver_refused_spans") == 1 }, 10*time.Second, time.Millisecond)
	result := make(chan error, 1)
	var atEnd int64
	go func() {
		err := s.Shutdown(context.Background())
		atEnd = taken.Load()
		result <- err
	}()
	require.Eventually(t, func() bool { return errors.Is(s.from.SetReadDeadline(time.Time{}), net.ErrClosed) }, 10*time.Second, time.Millisecond)
	close(goOn)
	require.NoError(t, <-result)
	const certain = packets - 1 // the packet that tells may overtake one
	require.GreaterOrEqual(t, atEnd, int64(certain))
	require.GreaterOrEqual(t, s.counted("otelcol_receiver_accepted_spans"), int64(certain*3))
}

// Whoever shuts down waits for a pipeline no longer than it wants to.
func TestShutdownOfBusyReceiver(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error {
		close(arrived)
		<-goOn
		return nil
	})
	require.NoError(t, err)
	s := startBefore(t, next)
	s.send(t, header+sound("00000000000000a1", ""))
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Shutdown(ctx))
	close(goOn)
}

// What was begun is ended where it does not start, and the reason is the receiver's.
func TestDoesNotStart(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	config.AddrConfig.Endpoint, config.ProxyServer.LocalMode = "127.0.0.1:0", true
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "region")
	_, err = r.(*guard).from.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, r.Shutdown(t.Context()))
}

// A receiver whose proxy could not listen says so.
func TestProxyDoesNotStart(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	config.AddrConfig.Endpoint, config.ProxyServer.Region, config.ProxyServer.LocalMode = "127.0.0.1:0", "eu-central-1", true
	config.ProxyServer.Endpoint = taken.Addr().String()
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "proxy_server: listen tcp")
	require.NoError(t, r.Shutdown(t.Context()))
}

// FuzzPacket sends packets through the guard to the collector's receiver, which ends the process if it is not guarded against one.
func FuzzPacket(f *testing.F) {
	for segment := range bad {
		f.Add(segment)
	}
	for _, segment := range others {
		f.Add(segment)
	}
	f.Add(sound("00000000000000a1", `, "http": {"request": {"client_ip": "::1", "url": null}, "response": {"status": -1, "content_length": 1e300}}`))
	f.Add(sound("00000000000000a1", `, "aws": {"xray": {"sdk": "X-Ray for Go"}, "ec2": {}, "cloudwatch_logs": [{}]}, "sql": {"url": "a:b"}, "annotations": {"a": [1]},
		"metadata": {"a": {"b": {"c": null}}}, "cause": {"exceptions": [{"id": "c2", "stack": [{}, {"line": 1}]}]}, "cause": "c3", "subsegments": [{}]`))
	f.Add(sound("00000000000000a1", `, "fault": true, "Cause": {"exceptions": [{}]}, "subsegments": [{"throttle": true, "name": "b", "start_time": 1e0, "cause": null}]`))
	s := start(f)
	last := 0
	f.Fuzz(func(t *testing.T, segment string) {
		if len(segment) > 60_000 {
			return
		}
		s.sink.Reset()
		s.send(t, header+segment)
		last++
		id := fmt.Sprintf("a%015x", last)
		s.send(t, header+sound(id, ""))
		s.arrives(t, id)
	})
}
