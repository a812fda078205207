package conventions_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestHostOfResource(t *testing.T) {
	for _, tt := range []struct {
		attributes map[string]any
		want       string
	}{
		{nil, ""},
		{map[string]any{"service.name": "shop"}, ""},
		{map[string]any{"host.id": "m1", "host.name": "web-1", "k8s.node.name": "node-1"}, "m1"},
		{map[string]any{"host.id": "", "host.name": "web-1"}, "web-1"},
		{map[string]any{"host.id": 7, "host.name": "web-1"}, "web-1"},
		{map[string]any{"k8s.pod.name": "shop-1", "k8s.node.name": "node-1"}, "node-1"},
		{map[string]any{"k8s.pod.name": "shop-1", "service.instance.id": "i-1"}, "shop-1"},
		{map[string]any{"service.instance.id": "i-1"}, "i-1"},
	} {
		resource := pcommon.NewResource()
		require.NoError(t, resource.Attributes().FromRaw(tt.attributes))
		require.Equal(t, tt.want, conventions.Host(resource), tt.attributes)
	}
}
