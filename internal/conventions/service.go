package conventions

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// ServiceName is the resource's service.name, or UnknownService.
func ServiceName(resource pcommon.Resource) string {
	if v, ok := resource.Attributes().Get(string(semconv.ServiceNameKey)); ok {
		if name := v.AsString(); name != "" {
			return name
		}
	}
	return UnknownService
}
