package conventions

import (
	"net/netip"
	"slices"
	"strings"
)

// insideHosts end the names of hosts that are not the internet's.
var insideHosts = []string{".svc", ".cluster.local", ".local", ".internal"}

// InsideHost says whether a host's name is one that the internet does not know.
func InsideHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "localhost" {
		return false
	}
	return !strings.Contains(host, ".") ||
		slices.ContainsFunc(insideHosts, func(end string) bool { return strings.HasSuffix(host, end) })
}

// HostOf is a host without its port, and an IPv6 address without its brackets.
func HostOf(host string) string {
	// A colon that is the only one, or follows a bracket, stands before a port; others belong to an IPv6 address.
	if i := strings.LastIndexByte(host, ':'); i > 0 && (host[i-1] == ']' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}
