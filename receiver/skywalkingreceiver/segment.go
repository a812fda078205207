package skywalkingreceiver

import (
	"net"
	"strconv"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/skywalking"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	agent "skywalking.apache.org/repo/goapi/collect/language/agent/v3"
)

// Attributes in the semantic conventions.
const (
	serverAddress  = "server.address"
	serverPort     = "server.port"
	statusCode     = "http.response.status_code"
	previousStatus = "http.status_code"
	databaseSystem = "db.system.name"
)

// renamed are tags that the semantic conventions have by another name, or by several of SkyWalking's: the first that is there is taken.
var renamed = []struct{ tag, name string }{
	{"url", "url.full"},
	{"status_code", statusCode},
	{"db.type", databaseSystem},
	{"cache.type", databaseSystem},
	{"db.instance", "db.namespace"},
	{"mq.topic", "messaging.destination.name"},
	{"mq.queue", "messaging.destination.name"},
}

// translate makes spans of a segment, whose service and instance alone are the resource. The collector's translator makes attributes of the
// resource of some tags of the last span, and of the trace's id, and passes over what an exit span calls.
func translate(segment *agent.SegmentObject) ptrace.Traces {
	td := skywalking.ProtoToTraces(segment)
	if td.SpanCount() == 0 {
		return ptrace.NewTraces()
	}
	translated := td.ResourceSpans().At(0)
	translated.Resource().Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
		return key != "service.name" && key != "service.instance.id"
	})
	spans := translated.ScopeSpans().At(0).Spans()
	spans.At(0).Attributes().PutStr(skywalking.AttributeSkywalkingTraceID, segment.GetTraceId())
	for i, span := range segment.GetSpans() {
		attrs := spans.At(i).Attributes()
		if span.GetSpanType() == agent.SpanType_Exit {
			putPeer(attrs, span.GetPeer())
		}
		rename(attrs)
	}
	return td
}

// rename gives tags the names and types of the semantic conventions.
func rename(attrs pcommon.Map) {
	for _, r := range renamed {
		value, ok := attrs.Get(r.tag)
		if !ok {
			continue
		}
		text := value.Str()
		if _, taken := attrs.Get(r.name); taken {
			continue
		}
		attrs.Remove(r.tag)
		attrs.PutStr(r.name, text)
	}
	for _, key := range []string{statusCode, previousStatus} {
		if value, ok := attrs.Get(key); ok {
			if code, err := strconv.ParseInt(value.Str(), 10, 64); err == nil {
				value.SetInt(code)
			}
		}
	}
	if system, ok := attrs.Get(databaseSystem); ok {
		system.SetStr(strings.ToLower(system.Str()))
	}
}

// putPeer says what a span calls: host:port, of several brokers the first, or whatever the agent calls it.
func putPeer(attrs pcommon.Map, peer string) {
	if broker, ok := attrs.Get("mq.broker"); peer == "" && ok {
		peer = broker.Str()
	}
	peer, _, _ = strings.Cut(peer, ";")
	peer, _, _ = strings.Cut(peer, ",")
	if peer == "" {
		return
	}
	host, port, err := net.SplitHostPort(peer)
	if number, notOne := strconv.ParseUint(port, 10, 16); err == nil && notOne == nil {
		attrs.PutStr(serverAddress, host)
		attrs.PutInt(serverPort, int64(number))
		return
	}
	attrs.PutStr(serverAddress, peer)
}
