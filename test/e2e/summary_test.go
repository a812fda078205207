package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What examples/summary adds makes a record and metrics of each trace, and the trace is stored as ever.
func TestSummaries(t *testing.T) {
	t.Setenv("TRACEWRIGHT_SUMMARY_INTERVAL", "200ms")
	i := startInstance(t, "--config", filepath.Join(root, "examples", "summary", "summary.yaml"))
	i.send(chain("shop", 7, 3), nil)
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(chain("orders", 8, 2)) // goes on as the bytes that came
	require.NoError(t, err)
	_, err = i.do(http.MethodPost, i.url("OTLP_HTTP", "/v1/traces"), body, http.StatusOK, http.Header{"Content-Type": {"application/x-protobuf"}})
	require.NoError(t, err)

	const first, second = "00000000000000000000000000000007", "00000000000000000000000000000008"
	i.trace(first, nil)
	i.trace(second, nil)
	i.awaitLogs(
		"EventName: tracewright.trace", "Trace ID: "+first, "Trace ID: "+second,
		"step of shop: 1ms; spans 3, services 1, errors 0", "step of orders: 1ms; spans 2, services 1, errors 0",
		"Name: tracewright.path_time", "Name: tracewright.root_duration", "tracewright.assembly.outcome: Str(complete)",
	)
	i.stop(syscall.SIGTERM)
	require.Equal(t, 2, strings.Count(i.logs.String(), "EventName: tracewright.trace"), "a trace has one record")
}
