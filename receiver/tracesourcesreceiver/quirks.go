package tracesourcesreceiver

import (
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/address"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/inspect"
)

// listensEverywhere are listeners, by type and key, that take only the port of their address.
var listensEverywhere = map[string]string{"skywalking": "protocols.grpc.endpoint"}

// listens is where a receiver will really listen.
func listens(source *tracesources.Source, place *inspect.Place) (address.Address, error) {
	at, err := address.Parse(place.Value)
	if listensEverywhere[source.Type] == place.Path {
		at.Host = "0.0.0.0"
	}
	return at, err
}

// connects are values, by type and key, with which a receiver connects to hosts that no key names as such.
var connects = map[string]map[string]string{"datadog": {"intake.behavior": "proxy"}}

func connectsUnnamed(source *tracesources.Source, place *inspect.Place) bool {
	value, ok := connects[source.Type][place.Path]
	return ok && place.Value == value
}
