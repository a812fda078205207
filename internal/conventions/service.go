package conventions

import (
	"strings"

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

// serviceKeys name a service whose sender names none, the best first: Kubernetes' workloads in the order of the semantic conventions
// for service.name there (docs/non-normative/k8s-attributes.md), then other platforms', then the program, then its host.
var serviceKeys = [...]string{
	"k8s.deployment.name", "k8s.replicaset.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
	"k8s.pod.name", "k8s.container.name", "faas.name", "aws.ecs.task.family", "container.name", "process.executable.name", "host.name",
}

// Places in serviceKeys.
const (
	byReplicaSet = 1
	byJob        = 5
	byPod        = 6
	byExecutable = 11
	byHost       = 12
)

// Service is the name of the resource's service for aggregates and annotations, of at most MaxNameBytes: its service.name. Where that
// is absent, or "unknown_service" with or without the program behind it, as SDKs write where nobody named the service, it is the first
// of serviceKeys that is there: of a replica set, a job and a pod the name of what they belong to; of a program
// "unknown_service:" and its name, as SDKs have it; a host's only if it holds no id, for a container's hosts are many.
func Service(resource pcommon.Resource) string {
	given := ServiceName(resource)
	if !strings.HasPrefix(given, UnknownService) || len(given) > len(UnknownService) && given[len(UnknownService)] != ':' {
		return ShortName(given)
	}
	best, name := firstNamed(resource, serviceKeys[:])
	switch best {
	case len(serviceKeys):
		return ShortName(given)
	case byReplicaSet, byJob:
		name = ownerName(name, false)
	case byPod:
		name = ownerName(name, true)
	case byExecutable:
		if given != UnknownService {
			return ShortName(given)
		}
		name = UnknownService + ":" + name
	case byHost:
		if given != UnknownService || holdsID(name) {
			return ShortName(given)
		}
	}
	return ShortName(name)
}

// holdsID says whether a part of the name is an id.
func holdsID(name string) bool {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		if idPart(part, false, false) {
			return true
		}
	}
	return false
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
