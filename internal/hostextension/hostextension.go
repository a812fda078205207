// Package hostextension finds among the collector's extensions the one that has what another component names in its configuration, and adds
// some for one component.
package hostextension

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// Find finds the extension that has what is called name. kind is what that is, key the configuration key that names it, both for the error,
// which says what the extensions have.
func Find[P any](host component.Host, key, kind, name string, has func(P, string) bool, names func(P) []string) (P, error) {
	var known []string
	for _, extension := range host.GetExtensions() {
		provider, ok := extension.(P)
		if !ok {
			continue
		}
		if has(provider, name) {
			return provider, nil
		}
		known = append(known, names(provider)...)
	}
	var none P
	if len(known) == 0 {
		return none, fmt.Errorf("%s: unknown %s %q: no trace_store extension is enabled; "+
			"configure one and add it to service::extensions", key, kind, name)
	}
	slices.Sort(known)
	return none, fmt.Errorf("%s: unknown %s %q; the trace_store extension has: %s", key, kind, name, strings.Join(known, ", "))
}
