package conventions_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestService(t *testing.T) {
	for _, tt := range []struct {
		attrs attrs
		want  string
	}{
		{nil, "unknown_service"},
		{attrs{"service.name": "shop", "k8s.deployment.name": "d"}, "shop"},
		{attrs{"service.name": "unknown_services", "k8s.deployment.name": "d"}, "unknown_services"},
		{attrs{"service.name": ""}, "unknown_service"},
		{attrs{"service.name": strings.Repeat("s", 300)}, strings.Repeat("s", 256)},
		{attrs{"service.name": 7, "k8s.deployment.name": "d"}, "7"},
		{attrs{"service.name": "unknown_service:java"}, "unknown_service:java"},

		{attrs{"k8s.deployment.name": "orders", "k8s.replicaset.name": "orders-6d4b75cb6d", "k8s.pod.name": "x"}, "orders"},
		{attrs{"service.name": "unknown_service:java", "k8s.deployment.name": "orders"}, "orders"},
		{attrs{"service.name": "unknown_service", "k8s.statefulset.name": "store", "k8s.pod.name": "store-0"}, "store"},
		{attrs{"k8s.replicaset.name": "orders-6d4b75cb6d", "k8s.pod.name": "orders-6d4b75cb6d-x2x7z"}, "orders"},
		{attrs{"k8s.daemonset.name": "fluentd", "k8s.container.name": "main"}, "fluentd"},
		{attrs{"k8s.cronjob.name": "backup", "k8s.job.name": "backup-28472340"}, "backup"},
		{attrs{"k8s.job.name": "backup-28472340"}, "backup"},
		{attrs{"k8s.job.name": "migrate-v2"}, "migrate-v2"},
		{attrs{"k8s.pod.name": "orders-6d4b75cb6d-x2x7z", "k8s.container.name": "main"}, "orders"},
		{attrs{"k8s.pod.name": "orders-6d4b75cb6d-bcdfg"}, "orders"},
		{attrs{"k8s.pod.name": "fluentd-x2x7z"}, "fluentd"},
		{attrs{"k8s.pod.name": "store-web-0"}, "store-web"},
		{attrs{"k8s.pod.name": "backup-28472340-bcdfg"}, "backup"},
		{attrs{"k8s.pod.name": "debug"}, "debug"},
		{attrs{"k8s.pod.name": "-0"}, "-0"},
		{attrs{"k8s.container.name": "main", "container.name": "k8s_main_orders-1"}, "main"},
		{attrs{"faas.name": "resize", "host.name": "h"}, "resize"},
		{attrs{"aws.ecs.task.family": "orders", "container.name": "ecs-orders-3"}, "orders"},
		{attrs{"container.name": "orders", "process.executable.name": "java"}, "orders"},
		{attrs{"process.executable.name": "java", "host.name": "h"}, "unknown_service:java"},
		{attrs{"service.name": "unknown_service:java", "process.executable.name": "other"}, "unknown_service:java"},
		{attrs{"host.name": "buildserver"}, "buildserver"},
		{attrs{"host.name": "ip-10-0-3-4.ec2.internal"}, "unknown_service"},
		{attrs{"host.name": "3f4e5a6b7c8d"}, "unknown_service"},
		{attrs{"service.name": "unknown_service:node", "host.name": "buildserver"}, "unknown_service:node"},
		{attrs{"k8s.deployment.name": 7, "k8s.container.name": ""}, "unknown_service"},
		{attrs{"k8s.deployment.name": strings.Repeat("d", 300)}, strings.Repeat("d", 256)},
	} {
		resource := pcommon.NewResource()
		require.NoError(t, resource.Attributes().FromRaw(tt.attrs))
		require.Equal(t, tt.want, conventions.Service(resource), "%v", tt.attrs)
	}
}

func FuzzService(f *testing.F) {
	for _, seed := range []string{"orders-6d4b75cb6d-x2x7z", "-0", "a-", "--", "a-1-1", "\xff-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, key := range []string{"k8s.replicaset.name", "k8s.job.name", "k8s.pod.name", "host.name", "process.executable.name"} {
			resource := pcommon.NewResource()
			resource.Attributes().PutStr(key, name)
			service := conventions.Service(resource)
			require.NotEmpty(t, service)
			require.LessOrEqual(t, len(service), conventions.MaxNameBytes)
		}
	})
}
