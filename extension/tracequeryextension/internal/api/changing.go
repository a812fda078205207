package api

import "net/http"

// changing lets a request pass that may change something. What a browser sends for the page of another site is refused first: a
// page can reach a server on this machine, which has no authenticator. Then:
//
//   - With a ManageAuthenticator that one decides. Whom it does not know gets 403 where the ReadAuthenticator does, else 401.
//   - Without one whoever may read may change, but only while nobody reaches the server from another host, and by a name of this
//     host: a site whose name leads here (DNS rebinding) is its own page to the browser.
func (h *handler) changing(next http.Handler) http.Handler {
	guarded := h.unguarded(next)
	if h.ManageAuthenticator != nil {
		guarded = h.manageAuthenticated(next)
	}
	pages := http.NewCrossOriginProtection()
	for _, origin := range h.TrustedOrigins {
		// One that is no origin, such as a pattern of CORS, is not trusted to change anything.
		_ = pages.AddTrustedOrigin(origin)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := pages.Check(r); err != nil {
			h.refuse(w, r, refusedOrigin, newProblem(http.StatusForbidden, fault{
				"Origin", "another site's page may not change anything: " + err.Error(),
			}))
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func (h *handler) manageAuthenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := h.ManageAuthenticator.Authenticate(r.Context(), r.Header)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		if h.ReadAuthenticator != nil {
			if ctx, readErr := h.ReadAuthenticator.Authenticate(r.Context(), r.Header); readErr == nil {
				h.noteClient(r.WithContext(ctx))
				h.refuse(w, r, refusedForbidden, newProblem(http.StatusForbidden, fault{
					"Authorization", "may read, but not change anything (manage_auth)",
				}))
				return
			}
		}
		h.unauthorized(w, r, err)
	})
}

func (h *handler) unguarded(next http.Handler) http.Handler {
	return h.reading(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !h.Loopback:
			h.refuse(w, r, refusedForbidden, newProblem(http.StatusForbidden, fault{
				Detail: "changes need manage_auth of trace_query, because it listens on an address that others reach",
			}))
		case !loopbackName(r.Host):
			h.refuse(w, r, refusedHost, newProblem(http.StatusForbidden, fault{
				"Host", "without manage_auth changes are taken for localhost or a loopback address alone, not for " + r.Host,
			}))
		default:
			next.ServeHTTP(w, r)
		}
	}))
}
