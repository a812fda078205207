package rollup

import (
	"strings"

	"github.com/tracewright/tracewright/internal/conventions"
)

// namesService says whether a peer's name says by itself that it is the service.
func namesService(peer, service string) bool { return peer == service || hostService(peer) == service }

// hostService is the service that a host of the inside names: its first label, as in stock, stock:8080 and stock.shop.svc. It is
// empty for hosts that the internet knows, whose labels are somebody else's.
func hostService(peer string) string {
	host := conventions.HostOf(peer)
	if !conventions.InsideHost(host) {
		return ""
	}
	label, _, _ := strings.Cut(host, ".")
	return label
}
