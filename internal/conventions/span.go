package conventions

import (
	"math/bits"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/attributes"
)

// SpanFacts is what the look-ups need of one span, gathered in a single pass over its attributes. Current names of the
// semantic conventions go before previous ones, whatever their order on the span. Values of another type than the conventions'
// count as absent.
//
// The zero value is ready, and one after the other may be read into the same.
type SpanFacts struct {
	kind   ptrace.SpanKind
	values [factCount]string
	given  factSet // those of values that are not empty

	read
}

// read is what starts afresh with each span.
type read struct {
	port    int64 // server.port
	oldPort int64 // net.peer.port

	http bool // see ProtocolFacts

	// Response is the answer that the call got or gave.
	Response Response

	wrongType bool
	annotated bool
	faults    AttributeFaults

	// Attributes of category.go. business says that the span has details of the business, businessOperation that it names an operation.
	s3, container, orchestration, network, business, businessOperation bool
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
	factDBCassandraKeyspace
	factDBHBaseNamespace
	factDBInstance
	// what is asked of the database
	factDBQueryText
	factDBStatement
	factMessagingSystem
	// the queue or topic
	factMessagingDestinationName
	factMessagingDestination
	factMessagingSourceName
	factMessageBusDestination
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
	// the other end of the connection, which may be a pod or a proxy
	factServerSocketDomain
	factNetSockPeerName
	factNetworkPeerAddress
	factServerSocketAddress
	factNetSockPeerAddr
	factNetPeerIP
	// the URL that is called
	factURLFull
	factHTTPURL
	// Envoy's component
	factComponent
	// the template of the path that is served or called
	factHTTPRoute
	factURLTemplate
	// what tells an object store
	factUserAgent
	factAzureProvider
	factAzureNamespace
	factCount
)

// factSet is a set of facts, one bit each; the first of those that are names for the same thing is the current one.
type factSet uint64

const (
	servicePeer factSet = 1<<factServicePeerName | 1<<factPeerService
	dbSystem    factSet = 1<<factDBSystemName | 1<<factDBSystem
	dbName      factSet = 1<<factDBNamespace | 1<<factDBName | 1<<factDBCassandraKeyspace | 1<<factDBHBaseNamespace | 1<<factDBInstance
	dbQuery     factSet = 1<<factDBQueryText | 1<<factDBStatement
	destination factSet = 1<<factMessagingDestinationName | 1<<factMessagingDestination | 1<<factMessagingSourceName |
		1<<factMessageBusDestination
	rpcSystem  factSet = 1<<factRPCSystemName | 1<<factRPCSystem
	address    factSet = 1<<factServerAddress | 1<<factNetPeerName | 1<<factHTTPHost | 1<<factPeerHostname
	connection factSet = 1<<factServerSocketDomain | 1<<factNetSockPeerName | 1<<factNetworkPeerAddress |
		1<<factServerSocketAddress | 1<<factNetSockPeerAddr | 1<<factNetPeerIP
	rpcCall factSet = 1<<factRPCService | 1<<factRPCMethod
	url     factSet = 1<<factURLFull | 1<<factHTTPURL
	azure   factSet = 1<<factAzureProvider | 1<<factAzureNamespace
	// pathTemplate is what Route is, of an operation's name
	pathTemplate factSet = 1<<factHTTPRoute | 1<<factURLTemplate
)

// ReadSpan gathers the facts of a span.
func ReadSpan(span ptrace.Span) (f SpanFacts) {
	f.Read(span)
	return f
}

// Read gathers the facts of a span in the place of those of another.
func (f *SpanFacts) Read(span ptrace.Span) {
	for ; f.given != 0; f.given &= f.given - 1 {
		f.values[bits.TrailingZeros64(uint64(f.given))] = ""
	}
	f.kind, f.read = span.Kind(), read{}
	attrs := span.Attributes()
	var (
		known [2]uint64 // a bit for each of spanKeys that was there
		other keySet
		again bool // a key that is none of spanKeys, or another with the same bit
	)
	list := attributes.List(attrs)
	for i := range list {
		attribute := &list[i]
		key, typ := attribute.Key(), attribute.Type()
		switch typ {
		case pcommon.ValueTypeStr:
			if len(attribute.Str()) > MaxAttributeBytes {
				f.faults |= OversizeValue
			}
		case pcommon.ValueTypeBytes, pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
			if !strings.HasPrefix(key, Prefix) { // the services of a trace may be many
				f.faults |= valueFaults(attribute.Value(attrs), typ)
			}
		}
		hash := keyHash(key)
		at := findKey(key, hash)
		if at < 0 {
			again = other.add(hash) || again
			f.readOther(key, attribute.Value(attrs))
			continue
		}
		word, bit := &known[at/64], uint64(1)<<(at%64)
		if *word&bit != 0 {
			f.faults |= DuplicateKey
		}
		*word |= bit
		k := &spanKeys[at]
		if typ != k.want && k.want != pcommon.ValueTypeEmpty && typ != pcommon.ValueTypeEmpty {
			f.wrongType = true
		}
		if k.take != takeNothing {
			f.take(k, attribute.Value(attrs), typ)
		}
	}
	if again && f.faults&DuplicateKey == 0 && repeatsKey(attrs) {
		f.faults |= DuplicateKey
	}
}

// take takes the first of repeated attributes, as pcommon.Map.Get does.
func (f *SpanFacts) take(k *spanKey, value pcommon.Value, typ pcommon.ValueType) {
	switch k.take {
	case takeText:
		if f.given>>k.to&1 == 0 && typ == pcommon.ValueTypeStr && value.Str() != "" {
			f.values[k.to] = value.Str()
			f.given |= 1 << k.to
		}
	case takeHTTP:
		f.http = f.http || typ == pcommon.ValueTypeStr
	case takePort:
		if f.port == 0 {
			f.port = port(value)
		}
	case takeOldPort:
		if f.oldPort == 0 {
			f.oldPort = port(value)
		}
	case takeHTTPStatus:
		setInt(&f.Response.http, value)
	case takeOldHTTPStatus:
		setInt(&f.Response.oldHTTP, value)
	case takeGRPCStatus:
		if f.Response.grpc == 0 && typ == pcommon.ValueTypeInt {
			f.Response.grpc = value.Int() + 1
		}
	case takeRPCStatus:
		if typ == pcommon.ValueTypeStr {
			setText(&f.Response.rpc, value.Str())
		}
	}
}

// wrongType says whether the value has another type. One that is empty is none.
func wrongType(want pcommon.ValueType, value pcommon.Value) bool {
	got := value.Type()
	return got != want && got != pcommon.ValueTypeEmpty
}

// Annotated says whether an attribute under Prefix stands on the span.
func (f *SpanFacts) Annotated() bool { return f.annotated }

// Faults are those of the span's attributes.
func (f *SpanFacts) Faults() AttributeFaults { return f.faults }

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
func (f *SpanFacts) first(of factSet) string {
	if given := f.given & of; given != 0 {
		return f.values[bits.TrailingZeros64(uint64(given))]
	}
	return ""
}

func (f *SpanFacts) any(of factSet) bool { return f.given&of != 0 }

// HTTPCall says whether the span is a request of HTTP.
func (f *SpanFacts) HTTPCall() bool { return f.http }

// RPC says whether the span is a call of an RPC system.
func (f *SpanFacts) RPC() bool { return f.any(rpcSystem) }

// DBSystem is the database system, such as "postgresql"; empty if the span names none.
func (f *SpanFacts) DBSystem() string {
	if system := f.first(dbSystem); system != "" || !f.etcd() {
		return system
	}
	return "etcd"
}

// etcdServices begins the names of etcd's services, which speak gRPC and say nothing of a database.
const etcdServices = "etcdserverpb."

func (f *SpanFacts) etcd() bool { return f.rpcOf(etcdServices) }

// rpcOf says whether the span calls, or serves, a method of a service whose full name begins so. The conventions write that name in
// rpc.method; before 1.39 in rpc.service.
func (f *SpanFacts) rpcOf(prefix string) bool {
	return f.any(rpcCall) && (strings.HasPrefix(f.values[factRPCService], prefix) || strings.HasPrefix(f.values[factRPCMethod], prefix))
}

// Database says whether the span is an operation of a database.
func (f *SpanFacts) Database() bool { return f.any(dbSystem|dbName|dbQuery) || f.etcd() }

// Messaging says whether the span sends, receives or processes a message.
func (f *SpanFacts) Messaging() bool {
	return f.kind == ptrace.SpanKindProducer || f.kind == ptrace.SpanKindConsumer || f.namesQueue()
}

// namesQueue says whether the span names what messages go through.
func (f *SpanFacts) namesQueue() bool { return f.any(1<<factMessagingSystem | destination) }

// Host is the host that the span calls, without a port; empty if the span names none.
func (f *SpanFacts) Host() string {
	host := f.first(address)
	if host == "" {
		host = urlHost(f.first(url))
	}
	if host == "" {
		host = f.first(connection)
	}
	return HostOf(host)
}

// urlHost is the host and port of a URL, without the user information, which may be a secret.
func urlHost(u string) string {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}
