package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
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
	i.ports["MORE"] = freePorts(t, "MORE")["MORE"]
	i.source("POST", "", fmt.Sprintf(`{"name": "more", "type": "otlp", "configuration": {"protocols": {"http": {"endpoint": "localhost:%d"}}}}`, i.ports["MORE"]), 201)
	const third = "00000000000000000000000000000009" // from a source that was added since
	body, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(chain("stock", 9, 4))
	require.NoError(t, err)
	_, err = i.do(http.MethodPost, i.url("MORE", "/v1/traces"), body, http.StatusOK, http.Header{"Content-Type": {"application/x-protobuf"}})
	require.NoError(t, err)
	i.trace(third, nil)
	i.awaitLogs(
		"EventName: tracewright.trace", "Trace ID: "+first, "Trace ID: "+second, "Trace ID: "+third,
		"step of shop: 1ms; spans 3, services 1, errors 0", "step of orders: 1ms; spans 2, services 1, errors 0",
		"Name: tracewright.path_time", "Name: tracewright.root_duration", "tracewright.assembly.outcome: Str(complete)",
	)
	i.stop(syscall.SIGTERM)
	require.Equal(t, 3, strings.Count(i.logs.String(), "EventName: tracewright.trace"), "a trace has one record")
}

// What README of examples/summary has to add in other places is what it has to be.
func TestSummariesElsewhere(t *testing.T) {
	const gateway, summary = "gateway.yaml", "examples/summary/summary.yaml"
	cmd := exec.CommandContext(t.Context(), binary(t, "tracewright"), "validate", "--config", filepath.Join(root, "config", gateway),
		"--config", filepath.Join(root, summary), "--config", "yaml:"+summaryAddition(t, "trace_sources]"))
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}

// summaryAddition is the part of a configuration in README of examples/summary that has this text.
func summaryAddition(t *testing.T, text string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "examples", "summary", "README.md"))
	require.NoError(t, err)
	for _, block := range strings.Split(string(page), "```yaml")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, text) {
			return block
		}
	}
	require.Fail(t, "README has no such part", text)
	return ""
}
