package e2e

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/testservers"
)

// TestProduction sends through an agent to two gateways that write into one ClickHouse and one Neo4j. Both are down at the start, and they and
// a gateway are killed under load, in the middle of what they do. Then every trace, operation and edge is as it was sent, whichever gateway is
// asked.
func TestProduction(t *testing.T) {
	tracegen := buildTracegen(t)
	clickhouse, neo4j := testservers.StoppedClickHouse(t), testservers.StoppedNeo4j(t)
	gateways := []*instance{newInstance(t), newInstance(t)}
	var hosts []string
	for _, g := range gateways {
		g.file = "gateway.yaml"
		g.env = []string{
			"TRACEWRIGHT_TRUST_AGENTS=true",
			"TRACEWRIGHT_CLICKHOUSE=http://" + clickhouse.HTTP,
			"TRACEWRIGHT_CLICKHOUSE_USER=" + testservers.ClickHouseUser, "TRACEWRIGHT_CLICKHOUSE_PASSWORD=" + testservers.ClickHousePassword,
			"TRACEWRIGHT_NEO4J=" + neo4j.URI(),
			"TRACEWRIGHT_NEO4J_USER=" + testservers.Neo4jUser, "TRACEWRIGHT_NEO4J_PASSWORD=" + testservers.Neo4jPassword,
		}
		g.start()
		hosts = append(hosts, strconv.Quote(g.endpoint("OTLP_GRPC")))
	}
	agent := newInstance(t)
	agent.name, agent.file = "tracewright-agent", "agent.yaml"
	agent.start("--config", "yaml:exporters::load_balancing::resolver: {dns: null, static: {hostnames: ["+strings.Join(hosts, ", ")+"]}}")

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // of a busy machine
	defer cancel()
	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	var output bytes.Buffer
	sender := exec.CommandContext(ctx, tracegen, "--rate", "30", "--total", "900", "--tenants", "2", "--endpoint", agent.endpoint("OTLP_GRPC"), "--expect", truth)
	sender.Stdout, sender.Stderr = &output, &output
	require.NoError(t, sender.Start())
	sent := make(chan error, 1)
	go func() { sent <- sender.Wait() }()

	pause := func(d time.Duration) { // while spans come
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	pause(5 * time.Second) // gateways hold what they have
	require.NoError(t, clickhouse.Start(ctx))
	require.NoError(t, neo4j.Start(ctx))
	for round := range 3 {
		pause(2*time.Second + rand.N(2*time.Second))
		require.NoError(t, clickhouse.Kill())
		if round == 1 {
			gateways[0].stop(syscall.SIGKILL)
			gateways[0].start()
		}
		require.NoError(t, clickhouse.Start(ctx))
	}
	gateways[1].stop(syscall.SIGKILL) // in the middle of inserts, which the server goes on with
	gateways[1].start()
	require.NoError(t, neo4j.Kill())
	require.NoError(t, neo4j.Start(ctx))
	require.NoError(t, <-sent, output.String())

	for _, g := range gateways {
		t.Log(verify(t, tracegen, truth, g.url("QUERY", ""), "--timeout", "2m"))
	}
}
