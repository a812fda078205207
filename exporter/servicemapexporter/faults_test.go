package servicemapexporter

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
	"github.com/tracewright/tracewright/internal/testservers"
)

// TestFaults lets things go wrong between gateways and one real server. After each, what was acknowledged is counted once. The tests go
// on with the server as the one before left it, and have a tenant each.
func TestFaults(t *testing.T) {
	server := testservers.StartNeo4j(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *testservers.Neo4j)
	}{
		{"gateways write the same minute", testSameMinute},
		{"the connection is cut after the commit", testCommitCut},
		{"the queue is full", testFullQueue},
		{"the gateway is killed", testKilledGateway},
		{"the server is killed, and down at start", testKilledServer},
		{"the password is wrong", testWrongPassword}, // last: the server refuses the user for some seconds
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

func testSameMinute(t *testing.T, server *testservers.Neo4j) {
	f := servicemaptest.NewTraffic(1)
	var wait sync.WaitGroup
	for range 3 {
		g := startGateway(t, server.URI(), "", nil)
		calls := []func(){}
		for range 5 {
			td := f.Call(t, "minute", "production", released, 10)
			calls = append(calls, func() {
				for range 2 { // and each call comes twice, and is taken once
					g.Consume(t, td)
				}
			})
		}
		wait.Go(func() {
			for _, call := range calls {
				call()
			}
			require.NoError(t, g.Failure())
			// On a slow machine an answer may come too late, and its call is repeated once more.
			require.GreaterOrEqual(t, int64(5), g.Number(t, "service_map_calls"))
			require.EqualValues(t, 5, g.Number(t, "service_map_calls")+g.Number(t, "service_map_repeated_calls"))
			require.Greater(t, g.Number(t, "service_map_updates"), int64(100))
			require.EqualValues(t, 0, g.Number(t, "service_map_failing"))
		})
	}
	wait.Wait()
	requireTruth(t, server, &f.Truth, "minute")
}

// testCommitCut: the server commits, and its answer is lost. The call comes again and counts once.
func testCommitCut(t *testing.T, server *testservers.Neo4j) {
	p := startProxy(t, server.Bolt)
	g := startGateway(t, p.uri(), "", nil)
	f := servicemaptest.NewTraffic(2)
	g.Consume(t, f.Call(t, "cut", "production", released, 5))
	for n := range int64(3) {
		p.armed.Store(true)
		g.Consume(t, f.Call(t, "cut", "production", released, 5))
		require.EqualValues(t, n+1, p.dropped.Load())
		require.Equal(t, n+1, g.Number(t, "service_map_repeated_calls"))
	}
	require.NoError(t, g.Failure())
	requireTruth(t, server, &f.Truth, "cut")
}

// testFullQueue: a server that does not answer holds the senders back once the queue is full.
func testFullQueue(t *testing.T, server *testservers.Neo4j) {
	g := startGateway(t, server.URI(), t.TempDir(), func(c *Config) {
		c.Queue.Get().QueueSize, c.Queue.Get().NumConsumers = 3, 1
		c.Timeout.Timeout = time.Second
	})
	f := servicemaptest.NewTraffic(3)
	g.Consume(t, f.Call(t, "full", "production", released, 5))
	requireTruth(t, server, &f.Truth, "full")
	require.NoError(t, server.Pause())
	taken, refused := 0, error(nil)
	for refused == nil {
		kept := f.Truth
		if refused = g.ConsumeTraces(t.Context(), f.Call(t, "full", "production", released, 5)); refused != nil {
			f.Truth = kept
		}
		if taken++; taken > 5 {
			t.Fatal("the queue takes more than it holds")
		}
	}
	require.Error(t, refused)
	require.False(t, consumererror.IsPermanent(refused), "the sender sends again: %v", refused)
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 20*time.Millisecond)
	require.EqualValues(t, 1, g.Number(t, "service_map_failing"))
	require.NoError(t, server.Resume())
	requireTruth(t, server, &f.Truth, "full")
	require.Eventually(t, func() bool { return g.Failure() == nil }, patience, 20*time.Millisecond)
}

const (
	childEnv    = "SERVICE_MAP_TEST_GATEWAY"
	childVisits = 5
)

// TestGateway is what testKilledGateway kills; it does nothing otherwise.
func TestGateway(t *testing.T) {
	uri, folder, isChild := strings.Cut(os.Getenv(childEnv), " ")
	if !isChild {
		return
	}
	folder, at, _ := strings.Cut(folder, " ")
	released, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	g := startGateway(t, uri, folder, nil)
	f := servicemaptest.NewTraffic(4)
	for n := range 100_000 {
		g.Consume(t, f.Call(t, "killed", "production", released, childVisits))
		fmt.Printf("taken %d\n", n+1)
	}
}

// testKilledGateway: kill -9 in the middle. What was in the queue is written by the next one, and what was written and not yet taken out
// of the queue counts once.
func testKilledGateway(t *testing.T, server *testservers.Neo4j) {
	folder := t.TempDir()
	taken := 0
	for range 2 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestGateway$")
		child.Env = append(os.Environ(), childEnv+"="+server.URI()+" "+folder+" "+released.Format(time.RFC3339))
		output, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(output)
		now := 0
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "taken %d", &now); err == nil && now == 12 {
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait(), "it was killed")
		require.GreaterOrEqual(t, now, 12)
		taken = max(taken, now)
	}
	g := startGateway(t, server.URI(), folder, nil)
	f := servicemaptest.NewTraffic(4)
	for range taken {
		f.Call(t, "killed", "production", released, childVisits)
	}
	// One more may have been taken than was told.
	longer := servicemaptest.NewTraffic(4)
	for range taken + 1 {
		longer.Call(t, "killed", "production", released, childVisits)
	}
	require.Eventually(t, func() bool { return g.Number(t, "queue_size") == 0 }, patience, 20*time.Millisecond)
	g.Stop(t)
	truth := &f.Truth
	if entered(t, server, "killed") > int64(taken*childVisits) {
		truth = &longer.Truth
	}
	requireTruth(t, server, truth, "killed")
}

// testKilledServer: the server is killed under load and stays away for longer than the limit that a synchronous gateway has for repeating;
// another gateway starts meanwhile. Both have queues, and nothing is lost.
func testKilledServer(t *testing.T, server *testservers.Neo4j) {
	f := servicemaptest.NewTraffic(5)
	g := startGateway(t, server.URI(), t.TempDir(), nil)
	for n := range 40 {
		if n == 20 {
			require.NoError(t, server.Kill())
		}
		g.Consume(t, f.Call(t, "away", "production", released, 5))
	}
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 20*time.Millisecond)
	require.ErrorIs(t, g.Failure(), servicemap.ErrUnavailable)
	require.ErrorContains(t, g.Failure(), "Neo4j at "+server.URI()+" cannot be reached; check that it runs, and neo4j::uri")

	second := startGateway(t, server.URI(), t.TempDir(), nil)
	require.Eventually(t, func() bool { return second.Failure() != nil }, patience, 20*time.Millisecond, "it says so before anything is sent")
	for range 5 {
		second.Consume(t, f.Call(t, "away", "production", released, 5))
	}
	// A gateway without a queue and with a limit gives up, and says so to the sender.
	limited := startGateway(t, server.URI(), "", func(c *Config) { c.Retry.MaxElapsedTime = time.Second })
	kept := f.Truth
	require.Error(t, limited.ConsumeTraces(t.Context(), f.Call(t, "away", "production", released, 5)))
	f.Truth = kept

	require.NoError(t, server.Start(t.Context()))
	requireTruth(t, server, &f.Truth, "away")
	require.Eventually(t, func() bool { return g.Failure() == nil && second.Failure() == nil }, patience, 20*time.Millisecond)
}

// testWrongPassword: it is said, and the queue keeps what came.
func testWrongPassword(t *testing.T, server *testservers.Neo4j) {
	folder := t.TempDir()
	f := servicemaptest.NewTraffic(6)
	g := startGateway(t, server.URI(), folder, func(c *Config) {
		c.Neo4j.Password = "mistyped"
		c.Retry.InitialInterval = time.Second
	})
	for range 3 {
		g.Consume(t, f.Call(t, "password", "production", released, 5))
	}
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 20*time.Millisecond)
	require.ErrorContains(t, g.Failure(), `refuses the user "neo4j"; check neo4j::username and neo4j::password`)
	require.NotContains(t, g.Failure().Error(), "mistyped")
	g.Stop(t)

	g = startGateway(t, server.URI(), folder, nil)
	requireTruth(t, server, &f.Truth, "password")
	require.Eventually(t, func() bool { return g.Failure() == nil }, patience, 20*time.Millisecond)
}
