package traceclickhouseexporter

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/tracewright/tracewright/internal/callexport/callexporttest"
)

// TestFaults lets things go wrong between gateways and one real server. After each, every span that was taken is stored and counted once. The
// tests go on with the server as the one before left it, and have a tenant each.
func TestFaults(t *testing.T) {
	s := startServer(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *server)
	}{
		{"the schema is being made", testNoSchema},
		{"gateways write the same minute", testSameMinute},
		{"a call comes again", testRepeated},
		{"a call comes again that was taken", testTaken},
		{"the connection is cut", testCut},
		{"a view fails", testFailingView},
		{"the queue is full", testFullQueue},
		{"the server is down for longer than retries", testDown},
		{"the server is killed", testKilled},
		{"the password is wrong", testWrongPassword},
		{"the tables are lost", testLost},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// testNoSchema: tables are there, and perhaps not all of them. A call waits until somebody says that they are.
func testNoSchema(t *testing.T, s *server) {
	versions := s.ask(t, "SELECT max(Number) FROM tracewright_migrations")
	s.ask(t, "ALTER TABLE tracewright_migrations DELETE WHERE Number > 1 SETTINGS mutations_sync = 1")
	g := startGateway(t, s.HTTP, t.TempDir(), nil)
	g.Consume(t, call("schema", 10))
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 50*time.Millisecond)
	require.ErrorContains(t, g.Failure(), "is of version 1, and "+versions+" is wanted")
	require.Equal(t, "0", s.ask(t, "SELECT count() FROM otel_traces WHERE Tenant = 'schema'"))
	s.ask(t, "INSERT INTO tracewright_migrations (Number, Name) VALUES ("+versions+", 'last')")
	s.requireCounted(t, "schema", 10)
}

func testSameMinute(t *testing.T, s *server) {
	var wait sync.WaitGroup
	for range 2 {
		g := startGateway(t, s.HTTP, "", nil)
		wait.Go(func() {
			for range 3 {
				g.Consume(t, call("minute", 10))
			}
			require.EqualValues(t, 0, g.Number(t, "trace_clickhouse_repeated_calls"))
			require.EqualValues(t, 0, g.Number(t, "trace_clickhouse_failing"))
		})
	}
	wait.Wait()
	s.requireCounted(t, "minute", 60)
}

// testRepeated: one process writes a call and does not live to say so, and the next one writes it again.
func testRepeated(t *testing.T, s *server) {
	td := call("again", 10)
	for i := range int64(2) {
		g := startGateway(t, s.HTTP, "", nil)
		if i == 0 {
			td = call("again", 10)
		}
		g.Consume(t, td)
		require.Equal(t, i, g.Number(t, "trace_clickhouse_repeated_calls"))
		s.requireCounted(t, "again", 10)
	}
}

// testTaken: another exporter of the pipeline refuses the call for a while, so that it comes again and again.
func testTaken(t *testing.T, s *server) {
	for i, folder := range []string{"", t.TempDir()} {
		g := startGateway(t, s.HTTP, folder, nil)
		td := call("taken", 10)
		for range 3 {
			g.Consume(t, td)
			s.requireCounted(t, "taken", 10*(i+1))
		}
		g.Consume(t, td)
		g.Stop(t)
		s.requireCounted(t, "taken", 10*(i+1))
	}
}

// testCut: an insert does not arrive whole, or its answer is lost.
func testCut(t *testing.T, s *server) {
	p := startProxy(t, s)
	g := startGateway(t, p.address(), "", nil)
	g.Consume(t, call("cut", 10))
	p.cut.Store(2)
	g.Consume(t, call("cut", 10))
	require.Negative(t, p.cut.Load())
	p.lose.Store(1)
	g.Consume(t, call("cut", 10))
	p.lose.Store(3) // also of repetitions
	g.Consume(t, call("cut", 10))
	require.Negative(t, p.lose.Load())
	require.Positive(t, g.Number(t, "trace_clickhouse_repeated_calls"))
	require.NoError(t, g.Failure())
	s.requireCounted(t, "cut", 40)
}

// testFailingView: what a view fails to write is missing until the view is mended, and the call waits for it.
func testFailingView(t *testing.T, s *server) {
	g := startGateway(t, s.HTTP, t.TempDir(), nil)
	s.ask(t, "RENAME TABLE rollup_edges TO rollup_edges_away")
	g.Consume(t, call("view", 10))
	require.Eventually(t, func() bool { return g.Number(t, "trace_clickhouse_repeated_calls") > 1 }, patience, 50*time.Millisecond)
	require.ErrorContains(t, g.Failure(), "rollup_edges")
	require.EqualValues(t, 1, g.Number(t, "trace_clickhouse_failing"))
	s.ask(t, "RENAME TABLE rollup_edges_away TO rollup_edges")
	s.requireCounted(t, "view", 10)
	require.Eventually(t, func() bool { return g.Failure() == nil }, patience, 50*time.Millisecond)
	require.EqualValues(t, 0, g.Number(t, "trace_clickhouse_failing"))
}

// testFullQueue: a server that does not answer holds the senders back once the queue is full. What it was sent meanwhile it does when it goes
// on, beside the repetitions.
func testFullQueue(t *testing.T, s *server) {
	g := startGateway(t, s.HTTP, t.TempDir(), func(c *Config) {
		c.Queue.Get().QueueSize, c.Timeout.Timeout = 3, 3*time.Second
	})
	g.Consume(t, call("full", 10))
	s.requireCounted(t, "full", 10)
	require.NoError(t, s.Pause())
	taken, refused := 0, error(nil)
	for refused == nil {
		if refused = g.ConsumeTraces(t.Context(), call("full", 10)); refused == nil {
			taken++
		}
		require.LessOrEqual(t, taken, 5, "the queue takes more than it holds")
	}
	require.False(t, consumererror.IsPermanent(refused), "the sender sends again: %v", refused)
	require.Eventually(t, func() bool { return g.Number(t, "trace_clickhouse_repeated_calls") > 0 }, patience, 50*time.Millisecond)
	require.EqualValues(t, 1, g.Number(t, "trace_clickhouse_failing"))
	require.NoError(t, s.Resume())
	s.requireCounted(t, "full", 10+10*taken)
	require.Eventually(t, func() bool { return g.Failure() == nil }, patience, 50*time.Millisecond)
}

// testDown: a queue keeps what comes for as long as it takes. Where there is none, the sender is told after a while, and sends again.
func testDown(t *testing.T, s *server) {
	queued := startGateway(t, s.HTTP, t.TempDir(), nil)
	waiting := startGateway(t, s.HTTP, "", func(c *Config) { c.Retry.MaxElapsedTime = 300 * time.Millisecond })
	queued.Consume(t, call("down", 10))
	s.requireCounted(t, "down", 10)
	require.NoError(t, s.Stop())
	queued.Consume(t, call("down", 10))
	kept := call("down", 10)
	err := waiting.ConsumeTraces(t.Context(), kept)
	require.ErrorContains(t, err, "refused")
	require.False(t, consumererror.IsPermanent(err))
	require.Eventually(t, func() bool { return queued.Number(t, "trace_clickhouse_repeated_calls") > 5 }, patience, 50*time.Millisecond)
	require.ErrorContains(t, queued.Failure(), "refused")
	require.NoError(t, s.Start(t.Context()))
	waiting.Consume(t, kept)
	s.requireCounted(t, "down", 30)
}

// killsEnv is how often the server is killed; once where it is empty.
const killsEnv = "TRACEWRIGHT_KILL_ROUNDS"

// testKilled: kill -9 while two gateways write. Of the insert that it ends some tables have their part, and others have not.
func testKilled(t *testing.T, s *server) {
	gateways := []*callexporttest.Gateway{startGateway(t, s.HTTP, t.TempDir(), nil), startGateway(t, s.HTTP, t.TempDir(), nil)}
	kills := 1
	if text := os.Getenv(killsEnv); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	for kill := range kills {
		for i := range 4 {
			gateways[i%2].Consume(t, call("killed", 10))
		}
		time.Sleep(rand.N(time.Second))
		require.NoError(t, s.Kill())
		require.NoError(t, s.Start(t.Context()))
		s.requireCounted(t, "killed", 40*(kill+1))
	}
}

// testWrongPassword: the queue keeps what comes until the password is right.
func testWrongPassword(t *testing.T, s *server) {
	folder := t.TempDir()
	g := startGateway(t, s.HTTP, folder, func(c *Config) { c.Password = "wrong" })
	g.Consume(t, call("password", 10))
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 50*time.Millisecond)
	require.ErrorContains(t, g.Failure(), "Authentication failed")
	g.Stop(t)
	startGateway(t, s.HTTP, folder, nil)
	s.requireCounted(t, "password", 10)
}

// testLost: the server has come back empty. trace_store makes the tables again, and calls wait for all of them.
func testLost(t *testing.T, s *server) {
	g := startGateway(t, s.HTTP, t.TempDir(), nil)
	g.Consume(t, call("before", 10))
	s.requireCounted(t, "before", 10)
	s.ask(t, "DROP DATABASE tracewright")
	g.Consume(t, call("lost", 10))
	require.Eventually(t, func() bool { return g.Failure() != nil }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { _, err := s.store.Sources(t.Context()); return err == nil }, patience, 50*time.Millisecond)
	s.requireCounted(t, "lost", 10)
}
