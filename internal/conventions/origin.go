package conventions

import "strings"

// Origin is what the names of a service and of an instrumentation scope say of their spans.
type Origin struct{ network, objectStore, orchestrator, containerRuntime bool }

// ReadOrigin reads the names.
func ReadOrigin(service, scope string) Origin {
	return Origin{
		network:          connector(service, scope),
		objectStore:      objectStoreClient(scope),
		orchestrator:     orchestrator(service, scope),
		containerRuntime: containerRuntime(service, scope),
	}
}

// connector knows what instruments connections, DNS and TLS for themselves, and what passes requests on or answers for names.
func connector(service, scope string) bool {
	switch scope {
	case "go.opentelemetry.io/contrib/instrumentation/net/http/httptrace/otelhttptrace",
		"@opentelemetry/instrumentation-dns", "@opentelemetry/instrumentation-net",
		"Experimental.System.Net.Http.Connections", "Experimental.System.Net.NameResolution",
		"Experimental.System.Net.Sockets", "Experimental.System.Net.Security":
		return true
	}
	switch service {
	case "coredns", "envoy", "istio-proxy", "istio-ingressgateway", "istio-egressgateway", "unknown_service:envoy":
		return true
	}
	return false
}

func objectStoreClient(scope string) bool {
	return strings.HasPrefix(scope, "cloud.google.com/go/storage") || strings.HasPrefix(scope, "Azure.Storage.") ||
		strings.HasPrefix(scope, "@azure/storage-")
}

func orchestrator(service, scope string) bool {
	switch service {
	case "apiserver", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "airflow", "argo-server", "argoexec",
		"workflow-controller", "workflows-controller":
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

// objectStoreHost knows the hosts of S3, MinIO, Google Cloud Storage and Azure Blob Storage. MinIO runs anywhere: it is told by the
// first part of its host's name.
func objectStoreHost(host string) bool {
	if host == "" {
		return false
	}
	if strings.HasSuffix(host, ".amazonaws.com") {
		return strings.HasPrefix(host, "s3.") || strings.HasPrefix(host, "s3-") || strings.Contains(host, ".s3.") ||
			strings.Contains(host, ".s3-")
	}
	if host == "storage.googleapis.com" || strings.HasSuffix(host, ".storage.googleapis.com") ||
		strings.HasSuffix(host, ".blob.core.windows.net") {
		return true
	}
	first, _, _ := strings.Cut(host, ".")
	return first == "minio" || strings.HasPrefix(first, "minio-") || strings.HasSuffix(first, "-minio") ||
		strings.Contains(first, "-minio-")
}
