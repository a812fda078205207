package conventions_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/tracewright/tracewright/internal/conventions"
)

type attrs map[string]any

func facts(t *testing.T, kind ptrace.SpanKind, a attrs) conventions.SpanFacts {
	t.Helper()
	span := ptrace.NewSpan()
	span.SetKind(kind)
	require.NoError(t, span.Attributes().FromRaw(a))
	return conventions.ReadSpan(span)
}

const (
	internal = ptrace.SpanKindInternal
	server   = ptrace.SpanKindServer
	client   = ptrace.SpanKindClient
	producer = ptrace.SpanKindProducer
	consumer = ptrace.SpanKindConsumer
)

func TestCategory(t *testing.T) {
	for _, tt := range []struct {
		name           string
		kind           ptrace.SpanKind
		service, scope string
		attrs          attrs
		answered       bool
		want           string
	}{
		{name: "server", kind: server, want: "service_call"},
		{name: "client answered by a service", kind: client, answered: true, want: "service_call"},
		{name: "client nobody answers", kind: client, want: "external_call"},
		{name: "internal", kind: internal, want: "internal"},
		{name: "unspecified", want: "internal"},
		{name: "internal with an answer", kind: internal, answered: true, want: "internal"},

		{name: "database", kind: client, attrs: attrs{"db.system.name": "postgresql"}, want: "database_operation"},
		{name: "database, previous name", kind: client, attrs: attrs{"db.system": "mysql"}, want: "database_operation"},
		{name: "database that is a service too", kind: client, attrs: attrs{"db.system": "mysql"}, answered: true, want: "database_operation"},
		{name: "database by its query", kind: internal, attrs: attrs{"db.query.text": "SELECT 1"}, want: "database_operation"},
		{name: "database by its statement", kind: client, attrs: attrs{"db.statement": "SELECT 1"}, want: "database_operation"},
		{name: "a value of another type counts as absent", kind: client, attrs: attrs{"db.system": 7}, want: "external_call"},

		{name: "producer", kind: producer, want: "messaging"},
		{name: "consumer", kind: consumer, want: "messaging"},
		{name: "messaging client", kind: client, attrs: attrs{"messaging.system": "sqs"}, want: "messaging"},
		{name: "messaging, previous name", kind: client, attrs: attrs{"messaging.destination": "q"}, want: "messaging"},

		{name: "S3 by the AWS SDK", kind: client, attrs: attrs{"rpc.system": "aws-api", "rpc.service": "S3"}, want: "storage"},
		{name: "S3 by its method", kind: client, attrs: attrs{"rpc.method": "S3/PutObject"}, want: "storage"},
		{name: "S3 by its bucket", kind: client, attrs: attrs{"aws.s3.bucket": "b"}, want: "storage"},
		{name: "S3 by its host", kind: client, attrs: attrs{"url.full": "https://b.s3.eu-west-1.amazonaws.com/k"}, want: "storage"},
		{name: "MinIO by its host", kind: client, attrs: attrs{"http.url": "http://minio:9000/b/k"}, want: "storage"},
		{name: "Google's", kind: client, attrs: attrs{"server.address": "storage.googleapis.com"}, want: "storage"},
		{name: "Azure's", kind: client, attrs: attrs{"server.address": "x.blob.core.windows.net"}, want: "storage"},
		{name: "another host of Amazon", kind: client, attrs: attrs{"server.address": "sqs.eu-west-1.amazonaws.com"}, want: "external_call"},
		{name: "a server at such a host", kind: server, attrs: attrs{"server.address": "minio"}, want: "service_call"},

		{name: "Kubernetes by its service", kind: server, service: "kube-apiserver", want: "orchestration"},
		{name: "Kubernetes by its scope", kind: internal, scope: "k8s.io/kubernetes/pkg/kubelet", want: "orchestration"},
		{name: "Argo by its service", kind: internal, service: "argocd-repo-server", want: "orchestration"},
		{name: "Airflow by an attribute", kind: internal, attrs: attrs{"airflow.dag_id": "d"}, want: "orchestration"},
		{name: "a pod's name on a server", kind: server, attrs: attrs{"k8s.pod.name": "p"}, want: "service_call"},
		{name: "Airflow's database", kind: client, service: "airflow", attrs: attrs{"db.system": "mysql"}, want: "database_operation"},

		{name: "containerd by its service", kind: server, service: "containerd", want: "container"},
		{name: "containerd by its scope", kind: internal, scope: "github.com/containerd/containerd/v2", want: "container"},
		{name: "a container's life", kind: internal, attrs: attrs{"container.id": "c"}, want: "container"},
		{name: "a container's id on a client", kind: client, attrs: attrs{"container.id": "c"}, want: "external_call"},

		{name: "Envoy", kind: server, attrs: attrs{"component": "proxy"}, want: "network"},
		{name: "Envoy by its cluster", kind: client, attrs: attrs{"upstream_cluster": "outbound|80||x"}, want: "network"},
		{name: "Istio", kind: client, attrs: attrs{"istio.mesh_id": "m"}, answered: true, want: "network"},
		{name: "another component", kind: server, attrs: attrs{"component": "grpc"}, want: "service_call"},

		{name: "DNS", kind: internal, attrs: attrs{"dns.question.name": "orders.example"}, want: "network"},
		{name: "TLS by its scope", kind: internal, scope: "Experimental.System.Net.Security", want: "network"},
		{name: "a proxy by its service", kind: server, service: "unknown_service:envoy", want: "network"},
		{name: "a container by a client", kind: client, service: "kubelet", attrs: attrs{"rpc.system": "grpc", "rpc.service": "runtime.v1.RuntimeService"}, want: "container"},
		{name: "a container by a client, current name", kind: client, answered: true, attrs: attrs{"rpc.system.name": "grpc", "rpc.method": "containerd.services.tasks.v1.Tasks/Create"}, want: "container"},
		{name: "another service of such a name", kind: client, attrs: attrs{"rpc.service": "runtime.v10.X"}, want: "external_call"},
		{name: "etcd", kind: client, service: "apiserver", attrs: attrs{"rpc.system": "grpc", "rpc.service": "etcdserverpb.KV"}, want: "database_operation"},
		{name: "Kubernetes' API", kind: client, attrs: attrs{"http.request.method": "GET", "url.full": "https://10.96.0.1:443/api/v1/namespaces/shop/pods"}, want: "orchestration"},
		{name: "a group of Kubernetes' API", kind: client, attrs: attrs{"http.method": "GET", "http.url": "https://10.96.0.1/apis/apps/v1/deployments"}, want: "orchestration"},
		{name: "Kubernetes' API by its host", kind: client, attrs: attrs{"http.method": "GET", "server.address": "kubernetes.default.svc"}, want: "orchestration"},
		{name: "another host of such a name", kind: client, attrs: attrs{"http.method": "GET", "server.address": "kubernetes.default.example"}, want: "external_call"},
		{name: "another API", kind: client, attrs: attrs{"http.method": "GET", "http.url": "https://api.example/api/v1/orders"}, want: "external_call"},
		{name: "apis of somebody else", kind: client, attrs: attrs{"http.method": "GET", "http.url": "https://api.example/apis/list"}, want: "external_call"},
		{name: "a producer of Argo", kind: producer, service: "workflows-controller", want: "orchestration"},
		{name: "a producer of Argo that names a queue", kind: producer, service: "argo-server", attrs: attrs{"messaging.system": "nats"}, want: "messaging"},
		{name: "MinIO by its user agent", kind: client, attrs: attrs{"user_agent.original": "MinIO (linux; amd64) minio-go/v7.0.95"}, want: "storage"},
		{name: "S3 by its URL", kind: client, attrs: attrs{"url.full": "https://objects.corp.example/photos/7?x-id=GetObject"}, want: "storage"},
		{name: "Azure by its SDK", kind: client, attrs: attrs{"az.namespace": "Microsoft.Storage"}, want: "storage"},
		{name: "another one of Azure", kind: client, attrs: attrs{"az.namespace": "Microsoft.KeyVault"}, want: "external_call"},
		{name: "Google's by its SDK", kind: internal, scope: "cloud.google.com/go/storage", want: "storage"},
		{name: "a database by its name", kind: client, attrs: attrs{"db.name": "shop"}, want: "database_operation"},

		{name: "business operation on a server", kind: server, attrs: attrs{"business.operation": "checkout"}, want: "business_operation"},
		{name: "business operation on a consumer", kind: consumer, attrs: attrs{"business.operation": "checkout", "messaging.system": "kafka"}, want: "business_operation"},
		{name: "business operation on a client", kind: client, attrs: attrs{"business.operation": "checkout"}, want: "external_call"},
		{name: "business operation on a producer", kind: producer, attrs: attrs{"business.operation": "checkout"}, want: "messaging"},
		{name: "business operation found before", kind: server, attrs: attrs{"tracewright.category": "business_operation"}, want: "business_operation"},
		{name: "another category found before", kind: server, attrs: attrs{"tracewright.category": "network"}, want: "service_call"},

		{name: "business", kind: internal, attrs: attrs{"business.order": "o"}, want: "business_operation"},
		{name: "business on a server", kind: server, attrs: attrs{"business.order": "o"}, want: "service_call"},
		{name: "an empty key", kind: internal, attrs: attrs{"": "x"}, want: "internal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(t, tt.kind, tt.attrs)
			got := f.Category(conventions.ReadOrigin(tt.service, tt.scope), tt.answered)
			require.Equal(t, tt.want, got)
			require.Contains(t, conventions.Categories, got)
		})
	}
}

func TestPeer(t *testing.T) {
	for _, tt := range []struct {
		name          string
		kind          ptrace.SpanKind
		attrs         attrs
		service, peer string
	}{
		{"nothing", client, nil, "", ""},
		{"peer.service goes first", client, attrs{"peer.service": "bank", "db.system": "mysql", "server.address": "h"}, "bank", "database"},
		{"its current name goes before it", client, attrs{"peer.service": "old", "service.peer.name": "bank"}, "bank", "external"},
		{"database", client, attrs{"db.system.name": "postgresql", "db.namespace": "shop", "server.address": "h"}, "postgresql:shop", "database"},
		{"database, previous names", client, attrs{"db.system": "mysql", "db.name": "shop"}, "mysql:shop", "database"},
		{"both", client, attrs{"db.system": "x", "db.name": "y", "db.system.name": "mysql", "db.namespace": "shop"}, "mysql:shop", "database"},
		{"namespace alone", client, attrs{"db.namespace": "shop", "db.query.text": "q"}, "shop", "database"},
		{"database without a namespace", client, attrs{"db.system": "redis", "server.address": "cache", "server.port": 6379}, "cache:6379", "database"},
		{"database that names only itself", client, attrs{"db.system": "sqlite"}, "sqlite", "database"},
		{"Cassandra's keyspace", client, attrs{"db.system": "cassandra", "db.cassandra.keyspace": "shop"}, "cassandra:shop", "database"},
		{"OpenTracing's database", client, attrs{"db.instance": "shop", "db.statement": "q"}, "shop", "database"},
		{"etcd", client, attrs{"rpc.system": "grpc", "rpc.service": "etcdserverpb.KV", "server.address": "etcd", "server.port": 2379}, "etcd:2379", "database"},
		{"etcd that names no host", client, attrs{"rpc.method": "etcdserverpb.KV/Range"}, "etcd", "database"},
		{"queue, name of a source", client, attrs{"messaging.source.name": "mails"}, "mails", "queue"},
		{"OpenTracing's queue", producer, attrs{"message_bus.destination": "mails"}, "mails", "queue"},
		{"URL before the connection", client, attrs{"url.full": "http://reviews:9080/x", "network.peer.address": "10.1.2.3"}, "reviews:9080", "external"},
		{"connection, names of 1.21", client, attrs{"server.socket.address": "10.1.2.3", "server.port": 80}, "10.1.2.3:80", "external"},
		{"connection, names of 1.13", client, attrs{"net.sock.peer.addr": "10.1.2.3", "net.sock.peer.name": "proxy", "net.peer.port": 80}, "proxy:80", "external"},
		{"queue", producer, attrs{"messaging.system": "kafka", "messaging.destination.name": "mails", "server.address": "k"}, "mails", "queue"},
		{"queue, previous name", producer, attrs{"messaging.destination": "mails"}, "mails", "queue"},
		{"queue that names only its system", producer, attrs{"messaging.system": "kafka"}, "kafka", "queue"},
		{"address and port", client, attrs{"server.address": "h", "server.port": 80}, "h:80", "external"},
		{"port as text", client, attrs{"net.peer.name": "h", "net.peer.port": "8080"}, "h:8080", "external"},
		{"port that is none", client, attrs{"server.address": "h", "server.port": 70000}, "h", "external"},
		{"port of another type", client, attrs{"server.address": "h", "server.port": 1.5}, "h", "external"},
		{"address, previous names", client, attrs{"net.peer.ip": "10.0.0.1", "net.peer.port": 81}, "10.0.0.1:81", "external"},
		{"address that has its port", client, attrs{"http.host": "h:8080", "net.peer.port": 8080}, "h:8080", "external"},
		{"IPv6 address", client, attrs{"network.peer.address": "::1", "server.port": 80}, "[::1]:80", "external"},
		{"IPv6 address in brackets", client, attrs{"http.host": "[::1]", "server.port": 80}, "[::1]:80", "external"},
		{"URL", client, attrs{"url.full": "https://api.bank.example/pay"}, "api.bank.example", "external"},
		{"URL with everything", client, attrs{"http.url": "https://u:p@ss@api.example:8443?x=/@#f"}, "api.example:8443", "external"},
		{"URL of IPv6", client, attrs{"url.full": "http://[::1]:80/x"}, "[::1]:80", "external"},
		{"URL that is none", client, attrs{"url.full": "/path/only"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(t, tt.kind, tt.attrs)
			service, kind := f.Peer()
			require.Equal(t, tt.service, service)
			require.Equal(t, tt.peer, kind)
		})
	}
}

// Of an attribute that stands more than once the first counts, as in searches.
func TestPeerWithRepeatedPorts(t *testing.T) {
	for _, key := range []string{"server.port", "net.peer.port"} {
		var builder xpdata.MapBuilder
		builder.AppendEmpty("server.address").SetStr("first")
		builder.AppendEmpty("server.address").SetStr("second")
		builder.AppendEmpty(key).SetInt(1)
		builder.AppendEmpty(key).SetInt(2)
		span := ptrace.NewSpan()
		builder.UnsafeIntoMap(span.Attributes())
		f := conventions.ReadSpan(span)
		peer, _ := f.Peer()
		require.Equal(t, "first:1", peer, key)
	}
}

// A peer's name may be as long as a request: what is remembered of it stays in memory.
func TestPeerNamesDoNotRememberLongOnes(t *testing.T) {
	const size, peers = 128 << 10, 100
	var names conventions.PeerNames
	short := func(namespace string) string {
		f := facts(t, client, attrs{"db.system.name": "mysql", "db.namespace": namespace})
		return names.Short(f.ReadPeer())
	}
	before := heap()
	for i := range peers {
		namespace := strings.Repeat("x", size) + strconv.Itoa(i)
		require.Equal(t, conventions.ShortName("mysql:"+namespace), short(namespace))
	}
	require.Less(t, heap()-before, int64(size))
	require.Equal(t, "mysql:shop", short("shop"))
	runtime.KeepAlive(&names)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestHost(t *testing.T) {
	for host, a := range map[string]attrs{
		"":            nil,
		"h":           {"server.address": "h", "server.port": 80},
		"api.example": {"url.full": "https://user@api.example:8443/x"},
		"::1":         {"http.host": "[::1]:80"},
		"fe80::1":     {"network.peer.address": "fe80::1"},
	} {
		f := facts(t, client, a)
		require.Equal(t, host, f.Host())
	}
}

func TestServiceName(t *testing.T) {
	for _, tt := range []struct {
		attrs attrs
		want  string
	}{
		{nil, "unknown_service"},
		{attrs{"service.name": ""}, "unknown_service"},
		{attrs{"service.name": "shop"}, "shop"},
		{attrs{"service.name": 7}, "7"},
	} {
		resource := pcommon.NewResource()
		require.NoError(t, resource.Attributes().FromRaw(tt.attrs))
		require.Equal(t, tt.want, conventions.ServiceName(resource))
	}
}

func FuzzPeer(f *testing.F) {
	f.Add("https://u:p@[::1]:80/x", "h:80", int64(80))
	f.Fuzz(func(t *testing.T, url, address string, port int64) {
		span := ptrace.NewSpan()
		span.SetKind(client)
		span.Attributes().PutStr("url.full", url)
		span.Attributes().PutInt("server.port", port)
		read := conventions.ReadSpan(span)
		read.Peer()
		read.Host()
		span.Attributes().PutStr("server.address", address)
		read = conventions.ReadSpan(span)
		service, kind := read.Peer()
		require.Equal(t, service == "", kind == "")
		require.Contains(t, conventions.Categories, read.Category(conventions.ReadOrigin(url, address), false))
	})
}
