package conventions

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// ServiceName is the resource's service.name, or UnknownService. An array or a map names nothing.
func ServiceName(resource pcommon.Resource) string {
	if v, ok := resource.Attributes().Get(string(semconv.ServiceNameKey)); ok &&
		v.Type() != pcommon.ValueTypeMap && v.Type() != pcommon.ValueTypeSlice {
		if name := v.AsString(); name != "" {
			return name
		}
	}
	return UnknownService
}

// ServiceVersion is the resource's service.version; empty if it names none.
func ServiceVersion(resource pcommon.Resource) string {
	return resourceText(resource, string(semconv.ServiceVersionKey))
}

// Environment is the resource's deployment.environment.name, or deployment.environment, its previous name; empty if it names
// none.
func Environment(resource pcommon.Resource) string {
	if name := resourceText(resource, string(semconv.DeploymentEnvironmentNameKey)); name != "" {
		return name
	}
	return resourceText(resource, "deployment.environment")
}

func resourceText(resource pcommon.Resource, key string) string {
	if v, ok := resource.Attributes().Get(key); ok && v.Type() == pcommon.ValueTypeStr {
		return ShortName(v.Str())
	}
	return ""
}

// WrongResourceType says whether a value of the resource that Tracewright reads, or that names an instance of the service, is not
// the text that the conventions have there.
func WrongResourceType(resource pcommon.Resource) bool {
	for key, value := range resource.Attributes().All() {
		if !wrongType(pcommon.ValueTypeStr, value) {
			continue // nearly all
		}
		switch key {
		case "service.name", "service.namespace", "service.version", "service.instance.id", "deployment.environment.name",
			"deployment.environment":
			return true
		}
	}
	return false
}
