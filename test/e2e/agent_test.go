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
	"go.opentelemetry.io/collector/pdata/ptrace"
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

// TestAgentRefuses: what an agent could not split by trace, or what a gateway would refuse, is refused while its sender is there, and what is
// packed is unpacked with a bound.
func TestAgentRefuses(t *testing.T) {
	agent := newInstance(t)
	agent.name, agent.file = "tracewright-agent", "agent.yaml"
	agent.env = []string{"TRACEWRIGHT_GATEWAY=127.0.0.1", "TRACEWRIGHT_GATEWAY_PORT=1"} // where nobody is
	agent.start()
	agent.requireBoundedWindow("OTLP_GRPC", "/opentelemetry.proto.collector.trace.v1.TraceService/Export")

	td := chain("shop", 1, 1)
	rs := td.ResourceSpans().At(0)
	rs.Resource().Attributes().PutStr("large", strings.Repeat("x", 64<<10))
	for range 2000 {
		rs.ScopeSpans().At(0).CopyTo(rs.ScopeSpans().AppendEmpty())
	}
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	require.Less(t, len(body), 1<<20)
	require.Equal(t, http.StatusBadRequest, agent.post(agent.url("OTLP_HTTP", "/v1/traces"), protobufType, "", body))

	for name, header := range map[string]http.Header{"two tenants": {"X-Tracewright-Tenant": {"blue", "red"}}, "none": nil} {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(chain("shop", 2, 1))
		require.NoError(t, err)
		header := http.Header{"Content-Type": {protobufType}, "X-Tracewright-Tenant": header["X-Tracewright-Tenant"]}
		status := map[string]int{"two tenants": http.StatusBadRequest, "none": http.StatusOK}[name]
		_, err = agent.do(http.MethodPost, agent.url("OTLP_HTTP", "/v1/traces"), body, status, header)
		require.NoError(t, err, name)
	}
}

// TestAgentByName finds its gateway by its name, sends a large request in parts, takes little memory where it is given little, and is asked for its
// health elsewhere than for spans. What an outage took of the disk is given back.
func TestAgentByName(t *testing.T) {
	gateway := newInstance(t)
	gateway.env = []string{"TRACEWRIGHT_HOST=127.0.0.1"}
	agent := newInstance(t)
	agent.name, agent.file = "tracewright-agent", "agent.yaml"
	agent.env = []string{
		"TRACEWRIGHT_GATEWAY=127.0.0.1", fmt.Sprint("TRACEWRIGHT_GATEWAY_PORT=", gateway.ports["OTLP_GRPC"]), "TRACEWRIGHT_MEMORY_MIB=64",
		"TRACEWRIGHT_HEALTH_HOST=127.0.0.2",
	}
	agent.launch("--set=extensions.file_storage.compaction.rebound_needed_threshold_mib=1")
	elsewhere := func(port string) string { return strings.Replace(agent.url(port, "/"), "127.0.0.1", "127.0.0.2", 1) }
	agent.await("health", func() error {
		_, err := agent.get(elsewhere("HEALTH"), http.StatusOK)
		return err
	})
	_, err := agent.get(elsewhere("METRICS")+"metrics", http.StatusOK)
	require.NoError(t, err)

	td := chain("shop", 1, 1000)
	for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.Attributes().PutStr("large", strings.Repeat("x", 3<<10))
	}
	agent.send(td, nil)
	gateway.start()
	trace := gateway.trace("00000000000000000000000000000001", func(trace *traceAnswer) error {
		if trace.SpanCount != 1000 {
			return fmt.Errorf("%d spans", trace.SpanCount)
		}
		return nil
	})
	require.Equal(t, 1000, trace.SpanCount)
	agent.awaitLogs("finished compaction")
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
	cmd.Env = append(os.Environ(), "KUBE_NODE_NAME=node", "TRACEWRIGHT_GATEWAY=gateways")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}
