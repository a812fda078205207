package api

import (
	"errors"
	"net/http"

	"go.opentelemetry.io/collector/client"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tenant"
)

// reading lets a request pass that the authenticator for reading knows. It stands inside the route, so that reading and changing
// can have two, and so that the server's metrics keep the route.
func (h *handler) reading(next http.Handler) http.Handler {
	if h.ReadAuthenticator == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := h.ReadAuthenticator.Authenticate(r.Context(), r.Header)
		if err != nil {
			h.unauthorized(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (h *handler) unauthorized(w http.ResponseWriter, r *http.Request, err error) {
	h.Logger.Debug("a request was not authenticated", zap.Error(err))
	// RFC 9110 wants a challenge; the collector's authenticators for servers take bearer tokens.
	w.Header().Set("WWW-Authenticate", "Bearer")
	h.refuse(w, r, refusedUnauthenticated, newProblem(http.StatusUnauthorized, fault{
		Field: "Authorization", Detail: "missing or not accepted by the configured authenticator",
	}))
}

// tenant is the tenant that the request asks as.
func (h *handler) tenant(r *http.Request) (string, *problem) {
	var values []string
	if h.TenantHeader != "" {
		values = r.Header.Values(h.TenantHeader)
	}
	name, err := tenant.Of(client.FromContext(r.Context()).Auth, h.TenantHeader, values)
	switch {
	case errors.Is(err, tenant.ErrClaim):
		return "", newProblem(http.StatusForbidden, fault{Detail: err.Error()})
	case err != nil:
		return "", newProblem(http.StatusBadRequest, fault{h.TenantHeader, err.Error()})
	}
	return name, nil
}
