package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/health"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Settings is what the handler works with.
type Settings struct {
	Service *query.Service
	Logger  *zap.Logger
	// TenantHeader names the header in which a request names its tenant.
	TenantHeader string
	// ReadAuthenticator is asked for every request; nil lets everybody read.
	ReadAuthenticator extensionauth.Server
	// ManageAuthenticator is asked for requests that change something, in place of ReadAuthenticator. nil lets everybody change who
	// may read, but only while Loopback.
	ManageAuthenticator extensionauth.Server
	// AllowedHosts are the names, besides localhost, by which requests may name the server; "*" allows any.
	AllowedHosts []string
	// Limits bounds how many requests are served.
	Limits Limits
	// Health knows how the process does.
	Health *health.Watch
	// Telemetry counts requests.
	Telemetry *metadata.TelemetryBuilder
	// Loopback says that nobody reaches the server from another host.
	Loopback bool
	// TrustedOrigins are those of pages, besides the server's own, from which browsers may send changes.
	TrustedOrigins []string
	// Sources knows where traces come from.
	Sources *sources.Registry
	// Stopping is closed when the server stops, so that answers without an end end; nil never is.
	Stopping <-chan struct{}
	// Links lead from traces and spans to other systems; nil for none.
	Links *Links
	// BackupDir is the folder below which backups are made; empty allows none.
	BackupDir string
}

// statusClientClosedRequest is nginx's code for a client that left before its answer. Nobody receives it; the server's
// metrics do.
const statusClientClosedRequest = 499

// handler has the handlers of all operations.
type handler struct {
	Settings
	now     func() time.Time
	hosts   hosts
	limiter *limiter
	changes atomic.Int64 // that were asked for, for the audit
}

var _ openapi.Handlers = (*handler)(nil)

// NewHandler makes the API's handler.
func NewHandler(settings Settings) http.Handler { return newHandler(settings, time.Now) }

func newHandler(settings Settings, now func() time.Time) http.Handler {
	h := &handler{
		Settings: settings, now: now, hosts: newHosts(settings.AllowedHosts), limiter: newLimiter(settings.Limits, time.Now),
	}
	routes := h.newRouter()
	openapi.Register(routes, h)
	return gzhttp.GzipHandler(safe(h.recovered(routes)))
}

// recovered answers 500 where a handler panics, and cuts the connection where the answer had begun, so that a client never
// takes half an answer for a whole one.
func (h *handler) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &recorder{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			h.Logger.Error("a query panicked", zap.Any("panic", p), zap.String("method", r.Method),
				zap.String("path", r.URL.Path), zap.ByteString("stack", debug.Stack()))
			if answer.status != 0 {
				panic(http.ErrAbortHandler)
			}
			newProblem(http.StatusInternalServerError, fault{Detail: "a fault in Tracewright; its log has the details"}).write(w)
		}()
		next.ServeHTTP(answer, r)
	})
}

// writeFailure answers for an error of the query service.
func (h *handler) writeFailure(w http.ResponseWriter, r *http.Request, err error) {
	var notFound *query.NotFoundError
	switch {
	case errors.As(err, &notFound):
		p := newProblem(http.StatusNotFound, fault{Field: "id", Detail: notFound.Error()})
		if notFound.InFlightKnown {
			p.InFlight = &notFound.InFlight
		}
		p.write(w)
	case errors.Is(err, tracestore.ErrCursor):
		newProblem(http.StatusBadRequest, fault{Field: "cursor", Detail: err.Error()}).write(w)
	case r.Context().Err() != nil:
		w.WriteHeader(statusClientClosedRequest)
	case errors.Is(err, tracestore.ErrUnavailable): // before what follows: not to reach a server in time is no slow query
		h.Logger.Error("the trace storage is not available", zap.String("path", r.URL.Path), zap.Error(err))
		w.Header().Set("Retry-After", "1")
		newProblem(http.StatusServiceUnavailable, fault{Detail: "the trace storage is not available; Tracewright's log has the details"}).write(w)
	case errors.Is(err, context.DeadlineExceeded):
		newProblem(http.StatusGatewayTimeout, fault{
			Detail: "the query took longer than query_timeout (" + h.Service.Timeout.String() + "); ask for less, or raise it",
		}).write(w)
	case errors.Is(err, servicemap.ErrUnavailable):
		h.Logger.Error("the service map is not available", zap.String("path", r.URL.Path), zap.Error(err))
		w.Header().Set("Retry-After", "1")
		newProblem(http.StatusServiceUnavailable, fault{Detail: "the service map is not available; Tracewright's log has the details"}).write(w)
	case errors.Is(err, tracestore.ErrClosed), errors.Is(err, servicemap.ErrClosed):
		w.Header().Set("Retry-After", "1")
		newProblem(http.StatusServiceUnavailable, fault{Detail: "the trace storage is starting or stopping; try again"}).write(w)
	case errors.Is(err, query.ErrMemory):
		w.Header().Set("Retry-After", "1")
		h.refuse(w, r, refusedMemory, newProblem(http.StatusServiceUnavailable, fault{
			Detail: err.Error() + " (limits::max_total_trace_bytes); try again",
		}))
	default:
		h.Logger.Error("a query failed", zap.String("path", r.URL.Path), zap.Error(err))
		newProblem(http.StatusInternalServerError, fault{Detail: "the trace storage failed; Tracewright's log has the details"}).write(w)
	}
}
