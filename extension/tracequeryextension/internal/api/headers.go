package api

import "net/http"

// safeHeaders are what every answer has: it is what it says it is, no page shows it or takes it for one of its own parts, it tells nobody
// where its reader came from, and caches do not keep what a live system answered.
var safeHeaders = [][2]string{
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Referrer-Policy", "no-referrer"},
	{"Cache-Control", "no-store"},
}

// setSafeHeaders sets those that are not set yet: an operator's http::response_headers come first.
func setSafeHeaders(header http.Header) {
	for _, h := range safeHeaders {
		if header.Get(h[0]) == "" {
			header.Set(h[0], h[1])
		}
	}
}

// safe sets the headers before anything can be answered. What answers with a page sets its own policy in their place.
func safe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSafeHeaders(w.Header())
		next.ServeHTTP(w, r)
	})
}
