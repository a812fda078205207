package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

type httpExporter struct {
	client *http.Client
	url    string
}

func dialHTTP(endpoint string) (Exporter, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, errors.Join(fmt.Errorf("--endpoint %q is no address", endpoint), err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, WriteBufferSize: 256 << 10, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
	return &httpExporter{&http.Client{Transport: transport}, u.String()}, nil
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
	if tenant != "" {
		request.Header.Set(TenantHeader, tenant)
	}
	response, err := e.client.Do(request)
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
