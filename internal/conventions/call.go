package conventions

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Call is what a client or producer span says of its call where no span of another service answers it.
type Call struct {
	// Peer and PeerKind are those of SpanFacts.Peer, the name shortened as aggregates have it. Empty if the span names nothing:
	// then it is no call of a virtual peer.
	Peer, PeerKind string
	// Protocol is that of ProtocolFacts.
	Protocol string
}

// ReadCall reads the call of a span.
func ReadCall(span ptrace.Span) Call {
	f := ReadSpan(span)
	peer, kind := f.Peer()
	return Call{Peer: ShortName(peer), PeerKind: kind, Protocol: f.protocol()}
}

// protocol is that of ProtocolFacts, from what was gathered already.
func (f *SpanFacts) protocol() string {
	p := ProtocolFacts{
		db: f.values[factDBSystemName], oldDB: f.values[factDBSystem], messaging: f.values[factMessagingSystem],
		rpc: f.values[factRPCSystemName], oldRPC: f.values[factRPCSystem], http: f.http,
	}
	return p.Protocol()
}

// Calls is ReadCall for those who ask for every call and have only looked at the bytes of its span: it remembers the latest calls by a
// hash of what they are read from, and gives those that are alike as one. The zero value is not ready, see NewCalls. It is safe
// for concurrent use.
type Calls struct {
	seed  maphash.Seed // nobody can make calls that are taken for others
	slots [callSlots]atomic.Pointer[rememberedCall]
}

// callSlots is a power of two.
const callSlots = 4096

type rememberedCall struct {
	hash uint64
	call Call
}

// NewCalls makes Calls that remember nothing yet.
func NewCalls() *Calls { return &Calls{seed: maphash.MakeSeed()} }

// Calling says whether spans of the kind call somebody.
func Calling(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer
}

// Clues begins to gather what names the call of a span of the kind.
func (c *Calls) Clues(kind ptrace.SpanKind) CallClues {
	return CallClues{seed: c.seed, hash: uint64(kind)}
}

// Of is the call that the clues name, nil where it has no peer. It is not to be changed. read gives the span, where such a call was
// not seen lately.
func (c *Calls) Of(clues *CallClues, read func() ptrace.Span) *Call {
	hash := clues.sum()
	slot := &c.slots[hash%callSlots]
	known := slot.Load()
	if known == nil || known.hash != hash {
		call := ReadCall(read())
		call.Peer, call.Protocol = strings.Clone(call.Peer), strings.Clone(call.Protocol) // not the whole of a URL
		known = &rememberedCall{hash, call}
		slot.Store(known)
	}
	if known.call.Peer == "" {
		return nil
	}
	return &known.call
}

// CallClues is a hash of everything that Peer and Protocol look at, gathered while the attributes of a span are walked. Spans that
// differ in it may have the same call, never the reverse. Attributes that are neither text nor integer are no clues.
type CallClues struct {
	seed  maphash.Seed
	hash  uint64
	named bool      // by something that goes before the following
	last  [8]string // what counts where nothing else names the peer: addresses are many
}

// Int takes an attribute.
func (c *CallClues) Int(key string, n int64) {
	switch key {
	case "server.port":
		c.hash = mix(c.hash, 200, uint64(n))
	case "net.peer.port":
		c.hash = mix(c.hash, 201, uint64(n))
	}
}

// Text takes an attribute. Its text must not change until the call is asked for.
func (c *CallClues) Text(key, text string) {
	name := uint64(0)
	switch key {
	case "service.peer.name":
		name = 1
	case "peer.service":
		name = 2
	case "db.namespace":
		name = 3
	case "db.name":
		name = 4
	case "db.cassandra.keyspace":
		name = 5
	case "db.hbase.namespace":
		name = 6
	case "db.instance":
		name = 7
	case "messaging.destination.name":
		name = 8
	case "messaging.destination":
		name = 9
	case "messaging.source.name":
		name = 10
	case "message_bus.destination":
		name = 11
	case "server.address":
		name = 12
	case "net.peer.name":
		name = 13
	case "http.host":
		name = 14
	case "peer.hostname":
		name = 15
	case "db.system.name":
		name = maxNamed + 1
	case "db.system":
		name = maxNamed + 2
	case "messaging.system":
		name = maxNamed + 3
	case "rpc.system.name":
		name = maxNamed + 4
	case "rpc.system":
		name = maxNamed + 5
	case "rpc.service", "rpc.method": // that etcd is called counts
		if text != "" {
			etcd := uint64(0)
			if strings.HasPrefix(text, etcdServices) {
				etcd = 1
			}
			c.hash = mix(c.hash, 400+uint64(len(key)), etcd)
		}
		return
	case "db.query.text", "db.statement", "http.request.method", "http.method": // that they are there counts
		c.hash = mix(c.hash, 100+uint64(len(key)), min(1, uint64(len(text))))
		return
	case "server.port", "net.peer.port":
		c.Int(key, textPort(text))
		return
	case "server.socket.domain":
		c.setLast(0, text)
		return
	case "net.sock.peer.name":
		c.setLast(1, text)
		return
	case "network.peer.address":
		c.setLast(2, text)
		return
	case "server.socket.address":
		c.setLast(3, text)
		return
	case "net.sock.peer.addr":
		c.setLast(4, text)
		return
	case "net.peer.ip":
		c.setLast(5, text)
		return
	case "url.full":
		c.setLast(6, text)
		return
	case "http.url":
		c.setLast(7, text)
		return
	default:
		return
	}
	if text != "" {
		c.named = c.named || name <= maxNamed
		c.hash = mix(c.hash, name, maphash.String(c.seed, text))
	}
}

// setLast takes the first of repeated attributes.
func (c *CallClues) setLast(i int, text string) {
	if c.last[i] == "" {
		c.last[i] = text
	}
}

func (c *CallClues) sum() uint64 {
	hash := c.hash
	if !c.named {
		for i, text := range c.last {
			if i >= 6 {
				text = urlHost(text)
			}
			hash = mix(hash, 300+uint64(i), maphash.String(c.seed, text))
		}
	}
	return hash
}

// maxNamed is the last of the attributes in hash that name a peer before addresses and URLs do.
const maxNamed = 15

// mix adds what an attribute says, in their order.
func mix(hash, name, value uint64) uint64 {
	hash = (hash ^ value) * 0x9e3779b97f4a7c15
	return (hash ^ hash>>32 ^ name) * 0xd6e8feb86659fd93
}

// ReadProtocol is the protocol of a span.
func ReadProtocol(span ptrace.Span) string {
	var f ProtocolFacts
	for key, value := range span.Attributes().All() {
		f.Read(key, value)
	}
	return f.Protocol()
}
