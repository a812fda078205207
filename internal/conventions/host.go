package conventions

import "go.opentelemetry.io/collector/pdata/pcommon"

// hostKeys name what a resource's clock belongs to, the best first: machine, node, container. A container has the clock of its
// machine, but nothing may say which machine that is.
var hostKeys = [...]string{"host.id", "host.name", "k8s.node.name", "k8s.pod.name", "service.instance.id"}

// Host names the host of a resource, as it was sent; empty if nothing names one.
func Host(resource pcommon.Resource) string {
	_, name := firstNamed(resource, hostKeys[:])
	return name
}

// firstNamed is the place of the first of the keys that a resource has as text, and the text; len(keys) if it has none.
func firstNamed(resource pcommon.Resource, keys []string) (best int, name string) {
	best = len(keys)
	for key, value := range resource.Attributes().All() {
		for i := range best {
			if keys[i] == key {
				if value.Type() == pcommon.ValueTypeStr && value.Str() != "" {
					best, name = i, value.Str()
				}
				break
			}
		}
	}
	return best, name
}
