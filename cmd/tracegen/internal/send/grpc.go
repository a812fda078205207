package send

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

type grpcExporter struct {
	connection *grpc.ClientConn
}

func dialGRPC(endpoint string) (Exporter, error) {
	transport := insecure.NewCredentials()
	if address, ok := strings.CutPrefix(endpoint, "https://"); ok {
		transport, endpoint = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), address
	}
	connection, err := grpc.NewClient(strings.TrimPrefix(endpoint, "http://"),
		grpc.WithTransportCredentials(transport),
		grpc.WithWriteBufferSize(1<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return nil, fmt.Errorf("connect to --endpoint %q: %w", endpoint, err)
	}
	return &grpcExporter{connection}, nil
}

func (e *grpcExporter) Close() error { return e.connection.Close() }

func (e *grpcExporter) Export(ctx context.Context, tenant string, body []byte) (int64, error) {
	if tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, TenantHeader, tenant)
	}
	response := ptraceotlp.NewExportResponse()
	if err := e.connection.Invoke(ctx, exportMethod, body, &response); err != nil {
		return 0, classify(err)
	}
	return response.PartialSuccess().RejectedSpans(), nil
}

// classify marks the codes after which OTLP wants a request to be repeated.
func classify(err error) error {
	s := status.Convert(err)
	var after time.Duration
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			after = info.GetRetryDelay().AsDuration()
		}
	}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return &RetryableError{err, after}
	case codes.ResourceExhausted: // only where the receiver says that it recovers
		if after > 0 {
			return &RetryableError{err, after}
		}
	}
	return err
}

// rawCodec sends bytes as they are: encoding them again would cost more than sending them.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	body, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encode request: no bytes but %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	response, ok := v.(*ptraceotlp.ExportResponse)
	if !ok {
		return fmt.Errorf("decode response: no ExportResponse but %T", v)
	}
	return response.UnmarshalProto(data.Materialize())
}
