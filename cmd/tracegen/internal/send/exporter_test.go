package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// receiver is pdata's own OTLP server.
type receiver struct {
	ptraceotlp.UnimplementedGRPCServer
	spans  int
	tenant []string
	token  []string
	reject int64
	err    error
}

func (r *receiver) Export(ctx context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	header, _ := metadata.FromIncomingContext(ctx)
	r.spans, r.tenant = request.Traces().SpanCount(), header.Get(TenantHeader)
	r.token = header.Get("x-token")
	response := ptraceotlp.NewExportResponse()
	response.PartialSuccess().SetRejectedSpans(r.reject)
	return response, r.err
}

func someBody(t *testing.T) (body []byte, spans int) {
	t.Helper()
	p, _ := plan(schedule.Options{Window: time.Minute}, 3)
	request := p.Waves[0].Requests[0]
	require.NoError(t, request.Send(wire.Mask{}, 1, func(b []byte) error {
		body = b
		return nil
	}))
	return body, request.Spans()
}

func TestGRPC(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	r := &receiver{}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, r)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	exporter, err := Dial(GRPC, listener.Addr().String(), &access.Access{Headers: []access.Header{{Name: "X-Token", Value: "secret"}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, exporter.Close()) }()

	body, spans := someBody(t)
	rejected, err := exporter.Export(t.Context(), "tenant-1", body)
	require.NoError(t, err)
	require.Zero(t, rejected)
	require.Equal(t, spans, r.spans)
	require.Equal(t, []string{"tenant-1"}, r.tenant)
	require.Equal(t, []string{"secret"}, r.token)

	r.reject = 2
	rejected, err = exporter.Export(t.Context(), "", body)
	require.NoError(t, err)
	require.Equal(t, int64(2), rejected)
	require.Empty(t, r.tenant)

	withInfo, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	require.NoError(t, err)
	for _, test := range []struct {
		answer    error
		retryable bool
		after     time.Duration
	}{
		{status.Error(codes.Unavailable, "full"), true, 0},
		{status.Error(codes.ResourceExhausted, "too large"), false, 0},
		{withInfo.Err(), true, 3 * time.Second},
		{status.Error(codes.InvalidArgument, "bad"), false, 0},
	} {
		r.err = test.answer
		_, err = exporter.Export(t.Context(), "", body)
		require.Error(t, err)
		var retryable *RetryableError
		require.Equal(t, test.retryable, errors.As(err, &retryable), "%s", test.answer)
		if test.retryable {
			require.Equal(t, test.after, retryable.After)
		}
	}
	server.Stop()
	var retryable *RetryableError
	_, err = exporter.Export(t.Context(), "", body)
	require.ErrorAs(t, err, &retryable, "a receiver that restarts")
}

func TestHTTP(t *testing.T) {
	body, spans := someBody(t)
	code, after := http.StatusOK, ""
	var tenant, path, token string
	received := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		request := ptraceotlp.NewExportRequest()
		if err != nil || request.UnmarshalProto(content) != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		received, tenant, path = request.Traces().SpanCount(), r.Header.Get(TenantHeader), r.URL.Path
		token = r.Header.Get("X-Token")
		response := ptraceotlp.NewExportResponse()
		response.PartialSuccess().SetRejectedSpans(2)
		answer, _ := response.MarshalProto()
		w.Header().Set("Retry-After", after)
		w.WriteHeader(code)
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	exporter, err := Dial(HTTP, server.Listener.Addr().String(), &access.Access{Headers: []access.Header{{Name: "X-Token", Value: "secret"}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, exporter.Close()) }()

	rejected, err := exporter.Export(t.Context(), "tenant-1", body)
	require.NoError(t, err)
	require.Equal(t, int64(2), rejected)
	require.Equal(t, spans, received)
	require.Equal(t, "tenant-1", tenant)
	require.Equal(t, "secret", token)
	require.Equal(t, "/v1/traces", path)

	for answer, want := range map[int]bool{429: true, 502: true, 503: true, 504: true, 400: false, 404: false, 413: false, 500: false} {
		code, after = answer, "4"
		_, err = exporter.Export(t.Context(), "", body)
		var retryable *RetryableError
		require.Equal(t, want, errors.As(err, &retryable), "%d", answer)
		if want {
			require.Equal(t, 4*time.Second, retryable.After)
		}
	}
	server.Close()
	var retryable *RetryableError
	_, err = exporter.Export(t.Context(), "", body)
	require.ErrorAs(t, err, &retryable)
}

func TestDialFaults(t *testing.T) {
	for _, test := range [][3]string{
		{"udp", "localhost:1", "no protocol"},
		{HTTP, "http://", "is no address"},
		{HTTP, ":%zz", "is no address"},
		{HTTP, "ftp://localhost", "is no address of HTTP"},
		{GRPC, "ftp://localhost", "is no address of gRPC"},
	} {
		_, err := Dial(test[0], test[1], new(access.Access))
		require.ErrorContains(t, err, test[2])
	}
}

// A receiver whose certificate nobody trusts will not be trusted later either; with its CA it is.
func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for _, protocol := range []string{GRPC, HTTP} {
		for _, with := range []*access.Access{{}, {RootCAs: pool}} {
			exporter, err := Dial(protocol, server.URL, with)
			require.NoError(t, err)
			_, err = exporter.Export(t.Context(), "", nil)
			require.Error(t, err)
			var certificate *tls.CertificateVerificationError
			require.Equal(t, with.RootCAs == nil, errors.As(err, &certificate), "%s: %s", protocol, err)
			var retryable *RetryableError
			require.Equal(t, with.RootCAs != nil, errors.As(err, &retryable), "%s: %s", protocol, err)
			require.NoError(t, exporter.Close())
		}
	}
}
