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
	p := f.ReadPeer()
	return p.Service(), p.Kind
}

// Peer is what SpanFacts.Peer gives, its name not yet put together.
type Peer struct {
	system string // the database's, to stand before the name; may be empty
	name   string
	port   uint16 // to stand behind the name; 0 for none
	Kind   string
}

// Service is the peer's name.
func (p Peer) Service() string {
	switch {
	case p.system != "":
		return p.system + ":" + p.name
	case p.port != 0:
		return withPort(p.name, p.port)
	}
	return p.name
}

// ReadPeer is Peer for who may not need the name.
func (f *SpanFacts) ReadPeer() Peer {
	p := f.peer()
	switch {
	case p.name == "":
	case f.Database():
		p.Kind = KindDatabase
	case f.Messaging():
		p.Kind = KindQueue
	default:
		p.Kind = KindExternal
	}
	return p
}

func (f *SpanFacts) peer() Peer {
	if name := f.first(servicePeer); name != "" {
		return Peer{name: name}
	}
	system := f.DBSystem()
	if namespace := f.first(dbName); namespace != "" {
		return Peer{system: system, name: namespace}
	}
	if name := f.first(destination); name != "" {
		return Peer{name: name}
	}
	if host := f.first(address); host != "" {
		return Peer{name: host, port: f.peerPort()}
	}
	if host := urlHost(f.first(url)); host != "" {
		return Peer{name: host}
	}
	if host := f.first(connection); host != "" {
		return Peer{name: host, port: f.peerPort()}
	}
	if system != "" {
		return Peer{name: system}
	}
	return Peer{name: f.values[factMessagingSystem]}
}

func (f *SpanFacts) peerPort() uint16 {
	p := f.port
	if p == 0 {
		p = f.oldPort
	}
	if p < 0 || p > 65535 {
		return 0
	}
	return uint16(p)
}

// withPort adds the port to an address that has none; http.host may have one already.
func withPort(address string, p uint16) string {
	port := strconv.Itoa(int(p))
	switch {
	case strings.Count(address, ":") > 1 && address[0] != '[': // IPv6
		return "[" + address + "]:" + port
	case strings.LastIndexByte(address, ':') > strings.LastIndexByte(address, ']'):
		return address
	}
	return address + ":" + port
}

// PeerNames puts the names of peers together, those of the same peer mostly once. The zero value is ready. It is not safe for
// concurrent use.
type PeerNames struct {
	known [peerPlaces]knownPeer
}

type knownPeer struct {
	peer  Peer
	short string
}

// peerPlaces is how many peers are remembered, one for each hash; a power of two.
const peerPlaces = 64

// Short is the peer's name, shortened as aggregates have it.
func (n *PeerNames) Short(p Peer) string {
	if p.system == "" && p.port == 0 {
		return ShortName(p.name)
	}
	if len(p.system)+len(p.name) > MaxNameBytes {
		return ShortName(p.Service()) // what is remembered stays: a name may be megabytes
	}
	known := &n.known[(keyHash(p.name)^keyHash(p.system)^uint32(p.port))%peerPlaces]
	if known.peer != p {
		p.system, p.name = strings.Clone(p.system), strings.Clone(p.name) // not the whole of what they are part of
		*known = knownPeer{p, ShortName(p.Service())}
	}
	return known.short
}
