package conventions

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// readOther notes an attribute that counts by the start of its name.
func (f *SpanFacts) readOther(key string) {
	if key == "" {
		f.faults |= EmptyKey
		return
	}
	switch key[0] {
	case 'a':
		f.s3 = f.s3 || strings.HasPrefix(key, "aws.s3.")
		f.orchestration = f.orchestration || strings.HasPrefix(key, "airflow.") || strings.HasPrefix(key, "argo.") ||
			strings.HasPrefix(key, "argocd.")
	case 'b':
		f.business = f.business || strings.HasPrefix(key, "business.")
	case 'c':
		f.container = f.container || strings.HasPrefix(key, "container.")
	case 'i':
		f.network = f.network || strings.HasPrefix(key, "istio.")
	case 'k':
		f.orchestration = f.orchestration || strings.HasPrefix(key, "k8s.")
	case 't':
		f.annotated = f.annotated || strings.HasPrefix(key, Prefix)
	case 'u':
		f.network = f.network || key == "upstream_cluster" || key == "upstream_cluster.name"
	}
}

// Category says what a span is about, one of the Category constants. The first of these rules that holds decides:
//
//   - network: a proxy's span (Envoy and Istio: component=proxy, upstream_cluster, istio.*)
//   - storage: a call of an object store, see Storage
//   - database_operation: see Database
//   - messaging: see Messaging
//   - orchestration: a span of Kubernetes, Argo or Airflow itself (by service and scope), or an internal span with k8s.*, argo.*,
//     argocd.* or airflow.* attributes
//   - container: a span of a container runtime (by service and scope), or an internal span with container.* attributes
//   - business_operation: an internal span with an attribute under business.
//   - service_call: a server span, or a client span that a span of another service answers (answered)
//   - external_call: any other client span
//   - internal: everything else
//
// origin is that of the span's service and scope.
func (f *SpanFacts) Category(origin Origin, answered bool) string {
	inside := f.kind == ptrace.SpanKindInternal || f.kind == ptrace.SpanKindUnspecified
	switch {
	case f.network || f.values[factComponent] == "proxy":
		return CategoryNetwork
	case f.Storage():
		return CategoryStorage
	case f.Database():
		return CategoryDatabaseOperation
	case f.Messaging():
		return CategoryMessaging
	case inside && f.orchestration || origin.orchestrator:
		return CategoryOrchestration
	case inside && f.container || origin.containerRuntime:
		return CategoryContainer
	case inside && f.business:
		return CategoryBusinessOperation
	case f.kind == ptrace.SpanKindServer || f.kind == ptrace.SpanKindClient && answered:
		return CategoryServiceCall
	case f.kind == ptrace.SpanKindClient:
		return CategoryExternalCall
	}
	return CategoryInternal
}

// Answered is the category that a span of a category has if a span of another service answers it. SpanFacts.Category gives both.
func Answered(category string) string {
	if category == CategoryExternalCall {
		return CategoryServiceCall // of all spans only clients have it
	}
	return category
}

// Origin is what the names of a service and of an instrumentation scope say of their spans.
type Origin struct{ orchestrator, containerRuntime bool }

// ReadOrigin reads the names.
func ReadOrigin(service, scope string) Origin {
	return Origin{orchestrator(service, scope), containerRuntime(service, scope)}
}

func orchestrator(service, scope string) bool {
	switch service {
	case "apiserver", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "airflow", "argo-server",
		"workflow-controller":
		return true
	}
	return strings.HasPrefix(service, "argocd-") || strings.HasPrefix(scope, "k8s.io/") ||
		strings.HasPrefix(scope, "sigs.k8s.io/") || strings.HasPrefix(scope, "github.com/argoproj/") ||
		strings.HasPrefix(scope, "airflow.")
}

func containerRuntime(service, scope string) bool {
	switch service {
	case "containerd", "dockerd", "buildkitd", "crio":
		return true
	}
	return strings.HasPrefix(scope, "github.com/containerd/") || strings.HasPrefix(scope, "github.com/docker/") ||
		strings.HasPrefix(scope, "github.com/moby/")
}

// objectStoreHost knows the hosts of S3, MinIO, Google Cloud Storage and Azure Blob Storage.
func objectStoreHost(host string) bool {
	switch {
	case host == "":
		return false
	case strings.HasSuffix(host, ".amazonaws.com"):
		return strings.HasPrefix(host, "s3.") || strings.HasPrefix(host, "s3-") || strings.Contains(host, ".s3.") ||
			strings.Contains(host, ".s3-")
	case host == "minio" || strings.HasPrefix(host, "minio.") || strings.HasPrefix(host, "minio-"):
		return true
	}
	return host == "storage.googleapis.com" || strings.HasSuffix(host, ".storage.googleapis.com") ||
		strings.HasSuffix(host, ".blob.core.windows.net")
}
