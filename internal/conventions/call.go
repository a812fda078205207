package conventions

import "go.opentelemetry.io/collector/pdata/ptrace"

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

// ReadProtocol is the protocol of a span.
func ReadProtocol(span ptrace.Span) string {
	var f ProtocolFacts
	for key, value := range span.Attributes().All() {
		f.Read(key, value)
	}
	return f.Protocol()
}
