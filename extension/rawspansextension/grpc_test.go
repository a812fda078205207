package rawspansextension

import (
	"context"
	"net"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/rawspans"
)

// traceServer keeps what it is given.
type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	got ptrace.Traces
}

func (s *traceServer) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.got = r.Traces()
	return ptraceotlp.NewExportResponse(), nil
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	points int
}

func (s *metricServer) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.points += r.Metrics().DataPointCount()
	return pmetricotlp.NewExportResponse(), nil
}

// shop is a request of so many spans.
func shop(spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range spans {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID([16]byte{1})
		span.SetSpanID([8]byte{byte(i), byte(i >> 8), 1})
		span.SetName("GET /carts/{id}")
	}
	return td
}

func protobufOf(t *testing.T, td ptrace.Traces) []byte {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return data
}

func TestGRPC(t *testing.T) {
	options, err := (&rawSpans{}).GetGRPCServerOptions(t.Context())
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	traces, metrics := &traceServer{}, &metricServer{}
	ptraceotlp.RegisterGRPCServer(server, traces)
	pmetricotlp.RegisterGRPCServer(server, metrics)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	client := ptraceotlp.NewGRPCClient(conn)
	for _, spans := range []int{1, 10_000} {
		for _, option := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			_, err = client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(shop(spans)), option...)
			require.NoError(t, err)
			require.Equal(t, spans, traces.got.SpanCount(), "receivers count right")
			request, err := rawspans.Unwrap(traces.got)
			require.NoError(t, err)
			require.Equal(t, string(protobufOf(t, shop(spans))), request)
		}
	}
	_, err = client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(shop(0)))
	require.NoError(t, err)
	require.Equal(t, 1, traces.got.ResourceSpans().Len(), "without a span it is decoded")

	md := pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	_, err = pmetricotlp.NewGRPCClient(conn).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(md))
	require.NoError(t, err)
	require.Equal(t, 1, metrics.points, "other signals are decoded")

	err = conn.Invoke(t.Context(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", noise("\x0a\x05abc"), noise(""), grpc.ForceCodec(noiseCodec{}))
	require.Equal(t, codes.Internal, status.Code(err), "as without raw_spans: %v", err)
}

// noise is sent as it is.
type noise string

type noiseCodec struct{}

func (noiseCodec) Marshal(v any) ([]byte, error) { return []byte(v.(noise)), nil }
func (noiseCodec) Unmarshal([]byte, any) error   { return nil }
func (noiseCodec) Name() string                  { return "proto" }

// TestSpansAreTakenOut takes one away from a placeholder, whose spans are all the same one.
func TestSpansAreTakenOut(t *testing.T) {
	requests := make([]ptrace.Traces, 2)
	for i := range requests {
		requests[i] = decoded(t, protobufOf(t, shop(3)))
	}
	seen := 0
	requests[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool {
		seen++
		return seen == 1
	})
	_, err := rawspans.Unwrap(requests[0])
	require.Error(t, err)
	_, err = rawspans.Unwrap(requests[1])
	require.NoError(t, err, "another request's are its own")
}

// TestPooling: what is let go of may be used again, each span for one alone.
func TestPooling(t *testing.T) {
	gates := featuregate.GlobalRegistry()
	require.NoError(t, gates.Set(pref.UseProtoPooling.ID(), true))
	t.Cleanup(func() { require.NoError(t, gates.Set(pref.UseProtoPooling.ID(), false)) })
	_, err := rawspans.Unwrap(decoded(t, protobufOf(t, shop(3))))
	require.NoError(t, err)
	spans := ptrace.NewSpanSlice()
	for _, name := range []string{"a", "b", "c"} {
		spans.AppendEmpty().SetName(name)
	}
	require.Equal(t, "abc", spans.At(0).Name()+spans.At(1).Name()+spans.At(2).Name())
}

// decoded is what a server reads of a request, which comes in two parts.
func decoded(tb testing.TB, request []byte) ptrace.Traces {
	c, err := newCodec()
	require.NoError(tb, err)
	r := ptraceotlp.NewExportRequest()
	orig := reflect.ValueOf(&r).Elem().FieldByName("orig")
	to := reflect.NewAt(orig.Type(), orig.Addr().UnsafePointer()).Elem().Interface()
	require.NoError(tb, c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(request[:len(request)/2]), mem.SliceBuffer(request[len(request)/2:])}, to))
	return r.Traces()
}

// BenchmarkUnmarshal reads requests of 8,192 spans; its baseline is the collector's codec, which decodes them.
func BenchmarkUnmarshal(b *testing.B) {
	c, err := newCodec()
	require.NoError(b, err)
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(shop(8192))
	require.NoError(b, err)
	parts := mem.BufferSlice{mem.SliceBuffer(data)}
	for name, codec := range map[string]encoding.CodecV2{"raw": c, "decoded": c.CodecV2} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, codec.Unmarshal(parts, reflect.New(c.traceRequest.Elem()).Interface()))
			}
		})
	}
}
