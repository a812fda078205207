package conventions

import "go.opentelemetry.io/collector/pdata/pcommon"

// spanKey is what SpanFacts takes of the attribute with a name.
type spanKey struct {
	name string
	want pcommon.ValueType // the type that the conventions give to it; empty where they do not know it
	take take
	to   fact // of takeText
}

type take uint8

const (
	takeNothing take = iota // its type alone is looked at
	takeText
	takeHTTP // the span is a request of HTTP
	takePort
	takeOldPort
	takeHTTPStatus
	takeOldHTTPStatus
	takeGRPCStatus
	takeRPCStatus
)

const (
	text   = pcommon.ValueTypeStr
	number = pcommon.ValueTypeInt
)

// spanKeys are the attributes of spans that are looked at.
var spanKeys = [...]spanKey{
	{"service.peer.name", text, takeText, factServicePeerName},
	{"peer.service", text, takeText, factPeerService},
	{"db.system.name", text, takeText, factDBSystemName},
	{"db.system", text, takeText, factDBSystem},
	{"db.namespace", text, takeText, factDBNamespace},
	{"db.name", text, takeText, factDBName},
	{"db.cassandra.keyspace", text, takeText, factDBCassandraKeyspace},
	{"db.hbase.namespace", text, takeText, factDBHBaseNamespace},
	{"db.instance", pcommon.ValueTypeEmpty, takeText, factDBInstance}, // OpenTracing's
	{"db.query.text", text, takeText, factDBQueryText},
	{"db.statement", text, takeText, factDBStatement},
	{"messaging.system", text, takeText, factMessagingSystem},
	{"messaging.destination.name", text, takeText, factMessagingDestinationName},
	{"messaging.destination", text, takeText, factMessagingDestination},
	{"messaging.source.name", text, takeText, factMessagingSourceName},
	{"message_bus.destination", pcommon.ValueTypeEmpty, takeText, factMessageBusDestination}, // OpenTracing's
	{"rpc.system.name", text, takeText, factRPCSystemName},
	{"rpc.system", text, takeText, factRPCSystem},
	{"rpc.service", text, takeText, factRPCService},
	{"rpc.method", text, takeText, factRPCMethod},
	{"server.address", text, takeText, factServerAddress},
	{"net.peer.name", text, takeText, factNetPeerName},
	{"http.host", text, takeText, factHTTPHost},
	{"peer.hostname", pcommon.ValueTypeEmpty, takeText, factPeerHostname}, // OpenTracing's
	{"server.socket.domain", text, takeText, factServerSocketDomain},
	{"net.sock.peer.name", text, takeText, factNetSockPeerName},
	{"server.socket.address", text, takeText, factServerSocketAddress},
	{"net.sock.peer.addr", text, takeText, factNetSockPeerAddr},
	{"network.peer.address", text, takeText, factNetworkPeerAddress},
	{"net.peer.ip", text, takeText, factNetPeerIP},
	{"url.full", text, takeText, factURLFull},
	{"http.url", text, takeText, factHTTPURL},
	{"user_agent.original", text, takeText, factUserAgent},
	{"azure.resource_provider.namespace", text, takeText, factAzureProvider},
	{"az.namespace", text, takeText, factAzureNamespace},
	{"component", pcommon.ValueTypeEmpty, takeText, factComponent}, // Envoy's
	{"http.route", text, takeText, factHTTPRoute},
	{"url.template", text, takeText, factURLTemplate},

	{name: "http.request.method", want: text, take: takeHTTP},
	{name: "http.method", want: text, take: takeHTTP},
	{name: "server.port", want: number, take: takePort},
	{name: "net.peer.port", want: number, take: takeOldPort},
	{name: "http.response.status_code", want: number, take: takeHTTPStatus},
	{name: "http.status_code", want: number, take: takeOldHTTPStatus},
	{name: "rpc.grpc.status_code", want: number, take: takeGRPCStatus},
	{name: "rpc.response.status_code", want: text, take: takeRPCStatus},

	{name: "http.request.body.size", want: number},
	{name: "http.response.body.size", want: number},
	{name: "http.request_content_length", want: number},
	{name: "http.response_content_length", want: number},
	{name: "http.request.resend_count", want: number},
	{name: "http.resend_count", want: number},
	{name: "client.port", want: number},
	{name: "net.host.port", want: number},
	{name: "network.peer.port", want: number},
	{name: "network.local.port", want: number},
	{name: "db.response.returned_rows", want: number},
	{name: "db.operation.batch.size", want: number},
	{name: "messaging.batch.message_count", want: number},
	{name: "messaging.message.body.size", want: number},
	{name: "thread.id", want: number},
	{name: "code.line.number", want: number},
	{name: "code.lineno", want: number},
	{name: "db.redis.database_index", want: number},
	{name: "net.sock.peer.port", want: number},
	{name: "server.socket.port", want: number},

	{name: "http.target", want: text},
	{name: "http.scheme", want: text},
	{name: "url.path", want: text},
	{name: "url.query", want: text},
	{name: "url.scheme", want: text},
	{name: "http.user_agent", want: text},
	{name: "http.client_ip", want: text},
	{name: "client.address", want: text},
	{name: "code.function.name", want: text},
	{name: "code.function", want: text},
	{name: "code.file.path", want: text},
	{name: "net.transport", want: text},
	{name: "network.transport", want: text},
	{name: "thread.name", want: text},
	{name: "network.protocol.name", want: text},
	{name: "network.protocol.version", want: text},
	{name: "error.type", want: text},
	{name: "db.response.status_code", want: text},
	{name: "db.operation.name", want: text},
	{name: "db.operation", want: text},
	{name: "db.collection.name", want: text},
	{name: "messaging.operation.name", want: text},
	{name: "messaging.operation.type", want: text},
	{name: "messaging.message.id", want: text},
	{name: "messaging.consumer.group.name", want: text},
	{name: "session.id", want: text},
	{name: "user.id", want: text},
	{name: "enduser.id", want: text},
}

// keyPlaces is a power of two, and a few times the number of keys: most unknown keys then meet an empty place.
const keyPlaces = 512

// keyTable finds the keys: a hash table with open addressing of one more than their indexes. A switch over so many strings costs
// several times as much, and every attribute of every span is looked up.
var keyTable = func() (table [keyPlaces]uint8) {
	for i := range spanKeys {
		at := keyHash(spanKeys[i].name) % keyPlaces
		for table[at] != 0 {
			at = (at + 1) % keyPlaces
		}
		table[at] = uint8(i + 1)
	}
	return table
}()

// findKey is the index of a key with a hash, -1 if it is none of spanKeys.
func findKey(key string, hash uint32) int {
	for at := hash % keyPlaces; keyTable[at] != 0; at = (at + 1) % keyPlaces {
		if i := int(keyTable[at]) - 1; spanKeys[i].name == key {
			return i
		}
	}
	return -1
}

// keyHash is made of what tells names of attributes apart: their last eight bytes, their first, and how many there are.
func keyHash(key string) uint32 {
	h := uint64(len(key)) << 8
	if len(key) >= 8 {
		end := key[len(key)-8:]
		h ^= uint64(key[0])<<48 ^ (uint64(end[0]) | uint64(end[1])<<8 | uint64(end[2])<<16 | uint64(end[3])<<24 |
			uint64(end[4])<<32 | uint64(end[5])<<40 | uint64(end[6])<<48 | uint64(end[7])<<56)
	} else {
		for i := range len(key) {
			h = h<<8 ^ uint64(key[i])
		}
	}
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}
