package send

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
)

// Exporter sends one encoded ExportTraceServiceRequest. It is used by one goroutine at a time.
type Exporter interface {
	// Export sends body, which it does not keep. rejected is the number of spans that the receiver says it will never
	// take. An error that holds a RetryableError may pass; all others will come again.
	Export(ctx context.Context, tenant string, body []byte) (rejected int64, err error)
	// Close gives the connection up.
	Close() error
}

// TenantHeader names the tenant of a request, in gRPC metadata and HTTP headers.
const TenantHeader = "x-tracewright-tenant"

// RetryableError is a receiver's answer that it cannot take the request now.
type RetryableError struct {
	Err error
	// After is how long it asks to wait; 0 where it does not say.
	After time.Duration
}

func (e *RetryableError) Error() string { return e.Err.Error() }

func (e *RetryableError) Unwrap() error { return e.Err }

// Protocols of Dial.
const (
	GRPC = "grpc"
	HTTP = "http"
)

// Dial makes an exporter with a connection of its own. It does not wait for the connection.
func Dial(protocol, endpoint string, with *access.Access) (Exporter, error) {
	switch protocol {
	case GRPC:
		return dialGRPC(endpoint, with)
	case HTTP:
		return dialHTTP(endpoint, with)
	}
	return nil, fmt.Errorf("no protocol %q; there are %s and %s", protocol, GRPC, HTTP)
}

// Bounds of the wait before a request is repeated.
const (
	firstWait      = 100 * time.Millisecond
	longestWait    = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// Send sends one request until it is taken, refused for good, or giveUp has passed.
func Send(ctx context.Context, to Exporter, tenant string, body []byte, giveUp time.Duration) (rejected int64, err error) {
	rejected, _, err = export(ctx, to, tenant, body, giveUp)
	return rejected, err
}

// export sends a request until it is taken, refused for good, or giveUp has passed. It returns how often it repeated it.
func export(ctx context.Context, to Exporter, tenant string, body []byte, giveUp time.Duration) (rejected int64, retries int, err error) {
	began := time.Now()
	for wait := firstWait; ; wait = min(wait*3/2, longestWait) {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		rejected, err = to.Export(attempt, tenant, body)
		cancel()
		var retryable *RetryableError
		left := giveUp - time.Since(began)
		if err == nil || ctx.Err() != nil || !errors.As(err, &retryable) || left <= 0 {
			return rejected, retries, err
		}
		retries++
		select {
		case <-ctx.Done():
			return 0, retries, err
		case <-time.After(min(max(wait, retryable.After), left)): // the receiver has no say in when to give up
		}
	}
}
