package api

import (
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

// guard puts before an operation what stands before every one, from the outside in: its time is measured, a change is put on record,
// the server has room, the request names the server by a name that it has, the client may do this, has not asked too often, and has a share of the
// memory for traces. It stands
// within the route, so that access can differ, and so that the server's own metrics keep the route.
//
// An open operation is only measured: a probe must be answered whatever the load and the name, and tells nothing.
func (h *handler) guard(route openapi.Route, serve http.Handler) http.Handler {
	switch route.Access {
	case openapi.AccessOpen:
	case openapi.AccessManage:
		serve = h.audited(route, h.admitted(h.named(h.changing(noting(h.fair(h.bounded(serve)), h.noteClient)))))
	default:
		serve = h.admitted(h.named(h.reading(h.fair(h.bounded(serve)))))
	}
	return h.measured(route, serve)
}

// measured counts how long an operation took, by its outcome.
func (h *handler) measured(route openapi.Route, next http.Handler) http.Handler {
	operation := attribute.String("operation", route.ID)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, answer, returned := time.Now(), &recorder{ResponseWriter: w}, false
		defer func() {
			h.Telemetry.ExtensionTraceQueryDuration.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributeSet(
				attribute.NewSet(operation, attribute.Int("status", answer.outcome(returned)))))
		}()
		next.ServeHTTP(answer, r)
		returned = true
	})
}

// bounded gives a request its share of the memory for traces, until it is answered.
func (h *handler) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := h.Service.Memory.Begin(r.Context())
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// refusal is why a request was not served, as the metrics name it.
type refusal string

const (
	refusedHost            refusal = "host"            // an unknown name of the server
	refusedOrigin          refusal = "origin"          // sent by another site's page
	refusedUnauthenticated refusal = "unauthenticated" // the authenticator does not know the client
	refusedForbidden       refusal = "forbidden"       // it does, and the client may not do this
	refusedConcurrency     refusal = "concurrency"     // too many at once
	refusedRate            refusal = "rate"            // too many of this client in a while
	refusedMemory          refusal = "memory"          // large traces that are read take what there is
)

// refuse answers with a problem and counts why.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, why refusal, p *problem) {
	h.Telemetry.ExtensionTraceQueryRefusedRequests.Add(r.Context(), 1,
		metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", string(why)))))
	p.write(w)
}
