package conventions

import (
	"cmp"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ProtocolUnknown stands for the protocol of a call that names none.
const ProtocolUnknown = "unknown"

// ProtocolFacts is what names the protocol of a call, gathered while the attributes of its span are walked. The zero value is
// ready. It stands apart from SpanFacts, because who counts calls needs nothing else of them, once for every span.
type ProtocolFacts struct {
	db, oldDB, messaging, rpc, oldRPC string
	http                              bool
}

// Read takes an attribute of the span, in any order. Values of another type than the conventions' count as absent.
func (f *ProtocolFacts) Read(key string, value pcommon.Value) {
	if value.Type() == pcommon.ValueTypeStr {
		f.Text(key, value.Str())
	}
}

// Text is Read of an attribute that is text.
func (f *ProtocolFacts) Text(key, text string) {
	switch key {
	case "db.system.name":
		setText(&f.db, text)
	case "db.system":
		setText(&f.oldDB, text)
	case "messaging.system":
		setText(&f.messaging, text)
	case "rpc.system.name":
		setText(&f.rpc, text)
	case "rpc.system":
		setText(&f.oldRPC, text)
	case "http.request.method", "http.method":
		f.http = true
	}
}

// NamesProtocol says whether Text takes something from an attribute.
func NamesProtocol(key string) bool {
	var f ProtocolFacts
	f.Text(key, "text")
	return f != ProtocolFacts{}
}

// setText takes the first of repeated attributes, as pcommon.Map.Get does.
func setText(to *string, text string) {
	if *to == "" {
		*to = text
	}
}

// Protocol is how the span calls or is called: the database, messaging or RPC system ("postgresql", "kafka", "grpc"), the first
// that it names, because those often speak HTTP or each other underneath; else "http"; else ProtocolUnknown.
func (f *ProtocolFacts) Protocol() string {
	if system := cmp.Or(f.db, f.oldDB, f.messaging, f.rpc, f.oldRPC); system != "" {
		return ShortName(system)
	}
	if f.http {
		return "http"
	}
	return ProtocolUnknown
}
