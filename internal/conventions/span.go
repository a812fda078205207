package conventions

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// SpanFacts is what the look-ups need of one span, gathered in a single pass over its attributes. Current names of the
// semantic conventions go before previous ones, whatever their order on the span. Values of another type than the conventions'
// count as absent.
type SpanFacts struct {
	kind    ptrace.SpanKind
	values  [factCount]string
	port    int64 // server.port
	oldPort int64 // net.peer.port

	http bool // see ProtocolFacts

	// Response is the answer that the call got or gave.
	Response Response

	wrongType bool

	// Attributes under the prefixes of category.go.
	s3, container, orchestration, network, business bool
}

// fact is one value that a look-up wants; the facts that follow each other under one comment are names for the same thing,
// the current one first.
type fact int

const (
	// the service that the sender says it calls
	factServicePeerName fact = iota
	factPeerService
	// the database system
	factDBSystemName
	factDBSystem
	// the database within the system
	factDBNamespace
	factDBName
	// what is asked of the database
	factDBQueryText
	factDBStatement
	factMessagingSystem
	// the queue or topic
	factMessagingDestinationName
	factMessagingDestination
	// the RPC system
	factRPCSystemName
	factRPCSystem
	factRPCService
	factRPCMethod
	// the host that is called
	factServerAddress
	factNetPeerName
	factHTTPHost
	factPeerHostname
	factNetworkPeerAddress
	factNetPeerIP
	// the URL that is called
	factURLFull
	factHTTPURL
	// Envoy's component
	factComponent
	factCount
)

// ReadSpan gathers the facts of a span.
func ReadSpan(span ptrace.Span) SpanFacts {
	f := SpanFacts{kind: span.Kind()}
	for key, value := range span.Attributes().All() {
		switch key {
		case "service.peer.name":
			f.set(factServicePeerName, value)
		case "peer.service":
			f.set(factPeerService, value)
		case "db.system.name":
			f.set(factDBSystemName, value)
		case "db.system":
			f.set(factDBSystem, value)
		case "db.namespace":
			f.set(factDBNamespace, value)
		case "db.name":
			f.set(factDBName, value)
		case "db.query.text":
			f.set(factDBQueryText, value)
		case "db.statement":
			f.set(factDBStatement, value)
		case "messaging.system":
			f.set(factMessagingSystem, value)
		case "messaging.destination.name":
			f.set(factMessagingDestinationName, value)
		case "messaging.destination":
			f.set(factMessagingDestination, value)
		case "rpc.system.name":
			f.set(factRPCSystemName, value)
		case "rpc.system":
			f.set(factRPCSystem, value)
		case "rpc.service":
			f.set(factRPCService, value)
		case "rpc.method":
			f.set(factRPCMethod, value)
		case "server.address":
			f.set(factServerAddress, value)
		case "net.peer.name":
			f.set(factNetPeerName, value)
		case "http.host":
			f.set(factHTTPHost, value)
		case "peer.hostname":
			setText(&f.values[factPeerHostname], value) // OpenTracing's, not in the conventions
		case "network.peer.address":
			f.set(factNetworkPeerAddress, value)
		case "net.peer.ip":
			f.set(factNetPeerIP, value)
		case "url.full":
			f.set(factURLFull, value)
		case "http.url":
			f.set(factHTTPURL, value)
		case "component":
			setText(&f.values[factComponent], value)
		case "http.request.method", "http.method":
			f.http = f.http || value.Type() == pcommon.ValueTypeStr
			f.expect(pcommon.ValueTypeStr, value)
		case "server.port":
			f.port = port(value)
			f.expect(pcommon.ValueTypeInt, value)
		case "net.peer.port":
			f.oldPort = port(value)
			f.expect(pcommon.ValueTypeInt, value)
		case "http.response.status_code":
			setInt(&f.Response.http, value)
			f.expect(pcommon.ValueTypeInt, value)
		case "http.status_code":
			setInt(&f.Response.oldHTTP, value)
			f.expect(pcommon.ValueTypeInt, value)
		case "rpc.grpc.status_code":
			if f.Response.grpc == 0 && value.Type() == pcommon.ValueTypeInt {
				f.Response.grpc = value.Int() + 1
			}
			f.expect(pcommon.ValueTypeInt, value)
		case "rpc.response.status_code":
			setText(&f.Response.rpc, value)
			f.expect(pcommon.ValueTypeStr, value)
		case "http.request.body.size", "http.response.body.size",
			"http.request_content_length", "http.response_content_length", "http.request.resend_count", "http.resend_count",
			"client.port", "net.host.port", "network.peer.port", "network.local.port",
			"db.response.returned_rows", "db.operation.batch.size", "messaging.batch.message_count", "messaging.message.body.size",
			"thread.id":
			f.expect(pcommon.ValueTypeInt, value)
		case "http.route", "http.target", "http.scheme", "url.path", "url.query", "url.scheme", "user_agent.original",
			"client.address", "network.protocol.name", "network.protocol.version", "error.type",
			"db.response.status_code", "db.operation.name", "db.operation", "db.collection.name", "messaging.operation.name",
			"messaging.operation.type", "messaging.message.id", "session.id", "user.id", "enduser.id":
			f.expect(pcommon.ValueTypeStr, value)
		default:
			f.readPrefix(key)
		}
	}
	return f
}

// set takes the first of repeated attributes, as pcommon.Map.Get does.
func (f *SpanFacts) set(at fact, value pcommon.Value) {
	setText(&f.values[at], value)
	f.expect(pcommon.ValueTypeStr, value)
}

// expect notes whether the value has the type that the conventions give to its key.
func (f *SpanFacts) expect(want pcommon.ValueType, value pcommon.Value) {
	f.wrongType = f.wrongType || wrongType(want, value)
}

// wrongType says whether the value has another type. One that is empty is none.
func wrongType(want pcommon.ValueType, value pcommon.Value) bool {
	got := value.Type()
	return got != want && got != pcommon.ValueTypeEmpty
}

// WrongType says whether a value has another type than the conventions, current or previous, give to its key. Only the keys
// that ReadSpan knows are looked at.
func (f *SpanFacts) WrongType() bool { return f.wrongType }

func port(value pcommon.Value) int64 {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return value.Int()
	case pcommon.ValueTypeStr: // some older libraries
		return textPort(value.Str())
	}
	return 0
}

func textPort(text string) int64 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int64(n)
}

// first is the first of the facts that is there.
func (f *SpanFacts) first(facts ...fact) string {
	for _, at := range facts {
		if f.values[at] != "" {
			return f.values[at]
		}
	}
	return ""
}

// HTTPCall says whether the span is a request of HTTP.
func (f *SpanFacts) HTTPCall() bool { return f.http }

// RPC says whether the span is a call of an RPC system.
func (f *SpanFacts) RPC() bool { return f.first(factRPCSystemName, factRPCSystem) != "" }

// DBSystem is the database system, such as "postgresql"; empty if the span names none.
func (f *SpanFacts) DBSystem() string { return f.first(factDBSystemName, factDBSystem) }

// Database says whether the span is an operation of a database.
func (f *SpanFacts) Database() bool {
	return f.first(factDBSystemName, factDBSystem, factDBQueryText, factDBStatement) != ""
}

// Messaging says whether the span sends, receives or processes a message.
func (f *SpanFacts) Messaging() bool {
	return f.kind == ptrace.SpanKindProducer || f.kind == ptrace.SpanKindConsumer ||
		f.first(factMessagingSystem, factMessagingDestinationName, factMessagingDestination) != ""
}

// Storage says whether the span is a call of an object store: S3 and what speaks its protocol, Google's and Azure's.
func (f *SpanFacts) Storage() bool {
	if f.s3 || f.values[factRPCService] == "S3" || strings.HasPrefix(f.values[factRPCMethod], "S3/") {
		return true
	}
	return f.kind == ptrace.SpanKindClient && objectStoreHost(f.Host())
}

// Host is the host that the span calls, without a port; empty if the span names none.
func (f *SpanFacts) Host() string {
	host := f.address()
	if host == "" {
		host = urlHost(f.first(factURLFull, factHTTPURL))
	}
	// A colon that is the only one, or follows a bracket, stands before a port; others belong to an IPv6 address.
	if i := strings.LastIndexByte(host, ':'); i > 0 && (host[i-1] == ']' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

func (f *SpanFacts) address() string {
	return f.first(factServerAddress, factNetPeerName, factHTTPHost, factPeerHostname, factNetworkPeerAddress, factNetPeerIP)
}

// urlHost is the host and port of a URL, without the user information, which may be a secret.
func urlHost(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}
