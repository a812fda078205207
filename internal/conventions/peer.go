package conventions

import (
	"strconv"
	"strings"
)

// Peer names what a client or producer span calls when no span of another service answers it: a node of the map that sends no
// spans itself. The name is the first of
//
//   - peer.service (now service.peer.name)
//   - the database: its system and namespace, such as "postgresql:orders"
//   - messaging.destination.name
//   - server.address, with ":" and server.port where there is one
//   - the host, and port, of url.full
//   - network.peer.address, with server.port: what the connection leads to may be one pod of many
//   - the database's or the messaging system alone
//
// with the names of the conventions back to 1.4, and OpenTracing's, too. kind is one of KindDatabase, KindQueue and KindExternal. Both are empty if the
// span names nothing.
func (f *SpanFacts) Peer() (service, kind string) {
	if service = f.peerService(); service == "" {
		return "", ""
	}
	switch {
	case f.Database():
		return service, KindDatabase
	case f.Messaging():
		return service, KindQueue
	}
	return service, KindExternal
}

func (f *SpanFacts) peerService() string {
	if name := f.first(servicePeer); name != "" {
		return name
	}
	system := f.DBSystem()
	if namespace := f.first(dbName); namespace != "" {
		if system == "" {
			return namespace
		}
		return system + ":" + namespace
	}
	if name := f.first(destination); name != "" {
		return name
	}
	if host := f.first(address); host != "" {
		return f.withPort(host)
	}
	if host := urlHost(f.first(url)); host != "" {
		return host
	}
	if host := f.first(connection); host != "" {
		return f.withPort(host)
	}
	if system != "" {
		return system
	}
	return f.values[factMessagingSystem]
}

// withPort adds the port to an address that has none; http.host may have one already.
func (f *SpanFacts) withPort(address string) string {
	p := f.port
	if p == 0 {
		p = f.oldPort
	}
	if p <= 0 || p > 65535 {
		return address
	}
	port := strconv.FormatInt(p, 10)
	switch {
	case strings.Count(address, ":") > 1 && address[0] != '[': // IPv6
		return "[" + address + "]:" + port
	case strings.LastIndexByte(address, ':') > strings.LastIndexByte(address, ']'):
		return address
	}
	return address + ":" + port
}
