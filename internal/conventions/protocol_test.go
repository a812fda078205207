package conventions_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestProtocol(t *testing.T) {
	for _, tt := range []struct {
		name  string
		attrs attrs
		want  string
	}{
		{"nothing", nil, "unknown"},
		{"HTTP", attrs{"http.request.method": "GET"}, "http"},
		{"HTTP, previous name", attrs{"http.method": "GET"}, "http"},
		{"gRPC", attrs{"rpc.system.name": "grpc"}, "grpc"},
		{"gRPC, previous name", attrs{"rpc.system": "grpc", "http.request.method": "POST"}, "grpc"},
		{"another RPC system", attrs{"rpc.system": "dubbo"}, "dubbo"},
		{"messaging", attrs{"messaging.system": "kafka"}, "kafka"},
		{"a queue behind the AWS SDK", attrs{"rpc.system": "aws-api", "messaging.system": "aws_sqs"}, "aws_sqs"},
		{"database", attrs{"db.system.name": "postgresql"}, "postgresql"},
		{"database, previous name", attrs{"db.system": "elasticsearch", "http.request.method": "POST"}, "elasticsearch"},
		{"a value of another type counts as absent", attrs{"db.system": 7, "http.method": "GET"}, "http"},
		{"no text", attrs{"rpc.system": ""}, "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := pcommon.NewMap()
			require.NoError(t, values.FromRaw(tt.attrs))
			var f conventions.ProtocolFacts
			for key, value := range values.All() {
				f.Read(key, value)
			}
			require.Equal(t, tt.want, f.Protocol())
		})
	}
}
