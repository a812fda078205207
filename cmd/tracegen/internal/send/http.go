package send

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
)

type httpExporter struct {
	client *http.Client
	url    string
	with   *access.Access
}

func dialHTTP(endpoint string, with *access.Access) (Exporter, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.Join(fmt.Errorf("--endpoint %q is no address of HTTP", endpoint), err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	client := with.Client(&http.Transport{WriteBufferSize: 256 << 10, IdleConnTimeout: 90 * time.Second, DisableCompression: true})
	return &httpExporter{client, u.String(), with}, nil
}

func (e *httpExporter) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

// The longest answer that is read.
const maxAnswer = 64 << 10

func (e *httpExporter) Export(ctx context.Context, tenant string, body []byte) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	e.with.SetOn(request)
	if tenant != "" {
		request.Header.Set(TenantHeader, tenant)
	}
	response, err := e.client.Do(request)
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return 0, err // it stays as it is
	}
	if err != nil {
		return 0, &RetryableError{Err: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, &RetryableError{Err: fmt.Errorf("read answer: %w", err)}
	}
	switch response.StatusCode {
	case http.StatusOK:
		export := ptraceotlp.NewExportResponse()
		if err := export.UnmarshalProto(answer); err != nil {
			return 0, fmt.Errorf("decode answer: %w", err)
		}
		return export.PartialSuccess().RejectedSpans(), nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // a date is not worth the trouble
		return 0, &RetryableError{fmt.Errorf("answered %s", response.Status), time.Duration(seconds) * time.Second}
	}
	return 0, fmt.Errorf("answered %s: %.200q", response.Status, answer)
}
