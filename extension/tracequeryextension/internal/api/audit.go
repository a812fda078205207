package api

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/collector/client"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

// auditKey finds the record of a change in its request's context.
type auditKey struct{}

// auditRecord collects what a record says beside what every one does. One request's goroutine uses it.
type auditRecord struct{ fields []zap.Field }

// note adds to the record of the change that is being made; nothing where the operation changes nothing.
func note(ctx context.Context, fields ...zap.Field) {
	if record, ok := ctx.Value(auditKey{}).(*auditRecord); ok {
		record.fields = append(record.fields, fields...)
	}
}

// maxAuditTarget bounds what a client can write into the log with one request.
const maxAuditTarget = 512

// audited logs one record for each change that was asked for, made or not: who, in which tenant, what, and what became of it. Each has
// a number in its message, because the collector's logger drops records that say the same.
func (h *handler) audited(route openapi.Route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record, answer, returned := &auditRecord{}, &recorder{ResponseWriter: w}, false
		defer func() {
			target := r.URL.EscapedPath()
			status := answer.outcome(returned)
			fields := []zap.Field{
				zap.Bool("audit", true), zap.String("operation", route.ID),
				zap.String("target", target[:min(len(target), maxAuditTarget)]),
				zap.String("outcome", auditOutcome(status)), zap.Int("status", status), zap.String("client", r.RemoteAddr),
			}
			h.Logger.Info(fmt.Sprintf("change %d: %s", h.changes.Add(1), route.ID), append(fields, record.fields...)...)
		}()
		next.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), auditKey{}, record)))
		returned = true
	})
}

// auditOutcome is what became of a change. One that failed may have been made in part, or in full where only the answer failed.
func auditOutcome(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "done"
	case status < http.StatusInternalServerError && status != statusClientClosedRequest:
		return "refused"
	default:
		return "failed"
	}
}

// noting calls f with the request on its way.
func noting(next http.Handler, f func(r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f(r)
		next.ServeHTTP(w, r)
	})
}

// noteClient puts on record as whom the authenticator knows the client.
func (h *handler) noteClient(r *http.Request) {
	if who := subject(r); who != "" {
		note(r.Context(), zap.String("subject", who))
	}
	if tenant, refused := h.tenant(r); refused == nil {
		note(r.Context(), zap.String("tenant", tenant))
	}
}

// subject is the client's name where an authenticator tells one.
func subject(r *http.Request) string {
	auth := client.FromContext(r.Context()).Auth
	if auth == nil {
		return ""
	}
	name, _ := auth.GetAttribute("subject").(string)
	return name
}
