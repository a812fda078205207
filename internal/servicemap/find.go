package servicemap

import (
	"go.opentelemetry.io/collector/component"

	"github.com/tracewright/tracewright/internal/hostextension"
)

// FindProvider finds, among the collector's extensions, the one that has a map of the given name. key is the configuration key
// that names it, for the error.
func FindProvider(host component.Host, key, name string) (Provider, error) {
	return hostextension.Find(host, key, "service map", name, Provider.HasServiceMap, Provider.ServiceMapNames)
}
