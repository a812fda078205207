package skywalkingreceiver

import (
	"context"
	"net"
	"testing"
	"time"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/skywalkingreceiver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	agent "skywalking.apache.org/repo/goapi/collect/language/agent/v3"

	"github.com/tracewright/tracewright/receiver/skywalkingreceiver/internal/metadata"
)

// A request that ends the process where nothing guards the collector's receiver is answered, streamed or not, and the next one is taken.
func TestRequestThatPanics(t *testing.T) {
	endpoint := freeEndpoint(t)
	config := NewFactory().CreateDefaultConfig().(*upstream.Config)
	config.GRPC.NetAddr.Endpoint, config.HTTP = endpoint, nil
	sink := new(consumertest.TracesSink)
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, sink)
	require.NoError(t, err)
	require.Empty(t, config.GRPC.Middlewares, "the configuration is the caller's")
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, r.Shutdown(context.Background())) }()

	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	client := agent.NewTraceSegmentReportServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	send := func(traceID string) error {
		stream, err := client.Collect(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(segment(traceID)))
		_, err = stream.CloseAndRecv()
		return err
	}
	const odd = "56a5e1c519ae4c76a2b8b11d92cead7f.12345"
	require.Equal(t, codes.Internal, status.Code(send(odd)))
	_, err = client.CollectInSync(ctx, &agent.SegmentCollection{Segments: []*agent.SegmentObject{segment(odd)}})
	require.Equal(t, codes.Internal, status.Code(err))
	require.Zero(t, sink.SpanCount())
	require.NoError(t, send("7e2f14bb1f9c4b258e301d6c5a6b0001"))
	require.Equal(t, 1, sink.SpanCount())
}

func segment(traceID string) *agent.SegmentObject {
	return &agent.SegmentObject{
		TraceId: traceID, TraceSegmentId: "7e2f14bb1f9c4b258e301d6c5a6b0002", Service: "shop", ServiceInstance: "a",
		Spans: []*agent.SpanObject{{SpanId: 0, ParentSpanId: -1, OperationName: "/checkout", StartTime: 1, EndTime: 2}},
	}
}

func freeEndpoint(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}
