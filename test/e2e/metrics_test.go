package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMetricsOfTheCollector holds the names of metrics that are not ours, which documents and alerts name, against what an agent and what it
// sends to say of themselves. Those of failures are there once something has failed: a queue that is full, a memory that is, a request that
// a gateway refuses for good because it is too large.
func TestMetricsOfTheCollector(t *testing.T) {
	gateway := startInstance(t, "--set=receivers.otlp.protocols.grpc.max_recv_msg_size_mib=1")
	resolver := "yaml:exporters::load_balancing::resolver: {dns: null, static: {hostnames: [" + strconv.Quote(gateway.endpoint("OTLP_GRPC")) + "]}}"
	agent := func(arguments ...string) *instance {
		i := newInstance(t)
		i.name, i.file = "tracewright-agent", "agent.yaml"
		i.start(append([]string{"--config", resolver}, arguments...)...)
		return i
	}
	full := agent("--set=exporters.load_balancing.sending_queue.queue_size=1")
	small := newInstance(t)
	small.name, small.file, small.env = "tracewright-agent", "agent.yaml", []string{"TRACEWRIGHT_MEMORY_MIB=5"} // less than it takes itself
	small.start("--config", resolver)
	good := agent()

	send := func(i *instance, name string, status int) error {
		const body = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":%q}]}]}]}`
		_, err := i.do(http.MethodPost, i.url("OTLP_HTTP", "/v1/traces"), fmt.Appendf(nil, body, name), status,
			http.Header{"Content-Type": {"application/json"}})
		return err
	}
	require.NoError(t, send(good, "GET /", http.StatusOK))
	require.NoError(t, send(good, strings.Repeat("/", 2<<20), http.StatusOK))
	require.NoError(t, send(full, "GET /", http.StatusServiceUnavailable))
	small.await("memory runs out", func() error { return send(small, "GET /", http.StatusServiceUnavailable) })

	list, err := os.ReadFile("testdata/collector_metrics.txt")
	require.NoError(t, err)
	gateway.await("all metrics", func() error {
		var seen strings.Builder
		for _, i := range []*instance{gateway, full, small, good} {
			metrics, err := i.get(i.url("METRICS", "/metrics"), http.StatusOK)
			if err != nil {
				return err
			}
			seen.WriteString("\n" + string(metrics))
		}
		for name := range strings.Lines(string(list)) {
			if !strings.Contains(seen.String(), "\n"+strings.TrimSpace(name)+"{") && !strings.Contains(seen.String(), "\n"+strings.TrimSpace(name)+" ") {
				return fmt.Errorf("nobody has %s", name)
			}
		}
		return nil
	})
}
