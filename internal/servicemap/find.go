package servicemap

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// FindProvider finds, among the collector's extensions, the one that has a map of the given name. key is the configuration key
// that names it, for the error.
func FindProvider(host component.Host, key, name string) (Provider, error) {
	var known []string
	for _, ext := range host.GetExtensions() {
		provider, ok := ext.(Provider)
		if !ok {
			continue
		}
		if provider.HasServiceMap(name) {
			return provider, nil
		}
		known = append(known, provider.ServiceMapNames()...)
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%s: unknown service map %q: no trace_store extension is enabled; "+
			"configure one and add it to service::extensions", key, name)
	}
	slices.Sort(known)
	return nil, fmt.Errorf("%s: unknown service map %q; the trace_store extension has: %s", key, name, strings.Join(known, ", "))
}
