package api

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.uber.org/zap"
)

const (
	// tenantAttribute is the attribute of an authenticator's data that binds a client to one tenant.
	tenantAttribute = "tenant"
	// maxTenantBytes is the longest name under which trace_assembly takes spans.
	maxTenantBytes = 256
)

// authenticated lets a request pass that the authenticator knows. It stands inside the route, so that reading and
// changing can have two, and so that the server's metrics keep the route.
func (h *handler) authenticated(authenticator extensionauth.Server, next http.Handler) http.Handler {
	if authenticator == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := authenticator.Authenticate(r.Context(), r.Header)
		if err != nil {
			h.Logger.Debug("a request was not authenticated", zap.Error(err))
			// RFC 9110 wants a challenge; the collector's authenticators for servers take bearer tokens.
			w.Header().Set("WWW-Authenticate", "Bearer")
			newProblem(http.StatusUnauthorized, fault{
				Field: "Authorization", Detail: "missing or not accepted by the configured authenticator",
			}).write(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// tenant is the tenant that the request asks as: the authenticator's claim, else the header, else the default tenant. A
// claim that is there but names no single tenant does not let the header decide.
func (h *handler) tenant(r *http.Request) (string, *problem) {
	if auth := client.FromContext(r.Context()).Auth; auth != nil {
		switch claim := auth.GetAttribute(tenantAttribute).(type) {
		case nil:
		case string:
			return claim, nil
		case []string:
			if len(claim) == 1 {
				return claim[0], nil
			}
			return "", newProblem(http.StatusForbidden, fault{Detail: "the authenticator does not name exactly one tenant"})
		default:
			return "", newProblem(http.StatusForbidden, fault{Detail: "the authenticator's tenant is not a text"})
		}
	}
	values := r.Header.Values(h.TenantHeader)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", newProblem(http.StatusBadRequest, fault{h.TenantHeader, "stands more than once"})
	case len(values[0]) > maxTenantBytes || !utf8.ValidString(values[0]):
		return "", newProblem(http.StatusBadRequest, fault{
			h.TenantHeader, "must be UTF-8 of at most " + strconv.Itoa(maxTenantBytes) + " bytes",
		})
	}
	return values[0], nil
}
