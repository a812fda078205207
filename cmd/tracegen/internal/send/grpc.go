package send

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

type grpcExporter struct {
	connection *grpc.ClientConn
	with       *access.Access
	tls        *verifying // nil without TLS
}

func dialGRPC(endpoint string, with *access.Access) (Exporter, error) {
	e := &grpcExporter{with: with}
	transport := insecure.NewCredentials()
	address, secure := strings.CutPrefix(endpoint, "https://")
	if secure {
		e.tls = &verifying{TransportCredentials: credentials.NewTLS(with.TLS()), failure: new(atomic.Pointer[tls.CertificateVerificationError])}
		transport = e.tls
	}
	address = strings.TrimPrefix(address, "http://")
	if scheme, _, given := strings.Cut(address, "://"); given && resolver.Get(scheme) == nil {
		return nil, fmt.Errorf("--endpoint %q is no address of gRPC", endpoint)
	}
	var err error
	e.connection, err = grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithWriteBufferSize(1<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return nil, fmt.Errorf("connect to --endpoint %q: %w", endpoint, err)
	}
	return e, nil
}

func (e *grpcExporter) Close() error { return e.connection.Close() }

func (e *grpcExporter) Export(ctx context.Context, tenant string, body []byte) (int64, error) {
	for _, h := range e.with.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, h.Name, h.Value)
	}
	if tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, TenantHeader, tenant)
	}
	response := ptraceotlp.NewExportResponse()
	if err := e.connection.Invoke(ctx, exportMethod, body, &response); err != nil {
		if e.tls != nil {
			if failure := e.tls.failure.Load(); failure != nil {
				return 0, fmt.Errorf("%w", failure) // it stays as it is
			}
		}
		return 0, classify(err)
	}
	return response.PartialSuccess().RejectedSpans(), nil
}

// verifying remembers that the receiver's certificate is not to be trusted: gRPC tells of it in words only, as of a connection that may come.
type verifying struct {
	credentials.TransportCredentials
	failure *atomic.Pointer[tls.CertificateVerificationError]
}

func (v *verifying) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	connection, info, err := v.TransportCredentials.ClientHandshake(ctx, authority, raw)
	var failure *tls.CertificateVerificationError
	errors.As(err, &failure)
	v.failure.Store(failure)
	return connection, info, err
}

func (v *verifying) Clone() credentials.TransportCredentials {
	return &verifying{v.TransportCredentials.Clone(), v.failure}
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
