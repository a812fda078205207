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
	switch key {
	case "db.system.name":
		setText(&f.db, value)
	case "db.system":
		setText(&f.oldDB, value)
	case "messaging.system":
		setText(&f.messaging, value)
	case "rpc.system.name":
		setText(&f.rpc, value)
	case "rpc.system":
		setText(&f.oldRPC, value)
	case "http.request.method", "http.method":
		f.http = f.http || value.Type() == pcommon.ValueTypeStr
	}
}

// setText takes the first of repeated attributes, as pcommon.Map.Get does.
func setText(to *string, value pcommon.Value) {
	if *to == "" && value.Type() == pcommon.ValueTypeStr {
		*to = value.Str()
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
