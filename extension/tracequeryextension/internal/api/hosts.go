package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hosts are the names by which requests may name the server. A page of a site whose name leads here (DNS rebinding) is, to the
// browser, a page of this server and may read what it answers; but the browser names the site. An address cannot be led elsewhere, so
// each is right.
type hosts struct {
	any   bool
	names map[string]bool
}

// newHosts takes names without ports; "*" is any.
func newHosts(allowed []string) hosts {
	h := hosts{names: map[string]bool{"localhost": true}}
	for _, name := range allowed {
		if name == "*" {
			h.any = true
		}
		h.names[hostName(name)] = true
	}
	return h
}

// allow says whether a Host header is right. Browsers always send one.
func (h hosts) allow(host string) bool {
	name := hostName(host)
	_, err := netip.ParseAddr(name)
	return h.any || name == "" || h.names[name] || err == nil
}

// hostName is the name in a Host header: without port, brackets, and the dot of a full name, in lower case.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// loopbackName says whether a Host header names this host by a name that nobody else can give.
func loopbackName(host string) bool {
	name := hostName(host)
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

// named lets a request pass that names the server by one of its names.
func (h *handler) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.hosts.allow(r.Host) {
			h.refuse(w, r, refusedHost, newProblem(http.StatusForbidden, fault{
				"Host", "the server does not answer by this name; an operator can add it to allowed_hosts of trace_query",
			}))
			return
		}
		next.ServeHTTP(w, r)
	})
}
