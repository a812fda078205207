package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAgent sends through an agent to two gateways: all spans of a trace reach one and the same. With no gateway there the agent
// keeps what it acknowledged, also when it is killed, and delivers it when they come back.
func TestAgent(t *testing.T) {
	tracegen := buildTracegen(t)
	gateways := []*instance{newInstance(t), newInstance(t)}
	var hosts []string
	for _, g := range gateways {
		g.start("--set=processors.trace_assembly.trust_annotations=true")
		hosts = append(hosts, strconv.Quote(g.endpoint("OTLP_GRPC")))
	}
	agent := newInstance(t)
	agent.name, agent.file = "tracewright-agent", "agent.yaml"
	resolver := "yaml:exporters::load_balancing::resolver: {dns: null, static: {hostnames: [" + strings.Join(hosts, ", ") + "]}}"
	agent.start("--config", resolver)
	require.Less(t, agent.residentMiB(), 60, "MiB of an idle agent")

	truth := map[string]int{} // spans by trace
	send := func(total int) {
		file := filepath.Join(t.TempDir(), "truth.jsonl")
		generate(t, tracegen, agent.endpoint("OTLP_GRPC"), file, "--total", strconv.Itoa(total), "--tenants", "1")
		addTruth(t, file, truth)
	}
	send(300)
	require.Len(t, truth, 300)
	awaitTraces(t, gateways, truth)

	for _, g := range gateways {
		g.stop(syscall.SIGTERM)
	}
	send(200)
	agent.stop(syscall.SIGKILL)
	agent.start("--config", resolver)
	for _, g := range gateways {
		g.start("--set=processors.trace_assembly.trust_annotations=true")
	}
	awaitTraces(t, gateways, truth)
}

func addTruth(t *testing.T, file string, spans map[string]int) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		var trace struct {
			Type    string `json:"type"`
			TraceID string `json:"trace_id"`
			Spans   int    `json:"span_count"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &trace))
		if trace.Type == "trace" {
			spans[trace.TraceID] = trace.Spans
		}
	}
}

// awaitTraces waits until each of the traces is on one of the gateways with all its spans, and both have a good share.
func awaitTraces(t *testing.T, gateways []*instance, truth map[string]int) {
	t.Helper()
	gateways[0].await("traces", func() error {
		found := map[string]int{}
		for n, g := range gateways {
			traces, err := g.tracesOf("tenant-1")
			if err != nil {
				return err
			}
			for _, trace := range traces {
				if _, twice := found[trace.TraceID]; twice {
					return fmt.Errorf("trace %s is on both gateways", trace.TraceID)
				}
				found[trace.TraceID] = trace.SpanCount
			}
			if len(traces) < len(truth)/4 {
				return fmt.Errorf("gateway %d has %d traces of %d", n, len(traces), len(truth))
			}
		}
		if !maps.Equal(found, truth) {
			return fmt.Errorf("%d traces, want %d with all their spans", len(found), len(truth))
		}
		return nil
	})
}

// tracesOf are the traces of a tenant, up to 1,000.
func (i *instance) tracesOf(tenant string) ([]summaryAnswer, error) {
	header := http.Header{"X-Tracewright-Tenant": {tenant}}
	content, err := i.do(http.MethodPost, i.url("QUERY", "/traces/search"), []byte(`{"limit": 1000}`), http.StatusOK, header)
	if err != nil {
		return nil, err
	}
	var page searchAnswer
	err = json.Unmarshal(content, &page)
	return page.Traces, err
}

func (i *instance) endpoint(port string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(i.ports[port]))
}

// residentMiB is what the process holds in memory.
func (i *instance) residentMiB() int {
	i.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.cmd.Process.Pid))
	require.NoError(i.t, err)
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(line)[0])
	require.NoError(i.t, err)
	return kib >> 10
}

// The lean binary has what its configurations ask for; TestConfigurationsAreValid asks the same of the full one.
func TestAgentForKubernetes(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary(t, "tracewright-agent"), "validate",
		"--config", filepath.Join(root, "config", "agent.yaml"), "--config", filepath.Join(root, "config", "agent.kubernetes.yaml"))
	cmd.Env = append(os.Environ(), "KUBE_NODE_NAME=node")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}
