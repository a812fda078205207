package api

import (
	"context"
	"errors"
	"net/http"
	"path"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
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
}

// statusClientClosedRequest is nginx's code for a client that left before its answer. Nobody receives it; the server's
// metrics do.
const statusClientClosedRequest = 499

// reservedSegments are first segments below /traces/ that belong to endpoints and are never ids.
var reservedSegments = []string{
	"sources", "services", "operations", "performance", "dependencies", "errors", "insights",
}

type handler struct {
	Settings
	now func() time.Time
}

// NewHandler makes the API's handler.
func NewHandler(settings Settings) http.Handler { return newHandler(settings, time.Now) }

func newHandler(settings Settings, now func() time.Time) http.Handler {
	h := &handler{Settings: settings, now: now}
	mux := http.NewServeMux()
	mux.Handle("/traces/{id}", h.read(http.MethodGet, h.getTrace))
	mux.Handle("/traces/search", h.read(http.MethodPost, h.searchTraces))
	notFound := h.authenticated(h.ReadAuthenticator, http.HandlerFunc(h.notFound))
	for _, segment := range reservedSegments {
		mux.Handle("/traces/"+segment, notFound)
	}
	mux.Handle("/", notFound)
	return gzhttp.GzipHandler(h.recovered(exactPaths(mux, notFound)))
}

// exactPaths keeps the mux from redirecting paths such as //traces to what they may have meant.
func exactPaths(mux *http.ServeMux, notFound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.EscapedPath() // which is what the mux looks at
		if clean := path.Clean(asked); asked != clean && asked != clean+"/" {
			notFound.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// read is a route for reading, with one method (HEAD comes with GET). The methods are not in the mux's patterns, because
// it answers a wrong one in plain text.
func (h *handler) read(method string, serve http.HandlerFunc) http.Handler {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	return h.authenticated(h.ReadAuthenticator, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", allow)
			newProblem(http.StatusMethodNotAllowed, fault{Detail: "allowed here: " + allow}).write(w)
			return
		}
		serve(w, r)
	}))
}

func (h *handler) notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, fault{Detail: "nothing is served at " + r.URL.Path}).write(w)
}

// recovered answers 500 where a handler panics, and cuts the connection where the answer had begun, so that a client never
// takes half an answer for a whole one.
func (h *handler) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := &beginning{ResponseWriter: w}
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
			if began.began {
				panic(http.ErrAbortHandler)
			}
			newProblem(http.StatusInternalServerError, fault{Detail: "a fault in Tracewright; its log has the details"}).write(w)
		}()
		next.ServeHTTP(began, r)
	})
}

// beginning remembers whether an answer has begun.
type beginning struct {
	http.ResponseWriter
	began bool
}

func (b *beginning) WriteHeader(status int) {
	b.began = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *beginning) Write(p []byte) (int, error) {
	b.began = true
	return b.ResponseWriter.Write(p)
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
	case errors.Is(err, context.DeadlineExceeded):
		newProblem(http.StatusGatewayTimeout, fault{
			Detail: "the query took longer than query_timeout (" + h.Service.Timeout.String() + "); ask for less, or raise it",
		}).write(w)
	case errors.Is(err, tracestore.ErrClosed):
		w.Header().Set("Retry-After", "1")
		newProblem(http.StatusServiceUnavailable, fault{Detail: "the trace storage is starting or stopping; try again"}).write(w)
	default:
		h.Logger.Error("a query failed", zap.String("path", r.URL.Path), zap.Error(err))
		newProblem(http.StatusInternalServerError, fault{Detail: "the trace storage failed; Tracewright's log has the details"}).write(w)
	}
}
