package skywalkingreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/skywalkingreceiver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	agent "skywalking.apache.org/repo/goapi/collect/language/agent/v3"

	"github.com/tracewright/tracewright/internal/freeport"
	"github.com/tracewright/tracewright/receiver/skywalkingreceiver/internal/metadata"
)

// started is a receiver, with a client and the metrics that it reports.
type started struct {
	telemetry *componenttest.Telemetry
	client    agent.TraceSegmentReportServiceClient
	http      string
	shutdown  func(context.Context) error
}

func start(t *testing.T, next consumer.Traces) *started {
	t.Helper()
	s := &started{telemetry: componenttest.NewTelemetry()}
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = s.telemetry.NewTelemetrySettings()
	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	ports, err := freeport.Take(t.Context(), 2)
	require.NoError(t, err)
	config.GRPC.NetAddr.Endpoint, config.HTTP.NetAddr.Endpoint = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	r, err := NewFactory().CreateTraces(t.Context(), set, config, next)
	require.NoError(t, err)
	require.Empty(t, config.GRPC.Middlewares, "the configuration is the caller's")
	require.Empty(t, config.HTTP.Middlewares, "the configuration is the caller's")
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	conn, err := grpc.NewClient(config.GRPC.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, s.telemetry.Shutdown(context.Background()))
	})
	s.client, s.http, s.shutdown = agent.NewTraceSegmentReportServiceClient(conn), "http://"+config.HTTP.NetAddr.Endpoint+httpSegments, r.Shutdown
	return s
}

// stream sends a segment as agents do.
func (s *started) stream(t *testing.T, traceID string) error {
	t.Helper()
	stream, err := s.client.Collect(t.Context())
	if err != nil {
		return err
	}
	if err := stream.Send(segment(traceID)); err != nil {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (s *started) sync(t *testing.T, traceID string) error {
	t.Helper()
	_, err := s.client.CollectInSync(t.Context(), &agent.SegmentCollection{Segments: []*agent.SegmentObject{segment(traceID)}})
	return err
}

func (s *started) post(t *testing.T, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.http, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	response, err := new(http.Transport).RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// counted is the sum over all transports.
func (s *started) counted(t *testing.T, name string) (sum int64) {
	t.Helper()
	metric, err := s.telemetry.GetMetric(name)
	require.NoError(t, err)
	for _, point := range metric.Data.(metricdata.Sum[int64]).DataPoints {
		sum += point.Value
	}
	return sum
}

const (
	sound = "7e2f14bb1f9c4b258e301d6c5a6b0001"
	body  = `[{"traceId": "` + sound + `", "traceSegmentId": "7e2f14bb1f9c4b258e301d6c5a6b0002", "service": "page", "spans": [
		{"operationName": "/checkout", "spanId": 0, "parentSpanId": -1, "spanLayer": "Http", "spanType": "Exit", "peer": "shop:80", "later": {}}]}]`
)

// A request that ends the process where nothing guards the collector's receiver is answered, streamed or not, and the next one is taken.
func TestRequestThatPanics(t *testing.T) {
	sink := new(consumertest.TracesSink)
	s := start(t, sink)
	const odd = "56a5e1c519ae4c76a2b8b11d92cead7f.12345"
	require.Equal(t, codes.Internal, status.Code(s.stream(t, odd)))
	require.Equal(t, codes.Internal, status.Code(s.sync(t, odd)))
	require.Equal(t, http.StatusBadRequest, s.post(t, strings.ReplaceAll(body, sound, odd)))
	require.Zero(t, sink.SpanCount())
	require.EqualValues(t, 3, s.counted(t, "otelcol_receiver_refused_spans"))
	require.NoError(t, s.stream(t, sound))
	require.Equal(t, 1, sink.SpanCount())
}

// What the pipeline refuses is not acknowledged, and all is counted.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code codes.Code
		http int
	}{
		"nothing":         {nil, codes.OK, http.StatusOK},
		"for the moment":  {errors.New("memory is short"), codes.Unavailable, http.StatusServiceUnavailable},
		"for good":        {consumererror.NewPermanent(errors.New("odd")), codes.Internal, http.StatusBadRequest},
		"with its status": {status.Error(codes.ResourceExhausted, "too many"), codes.ResourceExhausted, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error { return test.err })
			require.NoError(t, err)
			s := start(t, next)
			require.Equal(t, test.code, status.Code(s.stream(t, sound)))
			require.Equal(t, test.code, status.Code(s.sync(t, sound)))
			require.Equal(t, test.http, s.post(t, body))
			counter := "otelcol_receiver_refused_spans"
			if test.err == nil {
				counter = "otelcol_receiver_accepted_spans"
			}
			require.EqualValues(t, 3, s.counted(t, counter))
		})
	}
}

func TestHTTP(t *testing.T) {
	sink := new(consumertest.TracesSink)
	s := start(t, sink)
	for _, broken := range []string{"", "{", "{}", "[null]", `[{"spans": 1}]`} {
		require.Equal(t, http.StatusBadRequest, s.post(t, broken), broken)
	}
	require.Zero(t, sink.SpanCount())
	require.Equal(t, http.StatusOK, s.post(t, "[]"))
	require.Equal(t, http.StatusOK, s.post(t, body))
	span := sink.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, ptrace.SpanKindClient, span.Kind(), "kinds have names")
}

// What is sent is no business of whoever reads the output.
func TestPrintsNothing(t *testing.T) {
	printed, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	defer func(stdout *os.File) { os.Stdout = stdout }(os.Stdout)
	os.Stdout = printed
	s := start(t, consumertest.NewErr(errors.New("refused")))
	require.Error(t, s.sync(t, sound))
	s.post(t, "{")
	require.NoError(t, printed.Close())
	content, err := os.ReadFile(printed.Name())
	require.NoError(t, err)
	require.Empty(t, content)
}

// Agents keep their streams open for as long as they run, which is no reason to run as long.
func TestShutdownWithOpenStream(t *testing.T) {
	arrived := make(chan struct{}, 1)
	next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error {
		arrived <- struct{}{}
		return nil
	})
	require.NoError(t, err)
	s := start(t, next)
	stream, err := s.client.Collect(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(segment(sound)))
	<-arrived
	require.NoError(t, s.shutdown(context.Background()))
	require.Equal(t, codes.Unavailable, status.Code(stream.RecvMsg(new(agent.SegmentObject))))
	require.NoError(t, s.shutdown(context.Background()), "again")
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
	s := start(t, next)
	var sender sync.WaitGroup
	sender.Go(func() { _ = s.stream(t, sound) }) // what it is told depends on which comes first, the end or its answer
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.shutdown(ctx), context.DeadlineExceeded)
	close(goOn)
	sender.Wait()
}

func segment(traceID string) *agent.SegmentObject {
	return &agent.SegmentObject{
		TraceId: traceID, TraceSegmentId: "7e2f14bb1f9c4b258e301d6c5a6b0002", Service: "shop", ServiceInstance: "a",
		Spans: []*agent.SpanObject{{SpanId: 0, ParentSpanId: -1, OperationName: "/checkout", StartTime: 1, EndTime: 2}},
	}
}
