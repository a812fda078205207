package conventions

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// readOther notes an attribute that counts for the category by its name, or by the start of it.
func (f *SpanFacts) readOther(key string, value pcommon.Value) {
	if key == "" {
		f.faults |= EmptyKey
		return
	}
	switch key[0] {
	case 'a':
		f.s3 = f.s3 || strings.HasPrefix(key, "aws.s3.") || key == "aws.bucket.name"
		f.orchestration = f.orchestration || strings.HasPrefix(key, "airflow.") || strings.HasPrefix(key, "argo.") ||
			strings.HasPrefix(key, "argocd.")
	case 'b':
		f.business = f.business || strings.HasPrefix(key, "business.")
		f.businessOperation = f.businessOperation || key == "business.operation"
	case 'c':
		f.container = f.container || strings.HasPrefix(key, "container.")
	case 'd':
		f.network = f.network || key == "dns.question.name"
	case 'i':
		f.network = f.network || strings.HasPrefix(key, "istio.")
	case 'k':
		f.orchestration = f.orchestration || strings.HasPrefix(key, "k8s.")
	case 't':
		f.annotated = f.annotated || strings.HasPrefix(key, Prefix)
		// What was found at ingest, where it is known what names a business operation, stays when the span is read again.
		f.businessOperation = f.businessOperation || key == AttrCategory && value.Type() == pcommon.ValueTypeStr &&
			value.Str() == CategoryBusinessOperation
	case 'u':
		f.network = f.network || key == "upstream_cluster" || key == "upstream_cluster.name"
	}
}

// ReadBusiness notes whether one of the attributes stands on the span: to whoever configured them they name business operations, as
// business.operation does.
func (f *SpanFacts) ReadBusiness(attrs pcommon.Map, names []string) {
	if Calling(f.kind) {
		return // calls are none, see Category
	}
	for _, name := range names {
		if _, ok := attrs.Get(name); ok {
			f.businessOperation = true
			return
		}
	}
}

// Category says what a span is about, one of the Category constants. The first of these rules that holds decides:
//
//   - business_operation: a span that names one (business.operation, see ReadBusiness), neither of a client nor of a producer
//   - network: a proxy's span (Envoy and Istio: component=proxy, upstream_cluster, istio.*), a look-up of a name (dns.question.name), a
//     span of an instrumentation of connections, DNS or TLS, or of a proxy or name server
//   - storage: a call of an object store, see Storage
//   - database_operation: see Database
//   - messaging: a span that names a messaging system or a queue
//   - container: a call of the container runtime interface, of containerd or BuildKit, by any client
//   - orchestration: a span of Kubernetes, Argo or Airflow itself (by service and scope), a call of Kubernetes' API, or an internal span
//     with k8s.*, argo.*, argocd.* or airflow.* attributes
//   - container: a span of a container runtime (by service and scope), or an internal span with container.* attributes
//   - business_operation: an internal span with an attribute under business.
//   - messaging: any other producer or consumer
//   - service_call: a server span, or a client span that a span of another service answers (answered)
//   - external_call: any other client span
//   - internal: everything else
//
// origin is that of the span's service and scope.
func (f *SpanFacts) Category(origin Origin, answered bool) string {
	inside := f.kind == ptrace.SpanKindInternal || f.kind == ptrace.SpanKindUnspecified
	calls := Calling(f.kind)
	switch {
	case f.businessOperation && !calls:
		return CategoryBusinessOperation
	case f.network || origin.network || f.values[factComponent] == "proxy":
		return CategoryNetwork
	case origin.objectStore || f.Storage():
		return CategoryStorage
	case f.Database():
		return CategoryDatabaseOperation
	case f.namesQueue():
		return CategoryMessaging
	case f.containerCall():
		return CategoryContainer
	case origin.orchestrator || inside && f.orchestration || f.kubernetesCall():
		return CategoryOrchestration
	case origin.containerRuntime || inside && f.container:
		return CategoryContainer
	case inside && f.business:
		return CategoryBusinessOperation
	case f.kind == ptrace.SpanKindProducer || f.kind == ptrace.SpanKindConsumer:
		return CategoryMessaging
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

// Storage says whether the span is a call of an object store: S3 and what speaks its protocol, Google's and Azure's. They are told by
// what instrumentations of their clients write, and where the client is not instrumented but its HTTP is, by host, user agent and URL.
func (f *SpanFacts) Storage() bool {
	if f.s3 || f.first(azure) == "Microsoft.Storage" || f.any(rpcCall) && (f.values[factRPCService] == "S3" ||
		f.values[factRPCService] == "Amazon S3" || f.rpcOf("S3/") || f.rpcOf("google.storage.v2.")) {
		return true
	}
	return f.kind == ptrace.SpanKindClient && (objectStoreHost(f.Host()) || minioAgent(f.values[factUserAgent]) ||
		f.any(url) && strings.Contains(f.first(url), "x-id=")) // the AWS SDKs name the operation so, to S3 alone
}

// minioAgent knows MinIO's clients, now and before 2020.
func minioAgent(agent string) bool {
	return strings.HasPrefix(agent, "MinIO (") || strings.HasPrefix(agent, "Minio (")
}

// containerCall says whether the span is a call of a container runtime: Kubernetes' CRI, containerd, BuildKit.
func (f *SpanFacts) containerCall() bool {
	return f.any(rpcCall) && (f.rpcOf("runtime.v1.") || f.rpcOf("runtime.v1alpha2.") || f.rpcOf("containerd.services.") ||
		f.rpcOf("moby.buildkit."))
}

// kubernetesCall says whether the span calls Kubernetes' API, by the host that it has in every cluster, or by its paths.
func (f *SpanFacts) kubernetesCall() bool {
	if f.kind != ptrace.SpanKindClient || !f.http {
		return false
	}
	if rest, ok := strings.CutPrefix(f.Host(), "kubernetes"); ok {
		rest, more := strings.CutPrefix(rest, ".default")
		if rest == "" || more && strings.HasPrefix(rest, ".svc") {
			return true
		}
	}
	if !f.any(url) {
		return false
	}
	_, rest, _ := strings.Cut(f.first(url), "://")
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return false
	}
	path := rest[slash:]
	if group, ok := strings.CutPrefix(path, "/apis/"); ok {
		_, version, ok := strings.Cut(group, "/")
		return ok && len(version) > 1 && version[0] == 'v' && isDigit(version[1])
	}
	return strings.HasPrefix(path, "/api/v1/namespaces/") || strings.HasPrefix(path, "/api/v1/nodes")
}
