package tracestore

import (
	"go.opentelemetry.io/collector/component"

	"github.com/tracewright/tracewright/internal/hostextension"
)

// FindProvider finds, among the collector's extensions, the one that has a backend of the given name. key is the configuration key
// that names it, for the error.
func FindProvider(host component.Host, key, name string) (Provider, error) {
	return hostextension.Find(host, key, "storage", name, Provider.HasBackend, Provider.BackendNames)
}
